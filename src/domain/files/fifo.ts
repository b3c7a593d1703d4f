import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import type { RestoreContext } from '../kinds/kind.js';
import { AT_FDCWD, F, O } from '../linux/flags.js';
import { closeAll, making, whileOpen } from '../linux/making.js';
import { check, open } from '../linux/os.js';
import { FIONREAD, fillPipe, peekPipe } from './pipe-contents.js';

const POLLIN = 1;
const POLLHUP = 0x10;

/** What an open end of a FIFO knows of it. Plain data. */
export interface FifoState {
  /** Key of its inode: all ends with the same one are of one FIFO. */
  readonly key: string;
  readonly size: number;
  /** What waits in it; every end that may tell knows it. */
  readonly contents: readonly Uint8Array[];
  /** This end has seen the last writer go. */
  readonly hungUp: boolean;
}

/** Looks into a FIFO by an open end that the hands hold, without taking anything out of it. */
export async function lookIntoFifo(hands: Hands, held: number, key: string, flags: number): Promise<FifoState> {
  const b = hands.batch();
  const length = b.out(8);
  const sized = b.call(SYS.fcntl, held, F.GETPIPE_SZ);
  const looked = b.call(SYS.ioctl, held, FIONREAD, length);
  // struct pollfd: fd i32, events i16, revents i16; struct timespec: at once.
  const pollfd = b.inout(new Uint8Array(new Int32Array([held, POLLIN]).buffer));
  b.call(SYS.ppoll, pollfd, 1, b.bytes(new Uint8Array(16)), 0, 0);
  const r = await b.run();
  check(r.value(looked), 'looking into a FIFO');
  const size = check(r.value(sized), 'looking at a FIFO');
  const bytes = r.view(length).getInt32(0, true);
  const mayRead = (flags & O.ACCMODE) !== O.WRONLY;
  const hungUp = mayRead && (r.view(pollfd).getInt16(6, true) & POLLHUP) !== 0;
  if (bytes === 0) return { key, size, contents: [], hungUp };
  if (mayRead) return { key, size, contents: await peekPipe(hands, held, size, bytes, 'a FIFO'), hungUp };
  const reader = await open(hands, `/proc/self/fd/${held}`, O.RDONLY | O.NONBLOCK);
  const contents = await whileOpen(hands, reader, () => peekPipe(hands, reader, size, bytes, 'a FIFO'));
  return { key, size, contents, hungUp };
}

/** A FIFO that is being restored. */
interface Opened {
  filled: boolean;
}

const opened = new WeakMap<RestoreContext, Map<string, Promise<Opened>>>();

/** Opens an end of a FIFO. `at`: leads to it, for the hands. */
export async function openFifo(context: RestoreContext, at: string, flags: number, fifo: FifoState): Promise<number> {
  const { hands } = context;
  const all = opened.get(context) ?? new Map<string, Promise<Opened>>();
  opened.set(context, all);
  let first = all.get(fifo.key);
  if (first === undefined) {
    first = openFirst(context, at, fifo);
    all.set(fifo.key, first);
  }
  const shared = await first;
  if (fifo.contents.length > 0 && !shared.filled) {
    shared.filled = true;
    await fillFifo(context, at, fifo);
  }
  const b = hands.batch();
  // No FIFO can be opened for packets; it can be set to them.
  const fd = b.must(SYS.openat, AT_FDCWD, b.str(at), (flags & ~O.DIRECT) | O.NONBLOCK | O.CLOEXEC, 0);
  const flagged = b.must(SYS.fcntl, fd, F.SETFL, flags);
  const r = await b.run();
  return making(hands, (note) => {
    note(check(r.value(fd), 'opening a FIFO'));
    check(r.value(flagged), 'setting the flags of a FIFO');
    return Promise.resolve(r.value(fd));
  });
}

async function openFirst({ hands, objectFds }: RestoreContext, at: string, fifo: FifoState): Promise<Opened> {
  const reader = await open(hands, at, O.RDONLY | O.NONBLOCK);
  // With it every end can be opened without waiting for another. Whatever happens, it is closed with these.
  objectFds.set(readerKey(fifo.key), reader);
  check(await hands.syscall(SYS.fcntl, reader, F.SETPIPE_SZ, fifo.size), 'sizing a FIFO');
  return { filled: false };
}

const readerKey = (key: string): string => `${key} reader`;

async function fillFifo({ hands, counters }: RestoreContext, at: string, { contents }: FifoState): Promise<void> {
  const writer = await open(hands, at, O.WRONLY | O.NONBLOCK);
  counters.bytesCopied += await whileOpen(hands, writer, () => fillPipe(hands, writer, contents));
}

/** When all ends are there: the hands' own goes, and who has seen the last writer go has seen it again. */
export async function settleFifo(context: RestoreContext, at: string, fifo: FifoState): Promise<void> {
  const { hands, objectFds } = context;
  const reader = objectFds.get(readerKey(fifo.key));
  if (fifo.hungUp) {
    const writer = await open(hands, at, O.WRONLY | O.NONBLOCK);
    await closeAll(hands, [writer]);
  }
  if (reader === undefined) return;
  objectFds.delete(readerKey(fifo.key));
  await closeAll(hands, [reader]);
}
