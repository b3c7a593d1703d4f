import { SYS } from '../../guest/hands/syscalls.js';
import { AT_FDCWD, F, O } from '../linux/flags.js';
import { making } from '../linux/making.js';
import { check } from '../linux/os.js';
import { fileKind } from './kind.js';

const FIONREAD = 0x541b;
const SPLICE_F_NONBLOCK = 2;

interface PipeState {
  readonly inode: string;
  readonly flags: number;
  readonly size: number;
  /** What was written and not read; known to the reading end. */
  readonly contents: Uint8Array;
}

/** Pipes, with what is in them. Each open end is a file of its own; the first to be restored makes both. */
export const pipe = fileKind<PipeState>({
  name: 'pipe',
  keeps: 'contents, size, flags, each open end',
  queue: (state) => state.inode,
  matches: (view) => view.link.startsWith('pipe:['),
  async checkpoint({ hands }, file) {
    const flags = file.view.info.flags & ~O.CLOEXEC;
    const b = hands.batch();
    const length = b.out(8);
    const size = b.call(SYS.fcntl, file.held, F.GETPIPE_SZ);
    const looked = b.call(SYS.ioctl, file.held, FIONREAD, length);
    const r = await b.run();
    check(r.value(looked), 'looking into a pipe');
    const bytes = r.view(length).getInt32(0, true);
    const state = {
      inode: file.view.link,
      flags,
      size: check(r.value(size), 'looking at a pipe'),
      contents: new Uint8Array(0),
    };
    if (bytes === 0 || (flags & O.ACCMODE) === O.WRONLY) return state;

    // tee() copies without consuming, into a pipe of our own.
    const c = hands.batch();
    const ends = c.out(8);
    c.must(SYS.pipe2, ends, O.CLOEXEC | O.NONBLOCK);
    const view = (await c.run()).view(ends);
    const [read, write] = [view.getInt32(0, true), view.getInt32(4, true)];
    const d = hands.batch();
    d.call(SYS.fcntl, write, F.SETPIPE_SZ, state.size);
    const copied = d.call(SYS.tee, file.held, write, bytes, SPLICE_F_NONBLOCK);
    const buf = d.out(bytes);
    const got = d.call(SYS.read, read, buf, bytes);
    d.call(SYS.close, read);
    d.call(SYS.close, write);
    const dr = await d.run();
    check(dr.value(copied), 'reading a pipe');
    return { ...state, contents: dr.bytes(buf, check(dr.value(got), 'reading a pipe')) };
  },
  async restore({ hands, pipes, counters, fileFds }, state) {
    let ends = pipes.get(state.inode);
    if (ends === undefined) {
      const b = hands.batch();
      const out = b.out(8);
      const made = b.must(SYS.pipe2, out, O.CLOEXEC | O.NONBLOCK);
      const r = await b.run();
      check(r.value(made), 'making a pipe');
      ends = { read: r.view(out).getInt32(0, true), write: r.view(out).getInt32(4, true), filled: false };
      pipes.set(state.inode, ends);
      await hands.syscall(SYS.fcntl, ends.write, F.SETPIPE_SZ, state.size);
    }
    // Every reading description knows of the same contents.
    if (state.contents.length > 0 && !ends.filled) {
      ends.filled = true;
      const b = hands.batch();
      const wrote = b.call(SYS.write, ends.write, b.bytes(state.contents), state.contents.length);
      check((await b.run()).value(wrote), 'filling a pipe');
      counters.bytesCopied += state.contents.length;
    }
    // One description per open file: the end itself for the first, a new one through /proc for any other.
    const mode = state.flags & O.ACCMODE;
    const end = mode === O.WRONLY ? ends.write : ends.read;
    const b = hands.batch();
    const taken = mode === O.RDWR || [...fileFds.values()].includes(end);
    const fd = taken
      ? b.must(SYS.openat, AT_FDCWD, b.str(`/proc/self/fd/${end}`), mode | O.CLOEXEC | O.NONBLOCK, 0)
      : undefined;
    const flagged = b.must(SYS.fcntl, fd ?? end, F.SETFL, state.flags);
    const r = await b.run();
    return making(hands, (note) => {
      const made = fd === undefined ? end : note(check(r.value(fd), 'opening a pipe again'));
      check(r.value(flagged), 'setting the flags of a pipe');
      return Promise.resolve(made);
    });
  },
});
