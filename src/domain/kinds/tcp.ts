import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported } from '../errors.js';
import { CLONE, F, O } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { fileKind } from './kind.js';
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
} from './socket-options.js';
import {
  finReceived,
  finSent,
  readConnection,
  repairOff,
  addInfo,
  STATE,
  TCP,
  tcpInfo,
  writeConnection,
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
  readonly connection: Connection | undefined;
}

/**
 * TCP sockets: listening, and connected with everything that is on its way. A connection stands under
 * TCP_REPAIR from the checkpoint until its domain goes on; whichever copy is closed meanwhile says nothing
 * to the other side.
 */
export const tcp = fileKind<TcpState>({
  name: 'tcp',
  matches: (view) => view.link.startsWith('socket:['),
  async inspect(hands, file) {
    const kind = await socketKind(hands, file.held);
    const where = `descriptor ${file.view.fd}`;
    if (
      (kind.domain !== AF_INET && kind.domain !== AF_INET6) ||
      kind.type !== SOCK_STREAM ||
      kind.protocol !== IPPROTO_TCP
    ) {
      throw unsupported(`a socket of domain ${kind.domain}, type ${kind.type}, protocol ${kind.protocol}`, where);
    }
    const { state } = await tcpInfo(hands, file.held);
    if (state === STATE.SYN_SENT || state === STATE.SYN_RECV)
      throw unsupported('a TCP connection that is being made', where);
    if (finReceived(state) || finSent(state)) throw unsupported('a TCP connection that is being closed', where);
  },
  async checkpoint({ hands, undo }, file) {
    const fd = file.held;
    const first = await readSocket(hands, fd);
    const { info, options } = first;
    const base = { ...first, flags: file.view.info.flags & ~O.CLOEXEC, tcpState: info.state };
    switch (info.state) {
      case STATE.CLOSE:
        return { ...base, backlog: 0, connection: undefined };
      case STATE.LISTEN:
        // Whoever waits in the queue has been told that it is connected, and no descriptor leads to it yet.
        if (info.unacked > 0)
          throw unsupported('a TCP connection that waits to be accepted', `descriptor ${file.view.fd}`);
        return { ...base, backlog: info.sacked, connection: undefined };
      case STATE.SYN_SENT:
      case STATE.SYN_RECV:
        throw unsupported('a TCP connection that is being made', `descriptor ${file.view.fd}`);
      default: {
        undo.add('giving a connection back', () => repairOff(hands, fd, reuseOf(options)));
        const connection = await readConnection(hands, fd);
        if (finReceived(connection.info.state) || finSent(connection.info.state)) {
          throw unsupported('a TCP connection that is being closed', `descriptor ${file.view.fd}`);
        }
        return { ...base, backlog: 0, connection };
      }
    }
  },
  async restore({ hands, anchor, counters }, s) {
    const fd = await makeSocket(hands, anchor.netns, s.domain);
    const connected = s.connection !== undefined;
    const b = hands.batch();
    const refs = [];
    if (s.domain === AF_INET6)
      refs.push(b.call(SYS.setsockopt, fd, IPPROTO_IPV6, IPV6_V6ONLY, b.bytes(int(s.v6only)), 4));
    refs.push(b.call(SYS.setsockopt, fd, SOL_SOCKET, SO.REUSEADDR, b.bytes(int(1)), 4));
    refs.push(b.call(SYS.setsockopt, fd, SOL_SOCKET, SO.SNDBUFFORCE, b.bytes(int(s.sendBuffer >> 1)), 4));
    refs.push(b.call(SYS.setsockopt, fd, SOL_SOCKET, SO.RCVBUFFORCE, b.bytes(int(s.receiveBuffer >> 1)), 4));
    if (connected) refs.push(b.call(SYS.setsockopt, fd, IPPROTO_TCP, TCP.REPAIR, b.bytes(int(1)), 4));
    if (isBound(s.local)) refs.push(b.call(SYS.bind, fd, b.bytes(s.local), s.local.length));
    const r = await b.run();
    refs.forEach((ref, i) => check(r.value(ref), `making a TCP socket (${i})`));
    if (s.connection !== undefined) {
      await writeConnection(hands, fd, s.peer, s.connection);
      counters.bytesCopied += s.connection.received.length + s.connection.sent.length + s.connection.unsent.length;
    }

    const o = hands.batch();
    for (const { level, name, value } of s.options) {
      if (level === SOL_SOCKET && name === SO.REUSEADDR && connected) continue; // repair needs it
      if (level === IPPROTO_TCP && (name === TCP.FASTOPEN || name === TCP.DEFER_ACCEPT) && s.tcpState !== STATE.LISTEN)
        continue;
      o.call(SYS.setsockopt, fd, level, name, o.bytes(value), value.length);
    }
    o.call(SYS.setsockopt, fd, SOL_SOCKET, SO.BUF_LOCK, o.bytes(int(s.bufferLock)), 4);
    const listening = s.tcpState === STATE.LISTEN ? o.call(SYS.listen, fd, s.backlog) : undefined;
    o.call(SYS.fcntl, fd, F.SETFL, s.flags);
    const or = await o.run();
    if (listening !== undefined) check(or.value(listening), 'listening');
    return fd;
  },
  async activate(hands, fd, s) {
    if (s.connection === undefined) return;
    await repairOff(hands, fd, reuseOf(s.options));
    const { unsent } = s.connection;
    for (let at = 0; at < unsent.length;) {
      const b = hands.batch();
      const part = unsent.subarray(at, at + 0x40000);
      const n = b.call(SYS.sendto, fd, b.bytes(part), part.length, 0x4040, 0, 0); // MSG_DONTWAIT | MSG_NOSIGNAL
      const sent = (await b.run()).value(n);
      if (sent <= 0) break;
      at += sent;
    }
  },
});

/** Leaving repair forgets SO_REUSEADDR: what it shall be. */
function reuseOf(options: readonly SocketOption[]): Uint8Array {
  return options.find((o) => o.level === SOL_SOCKET && o.name === SO.REUSEADDR)?.value ?? int(0);
}

/** A socket of the domain's network namespace, made by the hands. */
export async function makeSocket(
  hands: Hands,
  netns: number,
  domain: number,
  type = SOCK_STREAM,
  protocol = 0,
): Promise<number> {
  const b = hands.batch();
  const own = b.must(SYS.openat, -100, b.str('/proc/self/ns/net'), O.RDONLY | O.CLOEXEC, 0);
  const entered = b.must(SYS.setns, netns, CLONE.NEWNET);
  const fd = b.call(SYS.socket, domain, type | O.CLOEXEC | O.NONBLOCK, protocol);
  const left = b.call(SYS.setns, own, CLONE.NEWNET);
  b.call(SYS.close, own);
  const r = await b.run();
  check(r.value(entered), 'entering the network namespace of the domain');
  check(r.value(left), 'leaving the network namespace of the domain');
  return check(r.value(fd), 'making a socket');
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
