import { SYS } from '../../../guest/hands/syscalls.js';
import type { Hands } from '../../../guest/hands/hands.js';
import { DomainError } from '../../errors.js';
import { AT_FDCWD, EAGAIN, F, O } from '../../linux/flags.js';
import { closeAll, making } from '../../linux/making.js';
import { check } from '../../linux/os.js';
import { fileKind } from '../kind.js';

const FIONREAD = 0x541b;
const SPLICE_F_NONBLOCK = 2;

interface PipeState {
  readonly inode: string;
  readonly flags: number;
  readonly size: number;
  /** What was written and not read, piece by piece; known to the reading end. */
  readonly contents: readonly Uint8Array[];
}

/** What a pipe gives at most in one read of ours: a page, as much as one of its pieces holds at most. */
const PIECE = 4096;
const AT_ONCE = 100;

/** In a pipe of packets each piece is one. In any other only the last may be short. */
const arePackets = ({ flags, contents }: PipeState): boolean =>
  (flags & O.DIRECT) !== 0 || contents.slice(0, -1).some((piece) => piece.length < PIECE);

/** Reads a pipe of our own empty. */
async function readPieces(hands: Hands, fd: number): Promise<Uint8Array[]> {
  const out: Uint8Array[] = [];
  for (;;) {
    const b = hands.batch();
    const reads = Array.from({ length: AT_ONCE }, () => {
      const buf = b.out(PIECE);
      return { buf, n: b.mustFind(SYS.read, fd, buf, PIECE) };
    });
    const r = await b.run();
    for (const { buf, n } of reads) {
      if (r.value(n) === -EAGAIN) return out;
      out.push(r.bytes(buf, check(r.value(n), 'reading a pipe')));
    }
  }
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

    // tee() copies without consuming, into a pipe of our own.
    const c = hands.batch();
    const ends = c.out(8);
    c.must(SYS.pipe2, ends, O.CLOEXEC | O.NONBLOCK);
    const view = (await c.run()).view(ends);
    const [read, write] = [view.getInt32(0, true), view.getInt32(4, true)];
    try {
      const d = hands.batch();
      d.call(SYS.fcntl, write, F.SETPIPE_SZ, state.size);
      const copied = d.call(SYS.tee, file.held, write, bytes, SPLICE_F_NONBLOCK);
      check((await d.run()).value(copied), 'reading a pipe');
      const contents = await readPieces(hands, read);
      if (contents.reduce((n, piece) => n + piece.length, 0) !== bytes)
        throw new DomainError('guest', `${state.inode} does not give what is in it`);
      return { ...state, contents };
    } finally {
      await closeAll(hands, [read, write]);
    }
  },
  async restore({ hands, pipes, counters }, state) {
    let ends = pipes.get(state.inode);
    if (ends === undefined) {
      const b = hands.batch();
      const out = b.out(8);
      const made = b.must(SYS.pipe2, out, O.CLOEXEC | O.NONBLOCK);
      const r = await b.run();
      check(r.value(made), 'making a pipe');
      ends = {
        read: r.view(out).getInt32(0, true),
        write: r.view(out).getInt32(4, true),
        filled: false,
        taken: new Set(),
      };
      pipes.set(state.inode, ends);
      await hands.syscall(SYS.fcntl, ends.write, F.SETPIPE_SZ, state.size);
    }
    // Every reading description knows of the same contents.
    if (state.contents.length > 0 && !ends.filled) {
      ends.filled = true;
      const packets = arePackets(state);
      if (packets) await hands.syscall(SYS.fcntl, ends.write, F.SETFL, O.DIRECT | O.NONBLOCK);
      for (let first = 0; first < state.contents.length; first += AT_ONCE) {
        const b = hands.batch();
        const writes = state.contents.slice(first, first + AT_ONCE).map((piece) => ({
          length: piece.length,
          n: b.call(SYS.write, ends.write, b.bytes(piece), piece.length),
        }));
        const r = await b.run();
        for (const { length, n } of writes) {
          if (check(r.value(n), 'filling a pipe') !== length) throw new DomainError('guest', 'a pipe takes too little');
          counters.bytesCopied += length;
        }
      }
      if (packets) await hands.syscall(SYS.fcntl, ends.write, F.SETFL, O.NONBLOCK);
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
