/** What waits in a pseudoterminal to be read, in either direction. It can only be read by taking it out. */
import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError, unsupportedNow } from '../../errors.js';
import { askAll } from '../../linux/ask-all.js';
import { EAGAIN, EBADF, EIO, F, O } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import { LINE_DISCIPLINE } from './filling.js';
import { pour } from './pour.js';
import { isCanonical, TERMIOS, toPutIn, toRead, toTakeAsIs, toWrite, TTY } from './ioctl.js';

const PIECE = 4096;
const PIECES = 20;
/** A kernel keeps some 70 KiB each way: more is not followed. */
const MOST = 512 * 1024;
const TCOON = 1;

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
  await pour(hands, peer, bytes, 'showing again what a terminal had shown', 0, (b, piece, goOn) => {
    b.call(SYS.ioctl, peer, TTY.TCSETS2, b.bytes(toWrite(termios)));
    // One that is stopped takes nothing.
    if (goOn) b.call(SYS.ioctl, peer, TTY.TCXONC, TCOON);
    const n = b.call(SYS.write, peer, b.bytes(piece), piece.length);
    b.call(SYS.ioctl, peer, TTY.TCSETS2, b.bytes(termios));
    return n;
  });
}

export async function termiosOf(hands: Hands, fd: number): Promise<Uint8Array> {
  const b = hands.batch();
  const out = b.out(TERMIOS);
  const n = b.call(SYS.ioctl, fd, TTY.TCGETS2, out);
  const r = await b.run();
  check(r.value(n), 'asking how a terminal is set');
  return r.bytes(out);
}

/** What waits for the slave's side. */
export interface Told {
  /** What the terminal has looked at, as its settings wanted it. */
  readonly pieces: Uint8Array[];
  /** What it had no room to look at yet. */
  readonly later: Uint8Array[];
}

/**
 * Takes out what waits for the slave's side, also what is no whole line. `told`: takes what was read, also where this
 * fails. Put back by {@link putIn}.
 */
export async function takeInput(hands: Hands, slave: number, termios: Uint8Array, told: Told): Promise<void> {
  try {
    const first = await takeSome(hands, slave, toRead(termios));
    told.pieces.push(first.bytes.subarray(0, first.found));
    told.later.push(first.bytes.subarray(first.found));
    // What there is room for now is read as it was written: it is looked at when it is there again.
    for (let taken = 0, n = first.bytes.length; n > 0; taken += n) {
      const { bytes } = await takeSome(hands, slave, toTakeAsIs(termios));
      told.later.push(bytes);
      n = bytes.length;
      if (taken > MOST) throw unsupportedNow('a terminal that is told more and more', 'the domain');
    }
  } finally {
    await setTermios(hands, slave, termios);
  }
}

const NOTHING = { bytes: new Uint8Array(0), found: 0 };

/** Reads once, with the terminal set so; it is left as is. `found`: how much was there before the reading made room. */
async function takeSome(hands: Hands, slave: number, how: Uint8Array): Promise<{ bytes: Uint8Array; found: number }> {
  const b = hands.batch();
  const poll = b.bytes(new Uint8Array(new Int32Array([slave, 1]).buffer));
  const count = b.out(8);
  const buf = b.out(PIECE);
  b.call(SYS.ioctl, slave, TTY.TCSETS2, b.bytes(how));
  // To look has what is on its way arrive.
  b.call(SYS.ppoll, poll, 1, b.bytes(new Uint8Array(16)), 0, 8);
  // Only a look: with nothing there a read would wait.
  const found = b.mustFind(SYS.ppoll, poll, 1, b.bytes(new Uint8Array(16)), 0, 8);
  const asked = b.call(SYS.ioctl, slave, TTY.FIONREAD, count);
  b.call(SYS.ioctl, slave, TTY.TCSETS2, b.bytes(toTakeAsIs(how)));
  const read = b.call(SYS.read, slave, buf, PIECE);
  const r = await b.run();
  if (r.value(found) <= 0) return NOTHING;
  check(r.value(asked), 'asking what a terminal has been told');
  const there = r.view(count).getInt32(0, true);
  // EBADF: it was opened to be written to alone.
  if (there <= 0 || r.value(read) === -EBADF) return NOTHING;
  const bytes = r.bytes(buf, check(r.value(read), 'reading what a terminal has been told'));
  return { bytes, found: Math.min(there, bytes.length) };
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

/**
 * Tells a terminal what it has no room to look at yet. `master`: a descriptor of the hands for the other side, which may be
 * one that waits for room.
 */
export async function tellLater(hands: Hands, master: number, bytes: Uint8Array): Promise<void> {
  if (bytes.length === 0) return;
  const flags = check(await hands.syscall(SYS.fcntl, master, F.GETFL), 'looking at a terminal');
  await pour(hands, master, bytes, 'telling a terminal again what it was told', LINE_DISCIPLINE, (b, piece) => {
    b.call(SYS.fcntl, master, F.SETFL, flags | O.NONBLOCK);
    const n = b.call(SYS.write, master, b.bytes(piece), piece.length);
    b.call(SYS.fcntl, master, F.SETFL, flags);
    return n;
  });
}
