import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported, unsupportedNow } from '../errors.js';
import { AT_FDCWD, O } from '../linux/flags.js';
import { check, parseStat } from '../linux/os.js';
import { readContents, writeContents } from '../memory/carried.js';
import { fileKind } from './kind.js';

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;
const S_IFCHR = 0o020000;

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
  readonly flags: number;
  readonly pos: number;
  readonly mode: number;
  /** Contents to put there, for a file that the domain may have written. */
  readonly contents: Uint8Array | undefined;
}

/**
 * Files, directories and plain devices that are found by a path. What a file holds must be the same on
 * both sides; a file open for writing takes its contents along.
 */
export const pathFile = fileKind<PathFileState>({
  name: 'file',
  keeps: 'flags, offset; contents of what is open for writing or mapped shared and writable',
  refuses: 'file locks, deleted files, devices with a state, open files of /proc and /sys, special files',
  independent: true,
  matches: (view) =>
    view.link.startsWith('/') && !view.link.startsWith('/memfd:') && !view.link.startsWith('/dev/pts/'),
  describe(view) {
    const where = `descriptor ${view.fd} (${view.link})`;
    if (view.link.endsWith(' (deleted)')) throw unsupported('a deleted file', where);
    if (view.link.startsWith('/proc/') || view.link.startsWith('/sys/'))
      throw unsupportedNow('an open file of /proc or /sys', where);
    if (view.info.locked) throw unsupported('a file lock', where);
    if (view.link.startsWith('/dev/') && ![...PLAIN_DEVICES.values()].includes(view.link))
      throw unsupported(`the device ${view.link}`, where);
  },
  async checkpoint({ hands }, file) {
    const { link, info } = file.view;
    const b = hands.batch();
    const stat = b.out(128);
    const n = b.call(SYS.fstat, file.held, stat);
    const r = await b.run();
    check(r.value(n), `looking at ${link}`);
    const { mode, size, rdev } = parseStat(r.view(stat));
    const type = mode & S_IFMT;
    if (type === S_IFCHR && PLAIN_DEVICES.get(Number(rdev)) !== link)
      throw unsupported(`the device ${link}`, `descriptor ${file.view.fd}`);
    if (type !== S_IFREG && type !== S_IFDIR && type !== S_IFCHR) throw unsupported(`a special file`, link);
    let contents: Uint8Array | undefined;
    if (type === S_IFREG && (info.flags & O.ACCMODE) !== O.RDONLY) {
      contents = await readContents(hands, link, size);
    }
    return {
      path: link,
      flags: info.flags & ~(O.CLOEXEC | O.CREAT | O.EXCL | O.TRUNC),
      pos: info.pos,
      mode: mode & 0o7777,
      contents,
    };
  },
  async restore({ hands, counters, carried }, state) {
    if (state.contents !== undefined && !carried.has(state.path)) {
      carried.add(state.path);
      await writeContents(hands, state.path, state.mode, state.contents);
      counters.bytesCopied += state.contents.length;
    }
    const b = hands.batch();
    const fd = b.must(SYS.openat, AT_FDCWD, b.str(state.path), state.flags | O.CLOEXEC, 0);
    if (state.pos !== 0) b.call(SYS.lseek, fd, state.pos, 0);
    return check((await b.run()).value(fd), `opening ${state.path}`);
  },
});
