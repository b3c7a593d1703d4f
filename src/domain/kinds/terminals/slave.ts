import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { EIO, F, O } from '../../linux/flags.js';
import { making } from '../../linux/making.js';
import { check, concat } from '../../linux/os.js';
import { fdInfoValue } from '../../proc/fdinfo.js';
import { fileKind, type OpenFile } from '../kind.js';
import { putIn, takeInput, tellLater, termiosOf, type Told } from './contents.js';
import { TTY } from './ioctl.js';
import { indexOf } from './number.js';
import { pairsOf } from './pairs.js';

const ALL_BUT_ACCESS = ~(O.ACCMODE | O.CREAT | O.EXCL | O.TRUNC | O.NOCTTY | O.CLOEXEC | O.ASYNC);

interface SlaveState {
  readonly index: number;
  readonly flags: number;
  /** Its master is gone. */
  readonly hungUp: boolean;
  readonly exclusive: boolean;
  /** What waits to be read, and how the terminal is set; absent when nothing does. */
  readonly typed?: { readonly bytes: Uint8Array; readonly later: Uint8Array; readonly termios: Uint8Array };
}

/** The side of a pseudoterminal that programs have; also where it was opened as /dev/tty. */
export const slave = fileKind<SlaveState>({
  name: 'terminal',
  keeps:
    'which one, flags, exclusive use, what was typed and not yet read (of a full terminal too), being hung up; what was /dev/tty is named as the terminal itself',
  refuses: 'a terminal of no master in the domain, other line disciplines, consoles and serial lines',
  matches: (view) => /^\/dev\/(pts\/\d+( \(deleted\))?|tty)$/.test(view.link),
  async inspect({ hands, files }, { view, held }) {
    const where = `descriptor ${view.fd} (${view.link})`;
    const { index, hungUp, discipline } = await look(hands, held);
    if (hungUp) return;
    if (index < 0) throw unsupported('a terminal that is no pseudoterminal', where);
    if (discipline !== 0) throw unsupported(`line discipline ${discipline} of a terminal`, where);
    // Of a process of the domain, or the host's.
    if (masterOf(files, index) === undefined) throw unsupported('a terminal whose master is not in the domain', where);
  },
  async checkpoint({ hands, undo, files }, { view, held }) {
    const { index, hungUp, exclusive } = await look(hands, held);
    const flags = view.info.flags & ~O.CLOEXEC;
    if (hungUp) return { index: Number(/\d+/.exec(view.link)?.[0] ?? 0), flags, hungUp, exclusive: false };
    const termios = await termiosOf(hands, held);
    const told: Told = { pieces: [], later: [] };
    undo.add('telling a terminal again what it was told', async () => {
      await putIn(hands, held, concat(told.pieces), termios);
      await tellLater(hands, masterOf(files, index)?.held ?? -1, concat(told.later));
    });
    await takeInput(hands, held, termios, told);
    const [bytes, later] = [concat(told.pieces), concat(told.later)];
    return { index, flags, hungUp, exclusive, ...(bytes.length > 0 && { typed: { bytes, later, termios } }) };
  },
  restore(context, state) {
    const { hands } = context;
    const pairs = pairsOf(context);
    return pairs.queue.run(async () => {
      const access = state.flags & O.ACCMODE;
      if (state.hungUp) return pairs.hungUp(state.index, access | (state.flags & O.NONBLOCK));
      return making(hands, async (note) => {
        const fd = note(await pairs.slave(state.index, access | O.NONBLOCK));
        if (state.typed !== undefined) {
          const { bytes, later, termios } = state.typed;
          await putIn(hands, await pairs.peer(state.index), bytes, termios);
          await tellLater(hands, await pairs.master(state.index), later);
        }
        const b = hands.batch();
        const refs = [b.call(SYS.fcntl, fd, F.SETFL, state.flags & ALL_BUT_ACCESS)];
        if (state.exclusive) refs.push(b.call(SYS.ioctl, fd, TTY.TIOCEXCL, 0));
        const r = await b.run();
        for (const ref of refs) check(r.value(ref), `setting terminal ${state.index}`);
        return fd;
      });
    });
  },
});

const masterOf = (files: readonly OpenFile[], index: number): OpenFile | undefined =>
  files.find(({ view: v }) => /\/ptmx$/.test(v.link) && fdInfoValue(v.info, 'tty-index') === String(index));

async function look(
  hands: Hands,
  held: number,
): Promise<{ index: number; hungUp: boolean; discipline: number; exclusive: boolean }> {
  const b = hands.batch();
  const [device, discipline, exclusive] = [b.out(8), b.out(8), b.out(8)];
  const asked = b.call(SYS.ioctl, held, TTY.TIOCGDEV, device);
  b.call(SYS.ioctl, held, TTY.TIOCGETD, discipline);
  b.call(SYS.ioctl, held, TTY.TIOCGEXCL, exclusive);
  const r = await b.run();
  const hungUp = r.value(asked) === -EIO;
  if (!hungUp) check(r.value(asked), 'asking which terminal it is');
  return {
    index: indexOf(r.view(device).getUint32(0, true)),
    hungUp,
    discipline: r.view(discipline).getInt32(0, true),
    exclusive: r.view(exclusive).getInt32(0, true) !== 0,
  };
}
