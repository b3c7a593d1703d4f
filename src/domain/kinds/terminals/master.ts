import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupportedNow } from '../../errors.js';
import { AT_FDCWD, F, O } from '../../linux/flags.js';
import { whileOpen } from '../../linux/making.js';
import { check, concat, parseStat } from '../../linux/os.js';
import { fileKind } from '../kind.js';
import { takeOutput, writeOutput } from './contents.js';
import { TERMIOS, TTY, WINSIZE } from './ioctl.js';
import { pairsOf } from './pairs.js';

const POLLIN = 1;
const POLLPRI = 2;
const POLLHUP = 16;

interface MasterState {
  readonly index: number;
  readonly flags: number;
  readonly termios: Uint8Array;
  readonly size: Uint8Array;
  readonly packets: boolean;
  readonly locked: boolean;
  /** The slave was open, and is no more. */
  readonly left: boolean;
  readonly contents: Uint8Array;
  /** Of the slave's name. */
  readonly owner: { readonly mode: number; readonly uid: number; readonly gid: number };
}

/** The side of a pseudoterminal that a terminal emulator has, with what both sides have in common. */
export const master = fileKind<MasterState>({
  name: 'terminal master',
  keeps:
    'number, settings, window size, packet mode, lock, owner of the slave, what was shown and not yet read; output that is stopped goes on',
  refuses: 'an unread status in packet mode',
  matches: (view) => view.link === '/dev/ptmx' || view.link === '/dev/pts/ptmx',
  async checkpoint({ hands, anchor, undo }, { held, view }) {
    const b = hands.batch();
    const [index, termios, size] = [b.out(8), b.out(TERMIOS), b.out(WINSIZE)];
    const [packets, locked] = [b.out(8), b.out(8)];
    // struct pollfd: fd i32, events i16, revents i16
    const poll = b.inout(new Uint8Array(new Int32Array([held, POLLIN | POLLPRI]).buffer));
    const refs = [
      b.call(SYS.ioctl, held, TTY.TIOCGPTN, index),
      b.call(SYS.ioctl, held, TTY.TCGETS2, termios),
      b.call(SYS.ioctl, held, TTY.TIOCGWINSZ, size),
      b.call(SYS.ioctl, held, TTY.TIOCGPKT, packets),
      b.call(SYS.ioctl, held, TTY.TIOCGPTLCK, locked),
      b.call(SYS.ppoll, poll, 1, b.bytes(new Uint8Array(16)), 0, 8),
    ];
    const r = await b.run();
    for (const ref of refs) check(r.value(ref), `looking at ${view.link}`);
    const seen = r.view(poll).getInt16(6, true);
    if ((seen & POLLPRI) !== 0) throw unsupportedNow('an unread status of a terminal', `descriptor ${view.fd}`);
    const flags = view.info.flags & ~O.CLOEXEC;
    const isPacket = r.view(packets).getInt32(0, true) !== 0;
    const pieces: Uint8Array[] = [];
    if ((seen & POLLIN) !== 0) {
      undo.add('showing again what a terminal had shown', () => show(hands, held, concat(pieces)));
      await takeOutput(hands, held, flags, isPacket, pieces);
    }
    const number = r.view(index).getInt32(0, true);
    return {
      index: number,
      flags,
      termios: r.bytes(termios),
      size: r.bytes(size),
      packets: isPacket,
      locked: r.view(locked).getInt32(0, true) !== 0,
      left: (seen & POLLHUP) !== 0,
      contents: concat(pieces),
      owner: await ownerOf(hands, `/proc/${anchor.pid}/root/dev/pts/${number}`),
    };
  },
  restore(context, state) {
    const { hands, anchor } = context;
    const pairs = pairsOf(context);
    return pairs.queue.run(async () => {
      const fd = await pairs.master(state.index);
      if (state.left) await pairs.peer(state.index);
      if (state.contents.length > 0) await writeOutput(hands, await pairs.peer(state.index), state.contents);
      const b = hands.batch();
      const path = b.str(`/proc/${anchor.pid}/root/dev/pts/${state.index}`);
      const yes = b.bytes(new Uint8Array([1, 0, 0, 0]));
      const refs = [
        b.call(SYS.ioctl, fd, TTY.TIOCSWINSZ, b.bytes(state.size)),
        b.call(SYS.ioctl, fd, TTY.TCSETS2, b.bytes(state.termios)),
        b.call(SYS.fcntl, fd, F.SETFL, state.flags & ~O.ASYNC),
        b.call(SYS.fchownat, AT_FDCWD, path, state.owner.uid, state.owner.gid, 0),
        b.call(SYS.fchmodat, AT_FDCWD, path, state.owner.mode),
        ...(state.packets ? [b.call(SYS.ioctl, fd, TTY.TIOCPKT, yes)] : []),
        ...(state.locked ? [b.call(SYS.ioctl, fd, TTY.TIOCSPTLCK, yes)] : []),
      ];
      const r = await b.run();
      for (const ref of refs) check(r.value(ref), `setting terminal ${state.index}`);
      pairs.give(state.index);
      return fd;
    });
  },
});

/** By the other side, which the hands open for it. */
async function show(hands: Hands, master: number, contents: Uint8Array): Promise<void> {
  if (contents.length === 0) return;
  const fd = await hands.syscall(SYS.ioctl, master, TTY.TIOCGPTPEER, O.RDWR | O.NOCTTY | O.NONBLOCK | O.CLOEXEC);
  check(fd, 'opening a terminal');
  await whileOpen(hands, fd, () => writeOutput(hands, fd, contents));
}

async function ownerOf(hands: Hands, path: string): Promise<MasterState['owner']> {
  const b = hands.batch();
  const out = b.out(128);
  const n = b.call(SYS.newfstatat, AT_FDCWD, b.str(path), out, 0);
  const r = await b.run();
  check(r.value(n), `looking at ${path}`);
  const { mode, uid, gid } = parseStat(r.view(out));
  return { mode: mode & 0o7777, uid, gid };
}
