import type { Batch, BatchResult } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported, unsupportedNow } from '../errors.js';
import { F, O } from '../linux/flags.js';
import { making, whileOpen, type Note } from '../linux/making.js';
import { check, isFound } from '../linux/os.js';
import { inNetns } from '../tree/netlink.js';
import { fileKind, type LookContext, type OpenFile, type RestoreContext } from './kind.js';
import {
  addReadOptions,
  COMMON_OPTIONS,
  int,
  SO,
  SOL_SOCKET,
  type OptionName,
  type SocketOption,
} from './socket-options.js';
import { makeSocket } from './make-socket.js';
import { unixSockets, type UnixSocketInfo } from './unix-diag.js';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
/** TCP_ESTABLISHED and TCP_LISTEN of linux/net/tcp_states.h, which UNIX sockets use, too. */
const STATE_ESTABLISHED = 1;
const STATE_LISTEN = 10;
const SO_PEEK_OFF = 42;
const SO_ACCEPTCONN_BACKLOG = 128;
const MSG_PEEK_NOW = 0x42; // MSG_PEEK | MSG_DONTWAIT
const MSG_SEND_NOW = 0x4040; // MSG_DONTWAIT | MSG_NOSIGNAL
const MSG_CTRUNC = 8;
const MSG_TRUNC = 0x20;
const EAGAIN = 11;
const AT_FDCWD = -100;
/** More than any socket holds with the limits a system comes with. */
const LARGEST = 0x60000;
const OPTIONS: readonly OptionName[] = [...COMMON_OPTIONS, [SOL_SOCKET, SO.PASSCRED, 4]];

interface UnixState {
  readonly inode: number;
  readonly type: number;
  readonly info: UnixSocketInfo;
  readonly flags: number;
  /** `sockaddr_un` as bound, and as the other end is; two bytes where there is no name. */
  readonly local: Uint8Array;
  readonly peer: Uint8Array;
  /** What was sent to it and not received, in order; one piece for a stream. */
  readonly queue: readonly Uint8Array[];
  readonly options: readonly SocketOption[];
  readonly sendBuffer: number;
}

/** What is known of a restoration's UNIX sockets; descriptors of the hands. */
interface Made {
  /** Ends that were made with their other end, and wait to be asked for, by inode. */
  readonly ends: Map<number, number>;
  /** Restored sockets. */
  readonly done: Map<number, { readonly fd: number; readonly state: UnixState }>;
  /** Listening and named sockets, by name. */
  readonly named: Map<string, number>;
  /** Datagram sockets that want to be connected to a name that is not there yet. */
  readonly callers: { readonly fd: number; readonly to: Uint8Array }[];
}
const restorations = new WeakMap<RestoreContext, Made>();
const dumps = new WeakMap<LookContext, Promise<Map<number, UnixSocketInfo>>>();

const key = (name: Uint8Array): string => String(name);
const isNamed = (name: Uint8Array): boolean => name.length > 2;
/** The path of a name in the file system, or undefined for one in the abstract space. */
function pathOf(name: Uint8Array): string | undefined {
  if (!isNamed(name) || name[2] === 0) return undefined;
  const end = name.indexOf(0, 2);
  return new TextDecoder().decode(name.subarray(2, end < 0 ? name.length : end));
}

/**
 * UNIX sockets: pairs and connections between processes of the domain with what is on its way, sockets that
 * listen, datagram sockets. Credentials that others read of them (SO_PEERCRED) are the hands' afterwards.
 */
export const unix = fileKind<UnixState>({
  name: 'unix',
  keeps:
    'pairs of every type, connections, listening sockets, datagram sockets; what waits in them, shut directions, names',
  refuses:
    'descriptors on their way, connections not yet accepted, an end outside the domain, datagrams from a named socket, relative names',
  matches: (view) => view.link.startsWith('socket:['),
  async inspect(context, file) {
    await look(context, file);
    const b = context.hands.batch();
    const names = [addName(b, SYS.getsockname, file.held), addName(b, SYS.getpeername, file.held)];
    const r = await b.run();
    for (const name of names) refuseRelative(name(r), whereOf(file));
  },
  async checkpoint(context, file) {
    const { hands } = context;
    const where = whereOf(file);
    const { inode, info } = await look(context, file);
    const b = hands.batch();
    const [local, peer] = [addName(b, SYS.getsockname, file.held), addName(b, SYS.getpeername, file.held)];
    const options = addReadOptions(b, file.held, OPTIONS);
    const numbers = addReadOptions(b, file.held, [
      [SOL_SOCKET, SO.TYPE, 4],
      [SOL_SOCKET, SO.SNDBUF, 4],
    ]);
    const r = await b.run();
    const [type = 0, sendBuffer = 0] = numbers(r).map((o) => new DataView(o.value.buffer).getInt32(0, true));
    const state = { inode, type, info, sendBuffer, local: local(r), peer: peer(r), options: options(r) };
    for (const n of [state.local, state.peer]) refuseRelative(n, where);
    return {
      ...state,
      flags: file.view.info.flags & ~O.CLOEXEC,
      // One that listens, or is not connected yet, cannot be read from.
      queue:
        type === SOCK_DGRAM || info.state === STATE_ESTABLISHED ? await peekAll(hands, file.held, type, where) : [],
    };
  },
  async restore(context, s) {
    const { hands, counters } = context;
    let made = restorations.get(context);
    if (made === undefined) {
      made = { ends: new Map(), done: new Map(), named: new Map(), callers: [] };
      restorations.set(context, made);
      const { ends } = made;
      context.undo.add('closing ends of UNIX sockets', async () => {
        for (const fd of ends.values()) await hands.syscall(SYS.close, fd);
      });
    }
    const fd = await make(context, made, s);
    made.done.set(s.inode, { fd, state: s });
    counters.bytesCopied += s.queue.reduce((n, m) => n + m.length, 0);
    return fd;
  },
});

const whereOf = (file: OpenFile): string => `descriptor ${file.view.fd} of process ${file.users[0]?.pid ?? -1}`;

/** What sock_diag tells of a socket; refuses what cannot be moved. While the domain runs, a moment later it may tell otherwise. */
async function look(context: LookContext, file: OpenFile): Promise<{ inode: number; info: UnixSocketInfo }> {
  const where = whereOf(file);
  const dump = dumps.get(context) ?? unixSockets(context.hands, context.anchor.netns);
  dumps.set(context, dump);
  const inode = Number(/\d+/.exec(file.view.link)?.[0] ?? '-1');
  const info = (await dump).get(inode);
  if (info === undefined) throw unsupportedNow('a UNIX socket of another network namespace', where);
  if (info.waiting > 0) throw unsupportedNow('a UNIX connection that waits to be accepted', where);
  const inDomain = (peer: number): boolean =>
    context.views.some((v) => v.descriptors.some((d) => d.link === `socket:[${peer}]`));
  if (info.peer !== 0 && !inDomain(info.peer)) throw unsupportedNow('a UNIX socket whose other end is outside', where);
  return { inode, info };
}

/** Adds the question for a name (getsockname or getpeername); two bytes where there is none. */
function addName(b: Batch, nr: number, fd: number): (r: BatchResult) => Uint8Array {
  const bytes = b.out(128);
  const length = b.inout(int(128));
  const n = b.call(nr, fd, bytes, length);
  return (r) => (r.value(n) < 0 ? new Uint8Array(2) : r.bytes(bytes, r.view(length).getUint32(0, true)));
}

function refuseRelative(name: Uint8Array, where: string): void {
  if (!(pathOf(name) ?? '/').startsWith('/')) throw unsupported('a UNIX socket with a relative path', where);
}

function make(context: RestoreContext, made: Made, s: UnixState): Promise<number> {
  return making(context.hands, (note) => makeNoted(context, made, s, note));
}

async function makeNoted(context: RestoreContext, made: Made, s: UnixState, note: Note): Promise<number> {
  const { hands, anchor } = context;
  const waiting = made.ends.get(s.inode);
  if (waiting !== undefined) {
    made.ends.delete(s.inode);
    note(waiting);
    const other = made.done.get(s.info.peer);
    if (other !== undefined) {
      await fill(hands, other.fd, s.queue);
      for (const [end, state] of [
        [waiting, s],
        [other.fd, other.state],
      ] as const)
        await finish(hands, end, state);
    }
    return waiting;
  }
  const connected = s.type !== SOCK_DGRAM && s.info.state === STATE_ESTABLISHED;
  const mutual = s.type === SOCK_DGRAM && s.info.peer !== 0 && !isNamed(s.peer);
  if (connected || mutual) {
    const [own, other] = await pair(context, made, s);
    note(own);
    if (s.info.peer !== 0) {
      // From here on it is closed with the other ends that nobody has taken.
      made.ends.set(s.info.peer, other);
      await fill(hands, other, s.queue);
    } else {
      await whileOpen(hands, other, () => fill(hands, other, s.queue));
      await finish(hands, own, s);
    }
    return own;
  }
  const fd = note(await makeSocket(hands, anchor.netns, AF_UNIX, s.type));
  if (isNamed(s.local)) await bind(hands, fd, s.local);
  if (s.info.state === STATE_LISTEN) check(await hands.syscall(SYS.listen, fd, SO_ACCEPTCONN_BACKLOG), 'listening');
  if (isNamed(s.local)) made.named.set(key(s.local), fd);
  if (s.queue.length > 0) {
    const sender = await makeSocket(hands, anchor.netns, AF_UNIX, s.type);
    await whileOpen(hands, sender, async () => {
      await connect(hands, sender, s.local);
      await fill(hands, sender, s.queue);
    });
  }
  if (isNamed(s.peer)) {
    if (made.named.has(key(s.peer))) await connect(hands, fd, s.peer);
    else made.callers.push({ fd, to: s.peer });
  }
  for (const c of made.callers) if (key(c.to) === key(s.local)) await connect(hands, c.fd, c.to);
  await finish(hands, fd, s);
  return fd;
}

/** Two ends of a connection. The end that was accepted has the name of who listened. */
async function pair(context: RestoreContext, made: Made, s: UnixState): Promise<[own: number, other: number]> {
  const { hands, anchor } = context;
  const name = isNamed(s.peer) ? s.peer : s.local;
  if (!isNamed(name)) {
    return inNetns(hands, anchor.netns, async () => {
      const b = hands.batch();
      const ends = b.out(8);
      const n = b.call(SYS.socketpair, AF_UNIX, s.type | O.CLOEXEC | O.NONBLOCK, 0, ends);
      const r = await b.run();
      check(r.value(n), 'making a pair of UNIX sockets');
      return [r.view(ends).getInt32(0, true), r.view(ends).getInt32(4, true)];
    });
  }
  // By the listening socket itself, or by one that has its name for the moment.
  const known = made.named.get(key(name));
  return making(hands, async (note) => {
    const listener = known ?? note(await makeSocket(hands, anchor.netns, AF_UNIX, s.type));
    if (known === undefined) {
      await bind(hands, listener, name);
      check(await hands.syscall(SYS.listen, listener, 1), 'listening');
    }
    const client = note(await makeSocket(hands, anchor.netns, AF_UNIX, s.type));
    await connect(hands, client, name);
    const accepting = hands.syscall(SYS.accept4, listener, 0, 0, O.CLOEXEC | O.NONBLOCK);
    const accepted = check(await accepting, 'accepting');
    if (known === undefined) await hands.syscall(SYS.close, listener);
    return name === s.peer ? [client, accepted] : [accepted, client];
  });
}

async function bind(hands: Hands, fd: number, name: Uint8Array): Promise<void> {
  const path = pathOf(name);
  const b = hands.batch();
  // What an earlier stay left there.
  if (path !== undefined) b.call(SYS.unlinkat, AT_FDCWD, b.str(path), 0);
  const n = b.call(SYS.bind, fd, b.bytes(name), name.length);
  check((await b.run()).value(n), 'naming a UNIX socket');
}

async function connect(hands: Hands, fd: number, name: Uint8Array): Promise<void> {
  const b = hands.batch();
  const n = b.call(SYS.connect, fd, b.bytes(name), name.length);
  check((await b.run()).value(n), 'connecting a UNIX socket');
}

/** Sends what shall wait at the other end. */
async function fill(hands: Hands, from: number, queue: readonly Uint8Array[]): Promise<void> {
  if (queue.length === 0) return;
  const room = hands.batch();
  room.call(SYS.setsockopt, from, SOL_SOCKET, SO.SNDBUFFORCE, room.bytes(int(8 * LARGEST)), 4);
  await room.run();
  for (const message of queue) {
    for (let at = 0; at === 0 || at < message.length;) {
      const b = hands.batch();
      const part = message.subarray(at);
      const n = b.call(SYS.sendto, from, b.bytes(part), part.length, MSG_SEND_NOW, 0, 0);
      const sent = check((await b.run()).value(n), 'filling a UNIX socket');
      if (message.length === 0) break;
      at += sent;
    }
  }
}

/** What comes after the contents: options, the direction that was shut, flags. */
async function finish(hands: Hands, fd: number, s: UnixState): Promise<void> {
  const b = hands.batch();
  const asked = [b.call(SYS.setsockopt, fd, SOL_SOCKET, SO.SNDBUFFORCE, b.bytes(int(s.sendBuffer >> 1)), 4)];
  for (const { level, name, value } of s.options)
    asked.push(b.call(SYS.setsockopt, fd, level, name, b.bytes(value), value.length));
  if (s.info.peer !== 0 && (s.info.shutdown & 1) !== 0) asked.push(b.call(SYS.shutdown, fd, 0));
  if (s.info.peer !== 0 && (s.info.shutdown & 2) !== 0) asked.push(b.call(SYS.shutdown, fd, 1));
  const flagged = b.call(SYS.fcntl, fd, F.SETFL, s.flags);
  const r = await b.run();
  // A kernel may refuse an option that this kind of socket has by itself.
  for (const ref of asked) isFound(r.value(ref), 'setting an option of a UNIX socket');
  check(r.value(flagged), 'setting the flags of a UNIX socket');
}

/** Reads everything that waits at a socket without taking it. Throws `unsupported` for descriptors on their way. */
async function peekAll(hands: Hands, fd: number, type: number, where: string): Promise<Uint8Array[]> {
  const out: Uint8Array[] = [];
  let ended = false;
  await setPeekOffset(hands, fd, 0);
  try {
    while (!ended) {
      const b = hands.batch();
      const data = b.out(LARGEST);
      const name = b.out(128);
      // struct msghdr: name, namelen u32, iov, iovlen, control, controllen, flags u32 at 48.
      const header = b.inout(new Uint8Array(56));
      const iov = b.iovec(data);
      b.pointer(header, 0, name);
      b.pointer(header, 16, iov);
      const init = new DataView((header.initial ?? new Uint8Array(56)).buffer);
      init.setUint32(8, 128, true);
      init.setBigUint64(24, 1n, true);
      const n = b.call(SYS.recvmsg, fd, header, MSG_PEEK_NOW);
      const r = await b.run();
      const length = r.value(n);
      if (length === -EAGAIN || (length === 0 && type === SOCK_STREAM)) return out;
      if (length === 0 && r.view(header).getUint32(8, true) === 0 && type !== SOCK_DGRAM) return out;
      const flags = r.view(header).getUint32(48, true);
      check(length, 'reading a UNIX socket');
      if ((flags & MSG_CTRUNC) !== 0) throw unsupported('descriptors on their way through a UNIX socket', where);
      if ((flags & MSG_TRUNC) !== 0 || out.length > 4096) throw unsupported('too much in a UNIX socket', where);
      if (type === SOCK_DGRAM && r.view(header).getUint32(8, true) > 2)
        throw unsupported('a datagram from a named UNIX socket', where);
      out.push(r.bytes(data, length));
    }
    return out;
  } finally {
    ended = true;
    await setPeekOffset(hands, fd, -1);
  }
}

async function setPeekOffset(hands: Hands, fd: number, value: number): Promise<void> {
  const b = hands.batch();
  const n = b.call(SYS.setsockopt, fd, SOL_SOCKET, SO_PEEK_OFF, b.bytes(int(value)), 4);
  check((await b.run()).value(n), 'SO_PEEK_OFF');
}
