/** ioctl_tty(2): requests, and how a terminal is set (`struct termios2`). */

export const TTY = {
  TCXONC: 0x540a,
  TIOCEXCL: 0x540c,
  TIOCSCTTY: 0x540e,
  TIOCSPGRP: 0x5410,
  TIOCSTI: 0x5412,
  TIOCGWINSZ: 0x5413,
  TIOCSWINSZ: 0x5414,
  FIONREAD: 0x541b,
  TIOCPKT: 0x5420,
  TIOCNOTTY: 0x5422,
  TIOCGETD: 0x5424,
  TIOCGPTPEER: 0x5441,
  TCGETS2: 0x802c542a,
  TCSETS2: 0x402c542b,
  TIOCGPTN: 0x80045430,
  TIOCSPTLCK: 0x40045431,
  TIOCGDEV: 0x80045432,
  TIOCGPKT: 0x80045438,
  TIOCGPTLCK: 0x80045439,
  TIOCGEXCL: 0x80045440,
} as const;

/** `struct winsize`: four u16. */
export const WINSIZE = 8;
/** `struct termios2`: iflag, oflag, cflag, lflag u32, line u8, 19 characters, two speeds u32. */
export const TERMIOS = 44;
const LFLAG = 12;
const CHARACTERS = 17;
const OPOST = 1;
const IXON = 0o2000;
const ICANON = 2;
const EXTPROC = 0o200000;
/** Places among the characters. */
const VEOF = 4;
const VTIME = 5;
const VMIN = 6;
/** These two stop and continue the output, or end a line: a program in packet mode is told where they change. */
const KEPT = [8, 9, 11, 16];

const fieldsOf = (termios: Uint8Array): DataView => new DataView(termios.buffer, termios.byteOffset, termios.length);

export const isCanonical = (termios: Uint8Array): boolean => (fieldsOf(termios).getUint32(LFLAG, true) & ICANON) !== 0;

/** So that whatever waits can be read, also what is no whole line yet. */
export function toRead(termios: Uint8Array): Uint8Array {
  const out = termios.slice();
  const fields = fieldsOf(out);
  fields.setUint32(LFLAG, fields.getUint32(LFLAG, true) & ~ICANON, true);
  out[CHARACTERS + VMIN] = 1;
  out[CHARACTERS + VTIME] = 0;
  return out;
}

/** So that what is read, and what comes when that has made room, is as it was written, and nothing is said of it. */
export function toTakeAsIs(termios: Uint8Array): Uint8Array {
  const out = toRead(termios);
  const fields = fieldsOf(out);
  fields.setUint32(0, 0, true);
  fields.setUint32(LFLAG, 0, true);
  return out;
}

/** So that what is written comes out at the other end as it is. */
export function toWrite(termios: Uint8Array): Uint8Array {
  const out = termios.slice();
  const fields = fieldsOf(out);
  fields.setUint32(4, fields.getUint32(4, true) & ~OPOST, true);
  return out;
}

/** So that nothing but the ends of lines means anything in what is put in; `end` is what ends a line without being part of it. */
export function toPutIn(termios: Uint8Array, end: number): Uint8Array {
  const out = termios.slice();
  const fields = fieldsOf(out);
  fields.setUint32(0, fields.getUint32(0, true) & IXON, true);
  fields.setUint32(LFLAG, fields.getUint32(LFLAG, true) & (ICANON | EXTPROC), true);
  for (let i = 0; i < 19; i++) if (!KEPT.includes(i)) out[CHARACTERS + i] = 0;
  out[CHARACTERS + VMIN] = 1;
  if (isCanonical(termios)) out[CHARACTERS + VEOF] = end;
  return out;
}
