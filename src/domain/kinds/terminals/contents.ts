/** What waits in a pseudoterminal to be read, in either direction. It can only be read by taking it out. */
import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError, unsupportedNow } from '../../errors.js';
import { askAll } from '../../linux/ask-all.js';
import { EAGAIN, EBADF, F, O } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import { endsOfWrites, SMALLEST_WRITE } from './filling.js';
import { isCanonical, TERMIOS, toPutIn, toRead, toWrite, TTY } from './ioctl.js';

const PIECE = 4096;
const PIECES = 20;
/** How often one waits for room in a terminal. */
const TURNS = 200;
/** After so many less is written at once: there may be room for that. */
const PATIENT_TURNS = 50;
/** A kernel keeps some 70 KiB each way: more is not followed. */
const MOST = 512 * 1024;
export const EIO = 5;

/**
 * Takes out what the slave's side has written. `flags`: the status flags of the description; `pieces`: takes what was read,
 * also where this fails. Put back by {@link writeOutput}.
 */
export async function takeOutput(
  hands: Hands,
  master: number,
  flags: number,
  packets: boolean,
  pieces: Uint8Array[],
): Promise<void> {
  for (let ended = false; !ended;) {
    const b = hands.batch();
    // Packets would have a byte before each.
    const off = b.call(SYS.ioctl, master, TTY.TIOCPKT, b.bytes(new Uint8Array(4)));
    const unblocked = b.call(SYS.fcntl, master, F.SETFL, flags | O.NONBLOCK);
    const reads = Array.from({ length: PIECES }, () => {
      const buf = b.out(PIECE);
      return { buf, n: b.call(SYS.read, master, buf, PIECE) };
    });
    b.call(SYS.fcntl, master, F.SETFL, flags);
    b.call(SYS.ioctl, master, TTY.TIOCPKT, b.bytes(new Uint8Array([packets ? 1 : 0, 0, 0, 0])));
    const r = await b.run();
    for (const ref of [off, unblocked]) check(r.value(ref), 'reading what a terminal has shown');
    for (const { buf, n } of reads) {
      const length = r.value(n);
      // EIO: all is read, and nobody is at the other side.
      if (length === -EAGAIN || length === -EIO || length === 0) ended = true;
      else pieces.push(r.bytes(buf, check(length, 'reading what a terminal has shown')));
    }
    if (pieces.length * PIECE > MOST) throw unsupportedNow('a terminal that shows more and more', 'the domain');
  }
}

/** Has the slave's side write it. `peer`: a descriptor of the slave. */
export async function writeOutput(hands: Hands, peer: number, bytes: Uint8Array): Promise<void> {
  const termios = await termiosOf(hands, peer);
  const ends = endsOfWrites(bytes.length);
  for (let at = 0, turns = 0; at < bytes.length;) {
    const end = ends.find((one) => one > at);
    const piece = bytes.subarray(at, turns > PATIENT_TURNS ? Math.min(end ?? at, at + SMALLEST_WRITE) : end);
    const b = hands.batch();
    b.call(SYS.ioctl, peer, TTY.TCSETS2, b.bytes(toWrite(termios)));
    const n = b.call(SYS.write, peer, b.bytes(piece), piece.length);
    b.call(SYS.ioctl, peer, TTY.TCSETS2, b.bytes(termios));
    const wrote = (await b.run()).value(n);
    // One that was full is full before the kernel, in its own time, has passed on the first of it.
    if (wrote === -EAGAIN && ++turns < TURNS) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      continue;
    }
    check(wrote, `showing again what a terminal had shown (${at} of ${bytes.length} bytes)`);
    if (wrote === 0) throw new DomainError('guest', 'a terminal shows nothing of what it had shown');
    at += wrote;
  }
}

export async function termiosOf(hands: Hands, fd: number): Promise<Uint8Array> {
  const b = hands.batch();
  const out = b.out(TERMIOS);
  const n = b.call(SYS.ioctl, fd, TTY.TCGETS2, out);
  const r = await b.run();
  check(r.value(n), 'asking how a terminal is set');
  return r.bytes(out);
}

/**
 * Takes out what waits for the slave's side, also what is no whole line. `pieces`: takes what was read, also where this
 * fails. Put back by {@link putIn}.
 */
export async function takeInput(hands: Hands, slave: number, termios: Uint8Array, pieces: Uint8Array[]): Promise<void> {
  try {
    for (let taken = 0, ended = false; !ended;) {
      const n = await takeSome(hands, slave, termios, pieces);
      ended = n <= 0;
      taken += n;
      if (taken > MOST) throw unsupportedNow('a terminal that is told more and more', 'the domain');
    }
  } finally {
    await setTermios(hands, slave, termios);
  }
}

/** Reads once; answers how many bytes there were. The terminal is left as it is set for that. */
async function takeSome(hands: Hands, slave: number, termios: Uint8Array, pieces: Uint8Array[]): Promise<number> {
  const b = hands.batch();
  const poll = b.bytes(new Uint8Array(new Int32Array([slave, 1]).buffer));
  const count = b.out(8);
  const buf = b.out(PIECE);
  b.call(SYS.ioctl, slave, TTY.TCSETS2, b.bytes(toRead(termios)));
  // To look has what is on its way arrive.
  b.call(SYS.ppoll, poll, 1, b.bytes(new Uint8Array(16)), 0, 8);
  // Only a look: with nothing there a read would wait.
  const found = b.mustFind(SYS.ppoll, poll, 1, b.bytes(new Uint8Array(16)), 0, 8);
  const asked = b.call(SYS.ioctl, slave, TTY.FIONREAD, count);
  const read = b.call(SYS.read, slave, buf, PIECE);
  const r = await b.run();
  if (r.value(found) <= 0) return 0;
  check(r.value(asked), 'asking what a terminal has been told');
  // EBADF: it was opened to be written to alone.
  if (r.view(count).getInt32(0, true) <= 0 || r.value(read) === -EBADF) return 0;
  const n = check(r.value(read), 'reading what a terminal has been told');
  if (n > 0) pieces.push(r.bytes(buf, n));
  return n;
}

async function setTermios(hands: Hands, fd: number, termios: Uint8Array): Promise<void> {
  const b = hands.batch();
  const n = b.call(SYS.ioctl, fd, TTY.TCSETS2, b.bytes(termios));
  check((await b.run()).value(n), 'setting a terminal');
}

/** Puts in what had been typed, as if it came from the master's side. Of an end of input a NUL tells. */
export async function putIn(hands: Hands, slave: number, bytes: Uint8Array, termios: Uint8Array): Promise<void> {
  if (bytes.length === 0) return;
  const canonical = isCanonical(termios);
  // Without lines there are no ends of them, nor of the input.
  const free = (c: number): boolean => c !== 10 && !bytes.includes(c);
  const end = canonical ? Array.from({ length: 255 }, (_, i) => 255 - i).find(free) : 0;
  if (end === undefined) throw new DomainError('guest', 'a terminal was told every byte that there is');
  await setTermios(hands, slave, toPutIn(termios, end));
  const results = await askAll(hands, [...bytes], 1, (b, byte) => {
    const n = b.call(SYS.ioctl, slave, TTY.TIOCSTI, b.bytes(new Uint8Array([canonical && byte === 0 ? end : byte])));
    return (r) => r.value(n);
  });
  await setTermios(hands, slave, termios);
  for (const result of results) check(result, 'telling a terminal again what it was told');
}
