import { SYS } from '../../../guest/hands/syscalls.js';
import { FIONREAD, fillPipe, makePipe, peekPipe } from '../../files/pipe-contents.js';
import { AT_FDCWD, F, O } from '../../linux/flags.js';
import { making } from '../../linux/making.js';
import { check } from '../../linux/os.js';
import { fileKind } from '../kind.js';

interface PipeState {
  readonly inode: string;
  readonly flags: number;
  readonly size: number;
  /** What was written and not read, piece by piece; known to the reading end. */
  readonly contents: readonly Uint8Array[];
}

/** Pipes, with what is in them. Each open end is a file of its own; the first to be restored makes both. */
export const pipe = fileKind<PipeState>({
  name: 'pipe',
  keeps: 'contents with the bounds of packets, size, flags, each open end',
  independent: true,
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
      contents: [],
    };
    if (bytes === 0 || (flags & O.ACCMODE) === O.WRONLY) return state;
    return { ...state, contents: await peekPipe(hands, file.held, state.size, bytes, state.inode) };
  },
  async restore({ hands, pipes, counters }, state) {
    let ends = pipes.get(state.inode);
    if (ends === undefined) {
      ends = { ...(await makePipe(hands)), filled: false, taken: new Set() };
      pipes.set(state.inode, ends);
      check(await hands.syscall(SYS.fcntl, ends.write, F.SETPIPE_SZ, state.size), 'sizing a pipe');
    }
    // Every reading description knows of the same contents.
    if (state.contents.length > 0 && !ends.filled) {
      ends.filled = true;
      counters.bytesCopied += await fillPipe(hands, ends.write, state.contents, (state.flags & O.DIRECT) !== 0);
    }
    // One description per open file: the end itself for the first, a new one through /proc for any other.
    const mode = state.flags & O.ACCMODE;
    const end = mode === O.WRONLY ? ends.write : ends.read;
    const b = hands.batch();
    const taken = mode === O.RDWR || ends.taken.has(end);
    ends.taken.add(end);
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
