import type { Ref } from '../../../guest/hands/batch.js';
import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError, unsupported, unsupportedNow } from '../../errors.js';
import { F, O } from '../../linux/flags.js';
import { making } from '../../linux/making.js';
import { check, isFound } from '../../linux/os.js';
import { fileKind, type CheckpointContext } from '../kind.js';
import {
  COMMON_OPTIONS,
  int,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  addReadOptions,
  SO,
  socketKind,
  SOL_SOCKET,
  type OptionName,
  type SocketOption,
} from '../socket-options.js';
import { makeSocket } from '../make-socket.js';
import { endedConnection, readEnded, type Ended } from './tcp-ended.js';
import {
  addInfo,
  agree,
  finReceived,
  finSent,
  MOST_LOOKS,
  readConnection,
  repairOff,
  settle,
  STATE,
  TCP,
  tcpInfo,
  writeConnection,
  writeSent,
  writeUnsent,
  type Connection,
} from './tcp-repair.js';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const IPV6_V6ONLY = 26;

const OPTIONS: readonly OptionName[] = [
  ...COMMON_OPTIONS,
  ...[
    TCP.NODELAY,
    TCP.CORK,
    TCP.KEEPIDLE,
    TCP.KEEPINTVL,
    TCP.KEEPCNT,
    TCP.SYNCNT,
    TCP.LINGER2,
    TCP.DEFER_ACCEPT,
    TCP.USER_TIMEOUT,
    TCP.FASTOPEN,
    TCP.NOTSENT_LOWAT,
  ].map((name): OptionName => [IPPROTO_TCP, name, 4]),
  [IPPROTO_IP, 1, 4], // IP_TOS
  [IPPROTO_IP, 2, 4], // IP_TTL
  [IPPROTO_IP, 15, 4], // IP_FREEBIND
];

interface TcpState {
  readonly domain: number;
  readonly v6only: number;
  readonly flags: number;
  readonly options: readonly SocketOption[];
  readonly sendBuffer: number;
  readonly receiveBuffer: number;
  readonly bufferLock: number;
  /** Socket addresses as the kernel writes them; empty where there is none. */
  readonly local: Uint8Array;
  readonly peer: Uint8Array;
  readonly tcpState: number;
  readonly backlog: number;
  /** Read again if the other end, read later, does not agree with it. */
  connection: Connection | undefined;
  /** Where the connection has ended and the program does not know yet. */
  readonly ended: Ended | undefined;
}

/**
 * TCP sockets: listening, and connected with everything that is on its way. A connection stands under
 * TCP_REPAIR from the checkpoint until its domain goes on; whichever copy is closed meanwhile says nothing
 * to the other side.
 */
export const tcp = fileKind<TcpState>({
  name: 'tcp',
  keeps:
    'listening sockets, several on one port too; connections with both queues, sequence numbers, window scale, SACK, timestamps, options; connections that the other side has ended, with what came last',
  refuses: 'a connection that is being made or closed, or waits to be accepted',
  independent: true,
  matches: (view) => view.link.startsWith('socket:['),
  async inspect({ hands }, file) {
    const kind = await socketKind(hands, file.held);
    const where = `descriptor ${file.view.fd}`;
    if (
      (kind.domain !== AF_INET && kind.domain !== AF_INET6) ||
      kind.type !== SOCK_STREAM ||
      kind.protocol !== IPPROTO_TCP
    ) {
      throw unsupported(`a socket of domain ${kind.domain}, type ${kind.type}, protocol ${kind.protocol}`, where);
    }
    const { state, unacked } = await tcpInfo(hands, file.held);
    if (state === STATE.LISTEN && unacked > 0)
      throw unsupportedNow('a TCP connection that waits to be accepted', where);
    if (state === STATE.SYN_SENT || state === STATE.SYN_RECV)
      throw unsupportedNow('a TCP connection that is being made', where);
    if (finReceived(state) || finSent(state)) throw unsupportedNow('a TCP connection that is being closed', where);
  },
  async checkpoint(context, file) {
    const { hands, undo } = context;
    const fd = file.held;
    const where = `descriptor ${file.view.fd}`;
    const { info, ...socket } = await readSocket(hands, fd);
    const base = { ...socket, flags: file.view.info.flags & ~O.CLOEXEC };
    const other = { backlog: 0, connection: undefined, ended: undefined };
    const closed = async () => ({
      ...base,
      ...other,
      tcpState: STATE.CLOSE,
      ended: isBound(base.local) ? await readEnded(hands, fd) : undefined,
    });
    switch (info.state) {
      case STATE.CLOSE:
        return closed();
      case STATE.LISTEN:
        // Whoever waits in the queue has been told that it is connected, and no descriptor leads to it yet.
        if (info.unacked > 0) throw unsupportedNow('a TCP connection that waits to be accepted', where);
        return { ...base, ...other, tcpState: info.state, backlog: info.sacked };
      case STATE.SYN_SENT:
      case STATE.SYN_RECV:
        throw unsupportedNow('a TCP connection that is being made', where);
      default: {
        undo.add('giving a connection back', () => repairOff(hands, fd, reuseOf(base.options)));
        const connection = await readConnection(hands, fd);
        const { state } = connection.info;
        // The other side may have ended it since we looked.
        if (state === STATE.CLOSE) return closed();
        if (finReceived(state) || finSent(state)) throw unsupportedNow('a TCP connection that is being closed', where);
        const saved: TcpState = { ...base, ...other, tcpState: state, connection };
        await readPair(context, fd, saved);
        return saved;
      }
    }
  },
  restore: ({ hands, anchor, counters }, s) =>
    making(hands, async (note) => {
      if (s.ended !== undefined) {
        const fd = note(await endedConnection(hands, anchor.netns, s.domain, s.local, s.ended));
        await setOptions(hands, fd, s);
        counters.bytesCopied += s.ended.received.length;
        return fd;
      }
      const fd = note(await makeSocket(hands, anchor.netns, s.domain));
      const connected = s.connection !== undefined;
      const b = hands.batch();
      const refs = [];
      if (s.domain === AF_INET6)
        refs.push(b.call(SYS.setsockopt, fd, IPPROTO_IPV6, IPV6_V6ONLY, b.bytes(int(s.v6only)), 4));
      refs.push(b.call(SYS.setsockopt, fd, SOL_SOCKET, SO.REUSEADDR, b.bytes(int(1)), 4));
      // Several that listen on one port say so before they are bound.
      const shared = s.options.find((o) => o.level === SOL_SOCKET && o.name === SO.REUSEPORT)?.value ?? int(0);
      refs.push(b.call(SYS.setsockopt, fd, SOL_SOCKET, SO.REUSEPORT, b.bytes(shared), shared.length));
      refs.push(b.call(SYS.setsockopt, fd, SOL_SOCKET, SO.SNDBUFFORCE, b.bytes(int(s.sendBuffer >> 1)), 4));
      refs.push(b.call(SYS.setsockopt, fd, SOL_SOCKET, SO.RCVBUFFORCE, b.bytes(int(s.receiveBuffer >> 1)), 4));
      if (connected) refs.push(b.call(SYS.setsockopt, fd, IPPROTO_TCP, TCP.REPAIR, b.bytes(int(1)), 4));
      if (isBound(s.local)) refs.push(b.call(SYS.bind, fd, b.bytes(s.local), s.local.length));
      const r = await b.run();
      refs.forEach((ref, i) => check(r.value(ref), `making a TCP socket in state ${s.tcpState} (${i})`));
      if (s.connection !== undefined) {
        await writeConnection(hands, fd, s.peer, s.connection);
        counters.bytesCopied += s.connection.received.length + s.connection.sent.length + s.connection.unsent.length;
      }
      await setOptions(hands, fd, s);
      return fd;
    }),
  async connect(user, _fd, s, held) {
    if (s.connection !== undefined) await writeSent(user.context.hands, held, s.connection);
  },
  async activate(hands, fd, s) {
    if (s.connection === undefined) return;
    await repairOff(hands, fd, reuseOf(s.options));
    await writeUnsent(hands, fd, s.connection, { size: s.sendBuffer, lock: s.bufferLock });
  },
});

interface ReadEnd {
  readonly fd: number;
  readonly state: TcpState;
}
/** Connections of a checkpoint by their addresses, here then there. */
const readSoFar = new WeakMap<CheckpointContext, Map<string, ReadEnd>>();

/**
 * Where both ends of a connection are in the domain, they are read one after the other, and the kernel may have sent
 * again, or acknowledged, between: then both are read anew.
 */
async function readPair(context: CheckpointContext, fd: number, state: TcpState): Promise<void> {
  const known = readSoFar.get(context) ?? new Map<string, ReadEnd>();
  readSoFar.set(context, known);
  const [local, peer] = [endpoint(state.local), endpoint(state.peer)];
  known.set(`${local} ${peer}`, { fd, state });
  const other = known.get(`${peer} ${local}`);
  if (other === undefined) return;
  for (let look = 0; look < MOST_LOOKS; look++) {
    const [here, there] = [state.connection, other.state.connection];
    if (here === undefined || there === undefined) return;
    if (agree(here, there)) {
      state.connection = settle(here, there);
      other.state.connection = settle(there, here);
      return;
    }
    other.state.connection = await readConnection(context.hands, other.fd);
    state.connection = await readConnection(context.hands, fd);
  }
  throw new DomainError('state', 'a TCP connection between processes of the domain does not come to rest');
}

/** A socket address as both families name it: an IPv4 address in an IPv6 socket (RFC 4291, section 2.5.5.2) is the same. */
function endpoint(name: Uint8Array): string {
  // Port at 2 in both; address at 4 in struct sockaddr_in, at 8 in struct sockaddr_in6.
  const address = name.length < 24 ? name.subarray(4, 8) : name.subarray(8, 24);
  const mapped = address.length === 16 && address.every((byte, i) => i >= 12 || byte === (i < 10 ? 0 : 0xff));
  return String([...name.subarray(2, 4), ...(mapped ? address.subarray(12) : address)]);
}

/** What may be said last; and that it listens. */
async function setOptions(hands: Hands, fd: number, s: TcpState): Promise<void> {
  const connected = s.connection !== undefined;
  const b = hands.batch();
  const asked: Ref[] = [];
  for (const { level, name, value } of s.options) {
    if (level === SOL_SOCKET && name === SO.REUSEADDR && connected) continue; // repair needs it
    if (level === IPPROTO_TCP && (name === TCP.FASTOPEN || name === TCP.DEFER_ACCEPT) && s.tcpState !== STATE.LISTEN)
      continue;
    asked.push(b.call(SYS.setsockopt, fd, level, name, b.bytes(value), value.length));
  }
  asked.push(b.call(SYS.setsockopt, fd, SOL_SOCKET, SO.BUF_LOCK, b.bytes(int(s.bufferLock)), 4));
  const listening = s.tcpState === STATE.LISTEN ? b.call(SYS.listen, fd, s.backlog) : undefined;
  const flagged = b.call(SYS.fcntl, fd, F.SETFL, s.flags);
  const r = await b.run();
  // A kernel may refuse an option that does not go with the state the connection is in.
  for (const ref of asked) isFound(r.value(ref), 'setting an option of a TCP socket');
  check(r.value(flagged), 'setting the flags of a TCP socket');
  if (listening !== undefined) check(r.value(listening), 'listening');
}

/** Leaving repair forgets SO_REUSEADDR: what it shall be. */
function reuseOf(options: readonly SocketOption[]): Uint8Array {
  return options.find((o) => o.level === SOL_SOCKET && o.name === SO.REUSEADDR)?.value ?? int(0);
}

/** Everything about a socket but its connection, in one batch. */
async function readSocket(hands: Hands, fd: number) {
  const b = hands.batch();
  const address = (nr: number) => {
    const bytes = b.out(128);
    const length = b.inout(int(128));
    return { bytes, length, n: b.call(nr, fd, bytes, length) };
  };
  const [local, peer] = [address(SYS.getsockname), address(SYS.getpeername)];
  const info = addInfo(b, fd);
  const options = addReadOptions(b, fd, OPTIONS);
  const numbers = [
    [SOL_SOCKET, SO.DOMAIN],
    [SOL_SOCKET, SO.SNDBUF],
    [SOL_SOCKET, SO.RCVBUF],
    [SOL_SOCKET, SO.BUF_LOCK],
    [IPPROTO_IPV6, IPV6_V6ONLY],
  ].map(([level = 0, name = 0]) => {
    const value = b.out(4);
    return { value, n: b.call(SYS.getsockopt, fd, level, name, value, b.bytes(int(4))) };
  });
  const r = await b.run();
  const bytesOf = (x: typeof local): Uint8Array =>
    r.value(x.n) < 0 ? new Uint8Array(0) : r.bytes(x.bytes, r.view(x.length).getUint32(0, true));
  const [domain = -1, sendBuffer = 0, receiveBuffer = 0, bufferLock = 0, v6only = 0] = numbers.map(({ value, n }) =>
    r.value(n) < 0 ? 0 : r.view(value).getInt32(0, true),
  );
  return {
    domain,
    sendBuffer,
    receiveBuffer,
    bufferLock,
    v6only,
    local: bytesOf(local),
    peer: bytesOf(peer),
    info: info(r),
    options: options(r),
  };
}

/** True if a socket address has a port. `sockaddr_in` and `sockaddr_in6` keep it at the same place. */
function isBound(address: Uint8Array): boolean {
  return address.length >= 4 && (address[2] !== 0 || address[3] !== 0);
}
