import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError, unsupported } from '../../errors.js';
import { AT_FDCWD, O } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import { addObject } from '../../memory/objects.js';
import { fileKind } from '../kind.js';

/** f_type of hugetlbfs. */
const HUGETLBFS = 0x958458f6n;

interface MemoryFileState {
  readonly object: string;
  readonly flags: number;
  readonly pos: number;
}

/** Open descriptions of memory objects: memfds, and descriptors of shared anonymous memory. */
export const memoryFile = fileKind<MemoryFileState>({
  name: 'memory object',
  keeps:
    'memfds with their contents, names, owners, permissions and seals; programs executed out of them; descriptors of shared anonymous memory',
  refuses: 'memfds of huge pages',
  matches: (view) => view.link.startsWith('/memfd:') || view.link.startsWith('/dev/zero (deleted)'),
  async inspect({ hands }, file) {
    const b = hands.batch();
    const fs = b.out(120);
    const n = b.call(SYS.fstatfs, file.held, fs);
    const r = await b.run();
    check(r.value(n), `looking at ${file.view.link}`);
    if (r.view(fs).getBigUint64(0, true) === HUGETLBFS)
      throw unsupported('huge pages that were set aside (hugetlbfs)', file.view.link);
  },
  async checkpoint({ hands, objects }, file) {
    // The object's note keeps a descriptor of its own, of a description of its own.
    const b = hands.batch();
    const how = O.RDONLY | O.NOATIME | O.CLOEXEC;
    const own = b.call(SYS.openat, AT_FDCWD, b.str(`/proc/self/fd/${file.held}`), how, 0);
    const fd = check((await b.run()).value(own), `opening ${file.view.link}`);
    const { flags, pos } = file.view.info;
    const path = file.view.link.replace(/ \(deleted\)$/, '');
    return { object: await addObject(hands, fd, path, objects), flags: flags & ~O.CLOEXEC, pos };
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
