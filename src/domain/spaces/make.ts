import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import type { RestoreContext } from '../kinds/kind.js';
import { AT_FDCWD, O } from '../linux/flags.js';
import { INIT } from '../linux/inside.js';
import { closeAll, making } from '../linux/making.js';
import { check } from '../linux/os.js';
import type { SpaceSort } from './space.js';

/**
 * Makes a namespace: the hands leave their own for a moment. `like`: a path that leads to the one of which it is to be a
 * copy, where that is not the hands'. Answers a descriptor of the hands, by which it stays there.
 */
export function makeSpace(
  hands: Hands,
  { name, flag }: Pick<SpaceSort, 'name' | 'flag'>,
  like?: string,
): Promise<number> {
  return making(hands, async (note) => {
    const b = hands.batch();
    const back = b.must(SYS.pidfd_open, INIT, 0);
    // In another mount namespace there is no /proc in which the hands would find themselves.
    const own = b.must(SYS.openat, AT_FDCWD, b.str('/proc/self/ns'), O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
    const from = like === undefined ? undefined : b.must(SYS.openat, AT_FDCWD, b.str(like), O.RDONLY | O.CLOEXEC, 0);
    const entered = from === undefined ? undefined : b.must(SYS.setns, from, flag);
    // From here on the batch must reach its end.
    const left = b.call(SYS.unshare, flag);
    const made = b.call(SYS.openat, own, b.str(name), O.RDONLY | O.CLOEXEC, 0);
    const home = b.call(SYS.setns, back, flag);
    const r = await b.run();
    const fd = note(r.value(made));
    await closeAll(
      hands,
      [back, own, ...(from === undefined ? [] : [from])].map((f) => r.value(f)),
    );
    check(r.value(back), 'finding the way back from a namespace');
    if (entered !== undefined) check(r.value(entered), `entering a ${name} namespace`);
    check(r.value(home), `coming back from a ${name} namespace`);
    check(r.value(left), `making a ${name} namespace`);
    return check(fd, `holding a ${name} namespace`);
  });
}

/** Notes a descriptor of the destination's hands until the restoration is over. */
export function keepSpace({ hands, objectFds, undo }: RestoreContext, key: string, fd: number): void {
  objectFds.set(key, fd);
  undo.add('closing a namespace', async () => {
    if (objectFds.delete(key)) await closeAll(hands, [fd]);
  });
}
