/**
 * What the host has of a domain's program: the end of a pipe that is its standard input, the master of its terminal. Both
 * are descriptors of the hands, never of the domain's processes; a move takes them along (kinds/host-ends.ts).
 */
import { SYS } from '../../guest/hands/syscalls.js';
import { makePipe } from '../files/pipe-contents.js';
import { TTY, WINSIZE } from '../kinds/terminals/ioctl.js';
import { AT_FDCWD, F, O, SIG } from '../linux/flags.js';
import { closeAll, making } from '../linux/making.js';
import { check, open } from '../linux/os.js';
import { only } from '../trace/stop-signal.js';
import type { Anchor } from './anchor.js';

/** Which it is. */
export type HostEnd = 'stdin' | 'terminal';

/** Of a terminal, in characters. */
export interface WindowSize {
  readonly columns: number;
  readonly rows: number;
}

const MOST_CELLS = 0xffff;

export const isWindowSize = ({ columns, rows }: WindowSize): boolean =>
  [columns, rows].every((n) => Number.isInteger(n) && n > 0 && n <= MOST_CELLS);

/** Makes the pipe; answers a descriptor of the hands for its reading end, which the caller closes. */
export async function makeInput(anchor: Anchor): Promise<number> {
  const { hands } = anchor;
  // Whoever writes to a program that reads no more must not be ended for it.
  const b = hands.batch();
  const blocked = b.call(SYS.rt_sigprocmask, 0, b.bytes(only(SIG.PIPE)), 0, 8);
  check((await b.run()).value(blocked), 'blocking SIGPIPE');
  const { read, write } = await makePipe(hands);
  anchor.ends.set('stdin', write);
  // The program's end waits, as that of any other pipe does.
  const blocking = hands.batch();
  blocking.call(SYS.fcntl, read, F.SETFL, 0);
  await blocking.run();
  return read;
}

/** Makes a terminal in the domain that belongs to `uid`; answers its number. */
export async function makeTerminal(anchor: Anchor, size: WindowSize, uid: number): Promise<number> {
  const { hands, pid } = anchor;
  return making(hands, async (note) => {
    const master = note(await open(hands, `/proc/${pid}/root/dev/ptmx`, O.RDWR | O.NOCTTY | O.NONBLOCK));
    const b = hands.batch();
    const number = b.out(8);
    const refs = [
      b.call(SYS.ioctl, master, TTY.TIOCGPTN, number),
      b.call(SYS.ioctl, master, TTY.TIOCSPTLCK, b.bytes(new Uint8Array(4))),
      b.call(SYS.ioctl, master, TTY.TIOCSWINSZ, b.bytes(windowOf(size))),
    ];
    const r = await b.run();
    for (const ref of refs) check(r.value(ref), 'making a terminal');
    const index = r.view(number).getInt32(0, true);
    const c = hands.batch();
    const owned = c.call(SYS.fchownat, AT_FDCWD, c.str(`/proc/${pid}/root/dev/pts/${index}`), uid, -1, 0);
    check((await c.run()).value(owned), 'giving a terminal to its user');
    anchor.ends.set('terminal', master);
    return index;
  });
}

/** `struct winsize`. */
export function windowOf({ columns, rows }: WindowSize): Uint8Array {
  const bytes = new Uint8Array(WINSIZE);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, rows, true);
  view.setUint16(2, columns, true);
  return bytes;
}

export async function closeEnds(anchor: Anchor): Promise<void> {
  const fds = [...anchor.ends.values()];
  anchor.ends.clear();
  await closeAll(anchor.hands, fds);
}
