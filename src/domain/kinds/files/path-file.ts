import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError, unsupported } from '../../errors.js';
import { NAMELESS } from '../../files/ghost.js';
import { isKernelFile, openKernelFile, refuseKernelFile } from '../../files/kernel-files.js';
import { lookIntoFifo, openFifo, settleFifo, type FifoState } from '../../files/fifo.js';
import { goBehind, namesBefore } from '../../files/folder-position.js';
import { inodeKey, lookAtInode, S_IF, S_IFMT, setTimes, type Inode } from '../../files/inode.js';
import { addLock, checkLock } from '../../files/locks.js';
import { makeMissing } from '../../files/node.js';
import { AT_FDCWD, F, O } from '../../linux/flags.js';
import { check, parseStat, type Stat } from '../../linux/os.js';
import { making } from '../../linux/making.js';
import { together } from '../../together.js';
import { locksOf, type Lock } from '../../proc/locks.js';
import { nameOf } from '../../proc/survey.js';
import { makerKey } from './carried-files.js';
import { fileKind, type LookContext, type OpenFile, type RestoreContext } from '../kind.js';

/** Character devices without a state, `major << 8 | minor`: null, zero, full, random, urandom. */
const PLAIN_DEVICES = new Set([0x103, 0x105, 0x107, 0x108, 0x109]);

interface PathFileState {
  readonly path: string;
  /** Where it is opened, if not by its name. */
  readonly place: string | undefined;
  /** Key of a file whose name is gone. */
  readonly ghost: string | undefined;
  readonly flags: number;
  readonly pos: number;
  /** Of the open file itself; those of a process are another kind's (record-locks.ts). */
  readonly locks: readonly Lock[];
  /** Anything but a regular file: it is made where it is missing. */
  readonly node: Inode | undefined;
  /** Of an open end of a FIFO. */
  readonly fifo: FifoState | undefined;
  /** Of a folder that is being read: the names that were. */
  readonly read: readonly string[] | undefined;
}

/** How a file was opened once, and what its description does not remember. */
const SETTLED = O.CLOEXEC | O.CREAT | O.EXCL | O.TRUNC;
/** What can be set of a description that is there. */
const CHANGEABLE = O.APPEND | O.NONBLOCK | O.DIRECT | O.NOATIME;

/** Files, directories and plain devices that are or were found by a path. What is in them is another kind's (carried-files.ts). */
export const pathFile = fileKind<PathFileState>({
  name: 'file',
  keeps:
    'flags, offset, locks (flock, open file description locks), the place in a folder that is being read; named FIFOs with what waits in them; null, zero, full and random devices by any name; places (O_PATH)',
  refuses: 'devices with a state; files of /proc of processes that have ended, and such with a state',
  independent: true,
  matches: (view) =>
    view.link.startsWith('/') && !view.link.startsWith('/memfd:') && !view.link.startsWith('/dev/pts/'),
  describe(view) {
    const where = `descriptor ${view.fd} (${view.link})`;
    for (const { kind, type } of locksOf(view.info, where))
      // Its contents can only be read by itself: whoever else opens the file breaks the lease.
      if (kind === 'lease' && type === 'write' && (view.info.flags & O.ACCMODE) !== O.RDWR)
        throw unsupported('a write lease by a descriptor that cannot read and write', where);
  },
  async inspect(context, file) {
    refuseSpecial(context, file, await statOf(context.hands, file.held, file.view.link));
  },
  async checkpoint(context, file) {
    const { hands } = context;
    const { link, info, deleted } = file.view;
    const stat = await statOf(hands, file.held, link);
    // What was opened since the look.
    refuseSpecial(context, file, stat);
    const { flags, pos } = info;
    const key = inodeKey(stat.dev, stat.ino);
    const type = stat.mode & S_IFMT;
    const isKernel = isKernelFile(nameOf(file.view));
    const isPlace = (flags & O.PATH) !== 0;
    const [node, fifo, read] = await together([
      type === S_IF.REG || deleted || isKernel ? undefined : lookAtInode(hands, file.held, link, true),
      type === S_IF.FIFO && !isPlace ? lookIntoFifo(hands, file.held, key, flags) : undefined,
      type === S_IF.DIR && pos !== 0 && !isKernel ? namesBefore(hands, `/proc/self/fd/${file.held}`, pos) : undefined,
    ]);
    const locks = locksOf(info, link).filter((l) => l.kind === 'flock' || l.kind === 'ofd');
    return {
      path: nameOf(file.view),
      place: file.view.place,
      ghost: deleted ? key : undefined,
      flags: flags & ~SETTLED,
      pos,
      locks,
      node,
      fifo,
      read,
    };
  },
  async restore(context, state) {
    const { hands, objectFds } = context;
    const { path, ghost, flags, pos, locks, node, fifo, read } = state;
    if (isKernelFile(path)) return locked(hands, await reopen(context, path, flags, pos), locks, path);
    const at = wayTo(context, state);
    if (node !== undefined) await makeMissing(hands, at, node);
    // The place of a ghost is a link, which is to be followed.
    const how = ghost === undefined ? flags : flags & ~O.NOFOLLOW;
    if (fifo !== undefined) return locked(hands, await openFifo(context, at, how, fifo), locks, path);
    const maker = ghost === undefined ? undefined : objectFds.get(makerKey(ghost));
    const b = hands.batch();
    let fd;
    if ((flags & NAMELESS) !== 0 && maker !== undefined) {
      fd = b.must(SYS.fcntl, maker, F.DUPFD_CLOEXEC, 0);
      b.call(SYS.fcntl, fd, F.SETFL, flags & CHANGEABLE);
    } else {
      fd = b.must(SYS.openat, AT_FDCWD, b.str(at), how | O.CLOEXEC, 0);
    }
    if (pos !== 0 && read === undefined) b.call(SYS.lseek, fd, pos, 0);
    const opened = check((await b.run()).value(fd), `opening ${path}`);
    return making(hands, async (note) => {
      note(opened);
      if (read !== undefined) await goBehind(hands, opened, read, path);
      return opened;
    }).then((made) => locked(hands, made, locks, path));
  },
  async connect(user, _, state) {
    const { fifo, node } = state;
    if (fifo === undefined) return;
    const at = wayTo(user.context, state);
    await settleFifo(user.context, at, fifo);
    // What was written into it shall not be seen.
    if (node !== undefined) await setTimes(user.context.hands, at, node, false);
  },
});

/** Opens a file of /proc or /sys again, at its place. What cannot be gone about in has none. */
async function reopen(context: RestoreContext, path: string, flags: number, pos: number): Promise<number> {
  const fd = await openKernelFile(context, path, flags);
  if (pos === 0) return fd;
  const b = context.hands.batch();
  b.call(SYS.lseek, fd, pos, 0);
  // Going there has the kernel make what the file says, of a process that is not complete yet. Read elsewhere, it is made
  // anew when the process reads on.
  if (path.startsWith('/proc/')) b.call(SYS.pread64, fd, b.out(1), 1, pos === 1 ? 1 : 0);
  await b.run();
  return fd;
}

/** Takes the locks that an open file has; answers it. */
async function locked(hands: Hands, fd: number, locks: readonly Lock[], path: string): Promise<number> {
  if (locks.length === 0) return fd;
  return making(hands, async (note) => {
    note(fd);
    const b = hands.batch();
    const refs = locks.map((lock) => addLock(b, fd, lock));
    const r = await b.run();
    for (const ref of refs) checkLock(r.value(ref), path);
    return fd;
  });
}

/** Where the hands find the file. */
function wayTo({ anchor, objectFds }: RestoreContext, { path, place, ghost }: PathFileState): string {
  if (ghost === undefined) return anchor.way(place ?? path);
  const made = objectFds.get(ghost);
  if (made === undefined) throw new DomainError('state', `${path} was not made`);
  return `/proc/self/fd/${made}`;
}

function refuseSpecial(context: LookContext, { view }: OpenFile, { mode, rdev }: Stat): void {
  if (isKernelFile(nameOf(view))) return refuseKernelFile(context, nameOf(view), view.info.flags);
  if ((view.info.flags & O.PATH) !== 0) return;
  const type = mode & S_IFMT;
  if (type === S_IF.CHR && PLAIN_DEVICES.has(Number(rdev))) return;
  if (type === S_IF.CHR || type === S_IF.BLK) throw unsupported(`the device ${view.link}`, `descriptor ${view.fd}`);
  if (type !== S_IF.REG && type !== S_IF.DIR && type !== S_IF.FIFO) throw unsupported('a special file', view.link);
}

async function statOf(hands: Hands, fd: number, what: string): Promise<Stat> {
  const b = hands.batch();
  const stat = b.out(128);
  const n = b.call(SYS.fstat, fd, stat);
  const r = await b.run();
  check(r.value(n), `looking at ${what}`);
  return parseStat(r.view(stat));
}
