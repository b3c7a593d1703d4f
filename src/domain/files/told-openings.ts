/**
 * Watches that would tell of the look itself: file systems of the domain's own are opened and read before it is frozen, and an
 * event of that would be left in the program.
 */
import type { Hands } from '../../guest/hands/hands.js';
import { unsupported } from '../errors.js';
import { readText } from '../linux/os.js';
import { parseMountinfo, type Mount } from '../mounts/mountinfo.js';
import type { ProcessView } from '../proc/survey.js';
import type { Anchor } from '../tree/anchor.js';
import { isFanotify, isInotify } from './events.js';
import { linesOf as marksIn } from './marks.js';
import { kernelDevice, linesOf as watchesIn } from './watches.js';

/** IN_ACCESS, IN_CLOSE_NOWRITE, IN_OPEN of inotify(7); those of fanotify(7) have the same numbers. */
const LOOKING = 0x31;
/** Events of folders are told too. */
const FAN_ONDIR = 0x40000000;

/** Refuses them, from what /proc tells of descriptors alone: nothing was opened yet. Throws `unsupported`. */
export async function refuseToldOpenings(hands: Hands, anchor: Anchor, views: readonly ProcessView[]): Promise<void> {
  const outside = new Set(anchor.mounts.map(kernelDevice));
  let mounts: readonly Mount[] | undefined;
  for (const { pid, descriptors } of views)
    for (const view of descriptors) {
      const where = `descriptor ${view.fd} of process ${pid}`;
      const told = (device: number, mask: number): boolean => (mask & LOOKING) !== 0 && !outside.has(device);
      if (isInotify(view) && watchesIn(view).some((w) => told(w.sdev, w.mask)))
        throw unsupported('a watch (inotify) that tells of openings in a file system of its own', where);
      if (!isFanotify(view)) continue;
      for (const { on, of, mask } of marksIn(view)) {
        if (on === 'mount') mounts ??= parseMountinfo((await readText(hands, `/proc/${anchor.pid}/mountinfo`)) ?? '');
        const mount = on === 'mount' ? mounts?.find((m) => m.id === of) : undefined;
        // Contents are read through mounts of the look's own, only folders are opened through the domain's. A mount of another
        // namespace is refused later by another name.
        if (on === 'mount' && (mount === undefined || (mask & FAN_ONDIR) === 0)) continue;
        if (told(mount === undefined ? of : kernelDevice(mount), mask))
          throw unsupported('fanotify that tells of openings in a file system of its own', where);
      }
    }
}
