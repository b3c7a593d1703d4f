import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError, unsupported, unsupportedNow } from '../errors.js';
import { NAMELESS } from '../files/ghost.js';
import { inodeKey, S_IF, S_IFMT } from '../files/inode.js';
import { AT_FDCWD, F, O } from '../linux/flags.js';
import { check, parseStat, type Stat } from '../linux/os.js';
import { nameOf } from '../proc/survey.js';
import { makerKey } from './carried-files.js';
import { fileKind, type OpenFile } from './kind.js';

/** Character devices that are the same in every OS instance, by `major << 8 | minor`. */
const PLAIN_DEVICES = new Map([
  [0x103, '/dev/null'],
  [0x105, '/dev/zero'],
  [0x107, '/dev/full'],
  [0x108, '/dev/random'],
  [0x109, '/dev/urandom'],
]);

interface PathFileState {
  readonly path: string;
  /** Key of a file whose name is gone. */
  readonly ghost: string | undefined;
  readonly flags: number;
  readonly pos: number;
}

/** How a file was opened once, and what its description does not remember. */
const SETTLED = O.CLOEXEC | O.CREAT | O.EXCL | O.TRUNC;
/** What can be set of a description that is there. */
const CHANGEABLE = O.APPEND | O.NONBLOCK | O.DIRECT | O.NOATIME;

/** Files, directories and plain devices that are or were found by a path. What is in them is another kind's (carried-files.ts). */
export const pathFile = fileKind<PathFileState>({
  name: 'file',
  keeps: 'flags, offset',
  refuses: 'file locks, devices with a state, open files of /proc and /sys, special files',
  independent: true,
  matches: (view) =>
    view.link.startsWith('/') && !view.link.startsWith('/memfd:') && !view.link.startsWith('/dev/pts/'),
  describe(view) {
    const where = `descriptor ${view.fd} (${view.link})`;
    if (view.link.startsWith('/proc/') || view.link.startsWith('/sys/'))
      throw unsupportedNow('an open file of /proc or /sys', where);
    if (view.info.locked) throw unsupported('a file lock', where);
  },
  async inspect({ hands }, file) {
    refuseSpecial(file, await statOf(hands, file.held, file.view.link));
  },
  async checkpoint({ hands }, file) {
    const { link, info, deleted } = file.view;
    const stat = await statOf(hands, file.held, link);
    // What was opened since the look.
    refuseSpecial(file, stat);
    return {
      path: nameOf(file.view),
      ghost: deleted ? inodeKey(stat.dev, stat.ino) : undefined,
      flags: info.flags & ~SETTLED,
      pos: info.pos,
    };
  },
  async restore({ hands, anchor, objectFds }, state) {
    const b = hands.batch();
    const { path, ghost, flags, pos } = state;
    const maker = ghost === undefined ? undefined : objectFds.get(makerKey(ghost));
    let fd;
    if (ghost === undefined) {
      fd = b.must(SYS.openat, AT_FDCWD, b.str(`/proc/${anchor.pid}/root${path}`), flags | O.CLOEXEC, 0);
    } else if ((flags & NAMELESS) !== 0 && maker !== undefined) {
      fd = b.must(SYS.fcntl, maker, F.DUPFD_CLOEXEC, 0);
      b.call(SYS.fcntl, fd, F.SETFL, flags & CHANGEABLE);
    } else {
      const made = objectFds.get(ghost);
      if (made === undefined) throw new DomainError('state', `${path} was not made`);
      // Its place is a link, which is to be followed.
      fd = b.must(SYS.openat, AT_FDCWD, b.str(`/proc/self/fd/${made}`), (flags & ~O.NOFOLLOW) | O.CLOEXEC, 0);
    }
    if (pos !== 0) b.call(SYS.lseek, fd, pos, 0);
    return check((await b.run()).value(fd), `opening ${path}`);
  },
});

function refuseSpecial({ view }: OpenFile, { mode, rdev }: Stat): void {
  if ((view.info.flags & O.PATH) !== 0) return;
  const type = mode & S_IFMT;
  if (type === S_IF.CHR && PLAIN_DEVICES.has(Number(rdev))) return;
  if (type === S_IF.CHR || type === S_IF.BLK) throw unsupported(`the device ${view.link}`, `descriptor ${view.fd}`);
  if (type !== S_IF.REG && type !== S_IF.DIR) throw unsupported('a special file', view.link);
}

async function statOf(hands: Hands, fd: number, what: string): Promise<Stat> {
  const b = hands.batch();
  const stat = b.out(128);
  const n = b.call(SYS.fstat, fd, stat);
  const r = await b.run();
  check(r.value(n), `looking at ${what}`);
  return parseStat(r.view(stat));
}
