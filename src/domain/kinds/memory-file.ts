import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { AT_FDCWD, O } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { addObject } from '../memory/objects.js';
import { fileKind } from './kind.js';

interface MemoryFileState {
  readonly object: string;
  readonly flags: number;
  readonly pos: number;
}

/** Open descriptions of memory objects: memfds, and descriptors of shared anonymous memory. */
export const memoryFile = fileKind<MemoryFileState>({
  name: 'memory object',
  keeps: 'memfds with their contents and seals, descriptors of shared anonymous memory',
  matches: (view) => view.link.startsWith('/memfd:') || view.link.startsWith('/dev/zero (deleted)'),
  async checkpoint({ hands, objects }, file) {
    // The object's note keeps a descriptor of its own, of a description of its own.
    const b = hands.batch();
    const own = b.call(SYS.openat, AT_FDCWD, b.str(`/proc/self/fd/${file.held}`), O.RDONLY | O.CLOEXEC, 0);
    const fd = check((await b.run()).value(own), `opening ${file.view.link}`);
    const { flags, pos } = file.view.info;
    return { object: await addObject(hands, fd, file.view.link, objects), flags: flags & ~O.CLOEXEC, pos };
  },
  async restore({ hands, objectFds }, state) {
    const object = objectFds.get(state.object);
    if (object === undefined) throw new DomainError('state', 'a memory object was not made');
    const b = hands.batch();
    const fd = b.must(SYS.openat, AT_FDCWD, b.str(`/proc/self/fd/${object}`), state.flags | O.CLOEXEC, 0);
    if (state.pos !== 0) b.call(SYS.lseek, fd, state.pos, 0);
    return check((await b.run()).value(fd), 'opening a memory object');
  },
});
