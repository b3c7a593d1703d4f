import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { AT_FDCWD, O } from '../../linux/flags.js';
import { closeAll } from '../../linux/making.js';
import { check, open } from '../../linux/os.js';
import { Sequence } from '../../together.js';
import type { Tracee } from '../../trace/tracee.js';
import type { RestoreContext } from '../kind.js';
import { TTY } from './ioctl.js';

/** As many as Debian's kernels allow at first (kernel.pty.max). */
const MOST = 4096;

/**
 * The pseudoterminals of a domain that is being restored, made where first one is needed. The kernel gives the lowest free
 * number: those that are not needed are held until all are there.
 */
export class Pairs {
  /** Pieces of work on terminals, one after the other: what a terminal holds is put in while it is set for that. */
  readonly queue = new Sequence();
  readonly #masters = new Map<number, number>();
  readonly #given = new Set<number>();
  /** A terminal forgets whom it controls when nobody has it open: one of the hands' does until all have theirs. */
  readonly #peers = new Map<number, number>();

  constructor(readonly context: RestoreContext) {
    context.undo.add('closing terminals', () => this.close());
  }

  /** A descriptor of the hands for the master of this number. */
  async master(index: number): Promise<number> {
    for (let turn = 0; turn < MOST; turn++) {
      const known = this.#masters.get(index);
      if (known !== undefined) return known;
      await this.#open();
    }
    throw new DomainError('guest', `there is no terminal ${index} to be had`);
  }

  async #open(): Promise<number> {
    const { hands, anchor } = this.context;
    const fd = await open(hands, `/proc/${anchor.pid}/root/dev/ptmx`, O.RDWR | O.NOCTTY);
    const b = hands.batch();
    const number = b.out(8);
    const asked = b.call(SYS.ioctl, fd, TTY.TIOCGPTN, number);
    const unlocked = b.call(SYS.ioctl, fd, TTY.TIOCSPTLCK, b.bytes(new Uint8Array(4)));
    const r = await b.run();
    const index = r.view(number).getInt32(0, true);
    if (r.value(asked) < 0 || r.value(unlocked) < 0) await closeAll(hands, [fd]);
    check(r.value(asked), 'asking for the number of a terminal');
    check(r.value(unlocked), 'unlocking a terminal');
    this.#masters.set(index, fd);
    return index;
  }

  /** A descriptor of the hands for the other side, which stays open until all are restored. */
  async peer(index: number): Promise<number> {
    const known = this.#peers.get(index);
    if (known !== undefined) return known;
    const fd = await this.slave(index, O.RDWR | O.NONBLOCK);
    this.#peers.set(index, fd);
    return fd;
  }

  /** A descriptor of the hands for the other side, for whoever asks. */
  async slave(index: number, flags: number): Promise<number> {
    const master = await this.master(index);
    // Not O_CLOEXEC: a kernel that is asked so for the peer shows it for every descriptor of it from then on.
    const fd = await this.context.hands.syscall(SYS.ioctl, master, TTY.TIOCGPTPEER, flags | O.NOCTTY);
    return check(fd, `opening terminal ${index}`);
  }

  /** The other side of a terminal whose master is gone. Its number is free again. */
  async hungUp(index: number, flags: number): Promise<number> {
    const at = this.#masters.has(index) ? await this.#open() : index;
    const fd = await this.slave(at, flags);
    const master = this.#masters.get(at) ?? -1;
    this.#masters.delete(at);
    await closeAll(this.context.hands, [master]);
    return fd;
  }

  /** The master goes to the processes that have it. */
  give(index: number): void {
    this.#given.add(index);
  }

  /** Has the leader of a session, who has none yet, get its terminal: who is born after that has it too. */
  async control(leader: Tracee, index: number): Promise<void> {
    await this.peer(index);
    const b = leader.batch();
    const fd = b.call(SYS.openat, AT_FDCWD, b.str(`/dev/pts/${index}`), O.RDWR | O.NOCTTY | O.CLOEXEC, 0);
    const got = b.call(SYS.ioctl, fd, TTY.TIOCSCTTY, 0);
    b.call(SYS.close, fd);
    const r = await b.run();
    check(r.value(fd), `opening terminal ${index}`);
    check(r.value(got), `making terminal ${index} control a session`);
  }

  async close(): Promise<void> {
    const own = [...this.#masters].filter(([index]) => !this.#given.has(index)).map(([, fd]) => fd);
    const fds = [...this.#peers.values(), ...own];
    this.#peers.clear();
    this.#masters.clear();
    await closeAll(this.context.hands, fds);
  }
}

const all = new WeakMap<RestoreContext, Pairs>();

export function pairsOf(context: RestoreContext): Pairs {
  const known = all.get(context) ?? new Pairs(context);
  all.set(context, known);
  return known;
}

/** Has a process that is no leader of a session give up the terminal that it was born with. */
export async function giveUpTerminal(tracee: Tracee): Promise<void> {
  const b = tracee.batch();
  const fd = b.call(SYS.openat, AT_FDCWD, b.str('/dev/tty'), O.RDWR | O.NOCTTY | O.CLOEXEC, 0);
  const gone = b.call(SYS.ioctl, fd, TTY.TIOCNOTTY, 0);
  b.call(SYS.close, fd);
  const r = await b.run();
  check(r.value(fd), 'opening a controlling terminal');
  check(r.value(gone), 'giving up a controlling terminal');
}
