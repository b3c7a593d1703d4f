/** What waits in a pipe or a named FIFO: it is looked at without being taken out, and written anew. */
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { EAGAIN, F, O } from '../linux/flags.js';
import { closeAll } from '../linux/making.js';
import { check } from '../linux/os.js';

export const FIONREAD = 0x541b;
const SPLICE_F_NONBLOCK = 2;
/** What a pipe gives at most in one read of ours: a page, as much as one of its pieces holds at most. */
const PIECE = 4096;
const AT_ONCE = 100;

/** Makes a pipe whose ends do not block; answers descriptors of the hands. */
export async function makePipe(hands: Hands): Promise<{ readonly read: number; readonly write: number }> {
  const b = hands.batch();
  const ends = b.out(8);
  const made = b.call(SYS.pipe2, ends, O.CLOEXEC | O.NONBLOCK);
  const r = await b.run();
  check(r.value(made), 'making a pipe');
  return { read: r.view(ends).getInt32(0, true), write: r.view(ends).getInt32(4, true) };
}

/**
 * The bytes that wait in a pipe, piece by piece: tee(2) copies without consuming, into a pipe of our own. `fd`: a
 * descriptor of the hands that may read; `size`: the pipe's.
 */
export async function peekPipe(
  hands: Hands,
  fd: number,
  size: number,
  bytes: number,
  what: string,
): Promise<Uint8Array[]> {
  const { read, write } = await makePipe(hands);
  try {
    const b = hands.batch();
    b.call(SYS.fcntl, write, F.SETPIPE_SZ, size);
    const copied = b.call(SYS.tee, fd, write, bytes, SPLICE_F_NONBLOCK);
    check((await b.run()).value(copied), `reading ${what}`);
    const contents = await readPieces(hands, read, what);
    if (contents.reduce((n, piece) => n + piece.length, 0) !== bytes)
      throw new DomainError('guest', `${what} does not give what is in it`);
    return contents;
  } finally {
    await closeAll(hands, [read, write]);
  }
}

/** Reads a pipe of our own empty. */
async function readPieces(hands: Hands, fd: number, what: string): Promise<Uint8Array[]> {
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
      out.push(r.bytes(buf, check(r.value(n), `reading ${what}`)));
    }
  }
}

/**
 * Writes what was seen into an empty pipe of the right size, by an end that does not block; answers the bytes. `packets`:
 * it is one of packets. One that is not has only its last piece short; where another is, each has been a packet.
 */
export async function fillPipe(
  hands: Hands,
  write: number,
  contents: readonly Uint8Array[],
  packets = false,
): Promise<number> {
  const apart = packets || contents.slice(0, -1).some((piece) => piece.length < PIECE);
  if (apart) check(await hands.syscall(SYS.fcntl, write, F.SETFL, O.DIRECT | O.NONBLOCK), 'setting a pipe to packets');
  let bytes = 0;
  for (let first = 0; first < contents.length; first += AT_ONCE) {
    const b = hands.batch();
    const writes = contents.slice(first, first + AT_ONCE).map((piece) => ({
      length: piece.length,
      n: b.call(SYS.write, write, b.bytes(piece), piece.length),
    }));
    const r = await b.run();
    for (const { length, n } of writes) {
      if (check(r.value(n), 'filling a pipe') !== length) throw new DomainError('guest', 'a pipe takes too little');
      bytes += length;
    }
  }
  if (apart) check(await hands.syscall(SYS.fcntl, write, F.SETFL, O.NONBLOCK), 'setting a pipe back');
  return bytes;
}
