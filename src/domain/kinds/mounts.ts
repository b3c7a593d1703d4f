import { unsupported } from '../errors.js';
import { readText } from '../linux/os.js';
import { parseMountinfo, type Mount } from '../mounts/mountinfo.js';
import { domainKind, type LookContext } from './kind.js';

/** What the domain has mounted, and what it has changed of what was mounted before. */
export const mounts = domainKind<null>({
  name: 'mounts',
  keeps: 'what the OS instance has mounted',
  refuses: 'what the domain has mounted, unmounted or mounted in another way',
  describe: refuseChanges,
  async checkpoint(context) {
    await refuseChanges(context);
    return null;
  },
  restore: () => Promise.resolve(),
});

async function refuseChanges({ hands, anchor }: LookContext): Promise<void> {
  const now = parseMountinfo((await readText(hands, `/proc/${anchor.pid}/mountinfo`)) ?? '');
  const line = (m: Mount): string => JSON.stringify(m);
  const before = new Set(anchor.mounts.map(line));
  const after = new Set(now.map(line));
  const changed = now.find((m) => !before.has(line(m))) ?? anchor.mounts.find((m) => !after.has(line(m)));
  if (changed !== undefined) throw unsupported(`a mount of its own (${changed.type})`, changed.point);
}
