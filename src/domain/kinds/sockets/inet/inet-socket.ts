import type { Batch, BatchResult } from '../../../../guest/hands/batch.js';
import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { F, O } from '../../../linux/flags.js';
import { check, parseStat } from '../../../linux/os.js';
import type { Anchor } from '../../../tree/anchor.js';
import type { OpenFile } from '../../kind.js';
import { makeSocket } from '../make-socket.js';
import {
  addReadOptions,
  addSetNumber,
  addSetOptions,
  int,
  numberOf,
  SO,
  SOL_SOCKET,
  type SocketFamily,
  type SocketOption,
} from '../socket-options.js';
import { isBound } from './address.js';
import { addFilterLook, readFilter, type FilterLook, type SocketFilter } from './filter.js';
import { isEarly, optionsOf, ownOptions } from './options.js';
import { TCP } from './tcp-repair.js';
import { IPPROTO_TCP } from '../../../linux/socket-numbers.js';

/** What all sockets of the internet's families have. */
export interface InetSocket extends SocketFamily {
  readonly flags: number;
  readonly options: readonly SocketOption[];
  readonly filter: SocketFilter | undefined;
  readonly sendBuffer: number;
  readonly receiveBuffer: number;
  readonly bufferLock: number;
  /** Socket addresses as the kernel writes them; empty where there is none. */
  readonly local: Uint8Array;
  readonly peer: Uint8Array;
  /** Whose it is: who may share its port is decided by that. */
  readonly uid: number;
  readonly gid: number;
}

/** Reads everything about a socket but what it holds, in one batch with what `more` asks. */
export async function readInetSocket<T>(
  hands: Hands,
  file: OpenFile,
  family: SocketFamily,
  more: (b: Batch) => (r: BatchResult) => T,
): Promise<{ socket: InetSocket; more: T }> {
  const fd = file.held;
  const where = `descriptor ${file.view.fd}`;
  const b = hands.batch();
  const address = (nr: number) => {
    const bytes = b.out(128);
    const length = b.inout(int(128));
    return { bytes, length, n: b.call(nr, fd, bytes, length) };
  };
  const [local, peer] = [address(SYS.getsockname), address(SYS.getpeername)];
  const asked = more(b);
  const options = addReadOptions(b, fd, optionsOf(family));
  const look = addFilterLook(b, fd, where);
  const sizes = addReadOptions(b, fd, [
    [SOL_SOCKET, SO.SNDBUF, 4],
    [SOL_SOCKET, SO.RCVBUF, 4],
    [SOL_SOCKET, SO.BUF_LOCK, 4],
  ]);
  const stat = b.out(128);
  b.call(SYS.fstat, fd, stat);
  const r = await b.run();
  const bytesOf = (x: typeof local): Uint8Array =>
    r.value(x.n) < 0 ? new Uint8Array(0) : r.bytes(x.bytes, Math.min(128, r.view(x.length).getUint32(0, true)));
  const seen: FilterLook = look(r);
  const filter = await readFilter(hands, fd, seen, where);
  const owner = parseStat(r.view(stat));
  const read = sizes(r);
  return {
    socket: {
      ...family,
      flags: file.view.info.flags & ~O.CLOEXEC,
      options: options(r),
      filter,
      sendBuffer: numberOf(read, SOL_SOCKET, SO.SNDBUF),
      receiveBuffer: numberOf(read, SOL_SOCKET, SO.RCVBUF),
      bufferLock: numberOf(read, SOL_SOCKET, SO.BUF_LOCK),
      local: bytesOf(local),
      peer: bytesOf(peer),
      uid: owner.uid,
      gid: owner.gid,
    },
    more: asked(r),
  };
}

/**
 * Makes a socket, bound where it was. `repair`: it stays under TCP_REPAIR, and may be bound wherever others are.
 * `shared`: others of the domain have the same port, whatever they say of it now. Answers a descriptor of the hands.
 */
export async function makeInetSocket(
  hands: Hands,
  anchor: Anchor,
  s: InetSocket,
  how: { readonly repair?: boolean; readonly shared?: boolean; readonly bind?: boolean } = {},
): Promise<number> {
  const { repair = false, shared = false, bind = isBound(s.local) } = how;
  const own = await ownOptions(hands, anchor, s, s.options);
  const fd = await makeSocket(hands, anchor.netns, s.domain, s.type, s.protocol);
  try {
    const b = hands.batch();
    const early = addSetOptions(b, fd, own.filter(isEarly));
    const saved = (name: number): number => numberOf(s.options, SOL_SOCKET, name);
    b.call(SYS.fchown, fd, s.uid, s.gid);
    addSetNumber(b, fd, SOL_SOCKET, SO.REUSEADDR, shared ? 1 : saved(SO.REUSEADDR));
    // Datagrams go to one of those who have said so in turn.
    const port = shared && s.protocol === IPPROTO_TCP ? 1 : saved(SO.REUSEPORT);
    addSetNumber(b, fd, SOL_SOCKET, SO.REUSEPORT, port);
    const sized = [
      addSetNumber(b, fd, SOL_SOCKET, SO.SNDBUFFORCE, s.sendBuffer >> 1),
      addSetNumber(b, fd, SOL_SOCKET, SO.RCVBUFFORCE, s.receiveBuffer >> 1),
    ];
    if (repair) sized.push(addSetNumber(b, fd, IPPROTO_TCP, TCP.REPAIR, 1));
    const binds = [];
    if (bind && s.local.length > 0) {
      binds.push(b.call(SYS.bind, fd, b.bytes(s.local), s.local.length));
      if (!repair) {
        // As it was once allowed to be beside another that it does not let in now.
        addSetNumber(b, fd, SOL_SOCKET, SO.REUSEADDR, 1);
        binds.push(b.call(SYS.bind, fd, b.bytes(s.local), s.local.length));
      }
    }
    const r = await b.run();
    early(r);
    sized.forEach((ref) => check(r.value(ref), 'making a socket'));
    const [first] = binds;
    if (first !== undefined && binds.every((ref) => r.value(ref) < 0)) check(r.value(first), 'binding a socket');
    return fd;
  } catch (e) {
    await hands.syscall(SYS.close, fd);
    throw e;
  }
}

/** What may be said last, once it is bound and connected or listening; but for its filter. */
export async function finishInetSocket(
  hands: Hands,
  anchor: Anchor,
  fd: number,
  s: InetSocket,
  leaveOut: (o: SocketOption) => boolean = () => false,
): Promise<void> {
  const own = await ownOptions(hands, anchor, s, s.options);
  const reuse = [SO.REUSEADDR, SO.REUSEPORT] as readonly number[];
  const late = own.filter((o) => !isEarly(o) && !leaveOut(o) && !(o.level === SOL_SOCKET && reuse.includes(o.name)));
  const b = hands.batch();
  const set = addSetOptions(b, fd, late);
  const last = addSetOptions(
    b,
    fd,
    s.options.filter((o) => o.level === SOL_SOCKET && reuse.includes(o.name) && !leaveOut(o)),
  );
  addSetNumber(b, fd, SOL_SOCKET, SO.BUF_LOCK, s.bufferLock);
  const flagged = b.call(SYS.fcntl, fd, F.SETFL, s.flags);
  const r = await b.run();
  set(r);
  last(r);
  check(r.value(flagged), 'setting the flags of a socket');
}
