/** What processes made by clone(2) may share beside memory that is mapped: tables of descriptors, and working directories. */
import type { Batch, Ref } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported, unsupportedNow } from '../errors.js';
import { VFORK } from '../freeze/stoppable.js';
import { KCMP } from '../linux/flags.js';
import { sameOnes } from '../linux/kcmp.js';
import type { ProcessView, Tables } from '../proc/survey.js';
import { together } from '../together.js';

/**
 * Learns which processes share tables; answers views that tell it. `known`: views of before, whose processes need not be
 * compared again: only at their birth do processes come to share something. Throws `unsupported` for processes that have
 * one memory, or whose table did not come from their parent.
 */
export async function withTables(
  hands: Hands,
  views: readonly ProcessView[],
  known: readonly ProcessView[] = [],
): Promise<ProcessView[]> {
  const before = new Map(known.map((v) => [v.hostPid, v]));
  // What is known to be apart stays so; what was shared may have been given up.
  const settled = views.every((v) => before.has(v.hostPid));
  const shared = new Set(known.flatMap((v) => (isApart(v.pid, v.tables) ? [] : [v.tables.files, v.tables.fs])));
  if (settled && shared.size === 0) return [...views];
  const asked = views.filter((v) => !settled || involved(before.get(v.hostPid), shared));
  const [memory, files, fs] = await together([
    groups(hands, asked, KCMP.VM, (v) => v.vmas.map((m) => m.start).join()),
    groups(hands, asked, KCMP.FILES, (v) => v.descriptors.map((d) => `${d.fd} ${d.link}`).join()),
    groups(hands, asked, KCMP.FS, (v) => `${v.status.umask} ${v.root} ${v.cwd}`),
  ]);
  for (const [pid, first] of memory) if (pid !== first) refuseSharedMemory(pid, views);
  const out = views.map((v) => ({
    ...v,
    tables: { files: files.get(v.pid) ?? v.pid, fs: fs.get(v.pid) ?? v.pid },
  }));
  refuseStrangers(out);
  return out;
}

/** Whoever is about to execute a program may have its parent's memory for a moment (vfork(2), posix_spawn(3)). */
function refuseSharedMemory(pid: number, views: readonly ProcessView[]): never {
  const parent = views.find((v) => v.hostPid === views.find((child) => child.pid === pid)?.status.ppid);
  const waits = parent?.threads.some((t) => t.status.state === 'D') ?? false;
  const what = waits ? VFORK : 'memory that another process has too (CLONE_VM)';
  throw unsupportedNow(what, `process ${pid}`);
}

const isApart = (pid: number, { files, fs }: Tables): boolean => files === pid && fs === pid;
const involved = (v: ProcessView | undefined, shared: ReadonlySet<number>): boolean =>
  v === undefined || shared.has(v.pid) || !isApart(v.pid, v.tables);

/** A table is inherited at birth: who shares one has a parent, or one of the parents before it, that does. */
function refuseStrangers(views: readonly ProcessView[]): void {
  const byHost = new Map(views.map((v) => [v.hostPid, v]));
  for (const what of ['files', 'fs'] as const) {
    for (const v of views) {
      if (v.tables[what] === v.pid) continue;
      if (byHost.get(v.status.ppid)?.tables[what] !== v.tables[what])
        throw unsupported(
          what === 'files' ? 'descriptors shared with no parent' : 'a working directory shared with no parent',
          `process ${v.pid}`,
        );
    }
  }
}

/** By id in the domain: the first of those who share with it what kcmp(2) compares. Only who looks alike is compared. */
async function groups(
  hands: Hands,
  views: readonly ProcessView[],
  what: number,
  looks: (v: ProcessView) => string,
): Promise<Map<number, number>> {
  const alike = new Map<string, ProcessView[]>();
  for (const v of views) {
    const key = looks(v);
    const same = alike.get(key);
    if (same === undefined) alike.set(key, [v]);
    else same.push(v);
  }
  const compare = (b: Batch, v: ProcessView, one: ProcessView): Ref =>
    b.call(SYS.kcmp, v.hostPid, one.hostPid, what, 0, 0);
  // One that ended meanwhile cannot be compared: the look is begun again for it.
  const ended = (): void => undefined;
  const found = await together([...alike.values()].map((some) => sameOnes(hands, some, compare, ended)));
  return new Map(
    found.flat().flatMap((group) => {
      // Parents come before their children: the one with the lowest id in the hands' namespace may not be the first.
      const members = new Set(group.map((v) => v.hostPid));
      const first = group.find((v) => !members.has(v.status.ppid)) ?? group[0];
      return group.map((v): [number, number] => [v.pid, first?.pid ?? v.pid]);
    }),
  );
}
