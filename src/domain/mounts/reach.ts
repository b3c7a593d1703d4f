import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { AT_FDCWD, CLONE, O } from '../linux/flags.js';
import { closeAll, making } from '../linux/making.js';
import { check } from '../linux/os.js';
import { together } from '../together.js';
import { AT_RECURSIVE, MNT_DETACH, MS, UNSEEN } from './flags.js';
import type { Mount } from './mountinfo.js';
import { mountOrder } from './order.js';

/**
 * Opens mounts of a process's namespace, also those that others cover: the hands enter a copy of the namespace and take
 * one mount after the other away there, from the top. Answers descriptors of the hands (`O_PATH`), by the mounts' ids,
 * with nothing mounted below any of them; what is read by them keeps its times. `space`: a path that leads to the
 * namespace; `mounts`: all that there are.
 */
export async function reachMounts(
  hands: Hands,
  space: string,
  mounts: readonly Mount[],
  wanted: (m: Mount) => boolean,
): Promise<Map<number, number>> {
  const order = mountOrder(mounts).reverse();
  const last = order.findLastIndex(wanted);
  if (last < 0) return new Map();
  return making(hands, async (note) => {
    const opening = hands.batch();
    const folders = [space, '/proc/self/ns/mnt'].map((path) =>
      opening.call(SYS.openat, AT_FDCWD, opening.str(path), O.RDONLY | O.CLOEXEC, 0),
    );
    const opened = await opening.run();
    const [there, back] = folders.map((f) => opened.value(f));
    try {
      check(there ?? -1, 'opening a mount namespace');
      check(back ?? -1, 'opening the mount namespace of the hands');
      const b = hands.batch();
      const entered = b.must(SYS.setns, there ?? -1, CLONE.NEWNS);
      // What follows must not happen in the domain's own namespace.
      const copied = b.must(SYS.unshare, CLONE.NEWNS);
      const alone = b.must(SYS.mount, b.str('none'), b.str('/'), 0, MS.REC | MS.PRIVATE, 0);
      const unseen = b.must(SYS.mount_setattr, AT_FDCWD, b.str('/'), AT_RECURSIVE, b.bytes(UNSEEN), UNSEEN.length);
      const found = order.slice(0, last + 1).map((m) => {
        const point = b.str(m.point);
        const flags = O.PATH | O.NOFOLLOW | O.CLOEXEC;
        const fd = wanted(m) ? b.call(SYS.openat, AT_FDCWD, point, flags, 0) : undefined;
        return { m, fd, gone: m.point === '/' ? undefined : b.call(SYS.umount2, point, MNT_DETACH) };
      });
      // A batch of its own, right behind: it is made whatever becomes of the other.
      const home = hands.batch();
      const left = home.call(SYS.setns, back ?? -1, CLONE.NEWNS);
      const [r, h] = await together([b.run(), home.run()]);
      for (const { fd } of found) if (fd !== undefined) note(r.value(fd));
      check(h.value(left), 'coming back from a mount namespace');
      check(r.value(entered), 'entering a mount namespace');
      check(r.value(copied), 'copying a mount namespace');
      check(r.value(alone), 'setting a copy of a mount namespace apart');
      check(r.value(unseen), 'setting a copy of a mount namespace to leave times alone');
      const out = new Map<number, number>();
      for (const { m, fd, gone } of found) {
        if (gone !== undefined) check(r.value(gone), `uncovering what is below ${m.point}`);
        if (fd !== undefined) out.set(m.id, check(r.value(fd), `opening ${m.point}`));
      }
      return out;
    } finally {
      await closeAll(hands, [there ?? -1, back ?? -1]);
    }
  });
}
