/** Processes of the domain's that its cgroup does not hold: they would run on while it stands still, and be left behind. */
import type { Hands } from '../../guest/hands/hands.js';
import { unsupportedNow } from '../errors.js';
import type { FrozenProcess } from '../freeze/frozen-thread.js';
import type { HeldFiles } from '../linux/held-files.js';
import { readText, readTexts } from '../linux/os.js';
import { parseStatus } from '../proc/status.js';
import type { ProcessView } from '../proc/survey.js';
import { OUTSIDE } from '../tree/cgroup-below.js';

/** Refuses children that are in another cgroup. One that was just born is seen at the next look. Throws `unsupported`, passing. */
export function refuseStrays(views: readonly ProcessView[]): void {
  for (const { pid, strays } of views) {
    const [stray] = strays;
    if (stray !== undefined) throw unsupportedNow(OUTSIDE, `process ${stray}, a child of process ${pid},`);
  }
}

/** As {@link refuseStrays}, for children of the first process of a frozen domain, which is not looked at then. */
export async function refuseOrphansOutside(
  hands: Hands,
  first: number,
  frozen: readonly FrozenProcess[],
  held: HeldFiles,
): Promise<void> {
  const list = (await readText(hands, `/proc/${first}/task/${first}/children`, held)) ?? '';
  const known = new Set(frozen.map((p) => p.hostPid));
  const others = list
    .split(' ')
    .filter((word) => word.trim() !== '' && !known.has(Number(word)))
    .map(Number);
  if (others.length === 0) return;
  const texts = await readTexts(
    hands,
    others.map((pid) => `/proc/${pid}/status`),
    1,
  );
  for (const text of texts) {
    const status = parseStatus(text ?? '');
    if (status.name !== '' && status.state !== 'Z') throw unsupportedNow(OUTSIDE, `process ${status.nsPid.at(-1)}`);
  }
}
