import type { Hands } from '../../../../guest/hands/hands.js';
import type { Anchor } from '../../../tree/anchor.js';
import { closeAll } from '../../../linux/making.js';
import { makeSocket } from '../make-socket.js';
import {
  addReadOptions,
  IPPROTO_IP,
  IPPROTO_IPV6,
  SO,
  SOL_SOCKET,
  STAMPS,
  TXTIME,
  type OptionName,
  type SocketFamily,
  type SocketOption,
} from '../socket-options.js';
import { TCP } from './tcp-repair.js';
import {
  AF_INET6,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  SOCK_RAW,
  SOCK_STREAM,
  SO_PEEK_OFF,
} from '../../../linux/socket-numbers.js';

const SOL_RAW = 255;
export const UDP_GRO = 104;

/** Names of socket(7), ip(7), ipv6(7), as the uapi headers number them. */
export const IP = { TOS: 1, FREEBIND: 15, TRANSPARENT: 19, MINTTL: 21 } as const;
export const IPV6 = { V6ONLY: 26, TCLASS: 67, MINHOPCOUNT: 73, TRANSPARENT: 75, FREEBIND: 78 } as const;
export const SO_BINDTODEVICE = 25;
const SO_INCOMING_CPU = 49;
const TCP_CONGESTION = 13;

const numbers = (level: number, names: readonly number[]): OptionName[] => names.map((name) => [level, name, 4]);

/** What must be said before a socket is bound. */
const BEFORE: readonly OptionName[] = [
  [IPPROTO_IPV6, IPV6.V6ONLY, 4],
  [SOL_SOCKET, SO_BINDTODEVICE, 16],
  [SOL_SOCKET, SO.MARK, 4],
  ...numbers(IPPROTO_IP, [IP.FREEBIND, IP.TRANSPARENT]),
  ...numbers(IPPROTO_IPV6, [IPV6.FREEBIND, IPV6.TRANSPARENT]),
];

/** Said when it is bound, in this order: the type of service sets a priority of its own. */
const AFTER: readonly OptionName[] = [
  // REUSEADDR, REUSEPORT, BROADCAST, KEEPALIVE, OOBINLINE, DONTROUTE, NO_CHECK
  ...numbers(SOL_SOCKET, [SO.REUSEADDR, SO.REUSEPORT, SO.BROADCAST, SO.KEEPALIVE, SO.OOBINLINE, 5, 11]),
  [SOL_SOCKET, SO.LINGER, 8],
  ...numbers(SOL_SOCKET, [SO.RCVLOWAT]),
  [SOL_SOCKET, SO.RCVTIMEO, 16],
  [SOL_SOCKET, SO.SNDTIMEO, 16],
  // RXQ_OVFL, WIFI_STATUS, NOFCS, SELECT_ERR_QUEUE, BUSY_POLL, ZEROCOPY, PREFER_BUSY_POLL, TXREHASH, RCVMARK
  ...numbers(SOL_SOCKET, [40, 41, 43, 45, 46, SO_INCOMING_CPU, 60, 69, 74, 75]),
  [SOL_SOCKET, 47, 8], // MAX_PACING_RATE
  // TOS, TTL, RECVOPTS, RETOPTS, PKTINFO, MTU_DISCOVER, RECVERR, RECVTTL, RECVTOS
  ...numbers(IPPROTO_IP, [IP.TOS, 2, 6, 7, 8, 10, 11, 12, 13]),
  [IPPROTO_IP, 4, 40], // OPTIONS
  // PASSSEC, RECVORIGDSTADDR, MINTTL, NODEFRAG, CHECKSUM, BIND_ADDRESS_NO_PORT, RECVFRAGSIZE, RECVERR_RFC4884
  ...numbers(IPPROTO_IP, [18, 20, IP.MINTTL, 22, 23, 24, 25, 26]),
  // MULTICAST_ALL, UNICAST_IF, LOCAL_PORT_RANGE
  ...numbers(IPPROTO_IP, [49, 50, 51]),
];

const AFTER6: readonly OptionName[] = [
  // UNICAST_HOPS, MTU_DISCOVER, RECVERR, MULTICAST_ALL, FLOWINFO_SEND
  ...numbers(IPPROTO_IPV6, [16, 23, 25, 29, 33]),
  // RECVPKTINFO, RECVHOPLIMIT, RECVHOPOPTS, RECVRTHDR, RECVDSTOPTS, RECVPATHMTU, DONTFRAG, RECVTCLASS, TCLASS
  ...numbers(IPPROTO_IPV6, [49, 51, 53, 56, 58, 60, 62, 66, IPV6.TCLASS]),
  // AUTOFLOWLABEL, ADDR_PREFERENCES, MINHOPCOUNT, RECVORIGDSTADDR, UNICAST_IF, RECVFRAGSIZE
  ...numbers(IPPROTO_IPV6, [70, 72, IPV6.MINHOPCOUNT, 74, 76, 77]),
];

/** What multicast datagrams a socket sends, and how far. */
const MULTICAST: readonly OptionName[] = [
  ...numbers(IPPROTO_IP, [32, 33, 34]), // IF, TTL, LOOP
];
const MULTICAST6: readonly OptionName[] = numbers(IPPROTO_IPV6, [17, 18, 19]); // IF, HOPS, LOOP

const LAST: readonly OptionName[] = numbers(SOL_SOCKET, [SO.PRIORITY]);

const OF_TCP: readonly OptionName[] = [
  ...numbers(IPPROTO_TCP, [
    TCP.NODELAY,
    TCP.CORK,
    TCP.KEEPIDLE,
    TCP.KEEPINTVL,
    TCP.KEEPCNT,
    TCP.SYNCNT,
    TCP.LINGER2,
    TCP.DEFER_ACCEPT,
    16, // THIN_LINEAR_TIMEOUTS
    TCP.USER_TIMEOUT,
    TCP.FASTOPEN,
    TCP.NOTSENT_LOWAT,
    27, // SAVE_SYN
    30, // FASTOPEN_CONNECT
    34, // FASTOPEN_NO_COOKIE
    36, // INQ
    37, // TX_DELAY
  ]),
  [IPPROTO_TCP, TCP_CONGESTION, 16],
];

/** How far a peek has come. */
const PEEKED: readonly OptionName[] = numbers(SOL_SOCKET, [SO_PEEK_OFF]);

/** UDP_ENCAP, NO_CHECK6_TX, NO_CHECK6_RX, SEGMENT, GRO, and last CORK. */
const OF_UDP: readonly OptionName[] = numbers(IPPROTO_UDP, [100, 101, 102, 103, UDP_GRO, 1]);
/** HDRINCL; the checksum's place in IPv6; `struct icmp_filter` and `struct icmp6_filter`. */
const OF_RAW: readonly OptionName[] = [[IPPROTO_IP, 3, 4]];
const OF_RAW6: readonly OptionName[] = numbers(IPPROTO_IPV6, [7, 36]);
const ICMP_FILTER: readonly OptionName[] = [[SOL_RAW, 1, 4]];
const ICMP6_FILTER: readonly OptionName[] = [[IPPROTO_ICMPV6, 1, 32]];

/** The options that sockets of a family have, beside those that its own kind looks after. */
export function optionsOf({ domain, type, protocol }: SocketFamily): readonly OptionName[] {
  const v6 = domain === AF_INET6;
  return [
    ...BEFORE,
    ...AFTER,
    ...(v6 ? AFTER6 : []),
    ...(type === SOCK_STREAM ? OF_TCP : [...MULTICAST, ...(v6 ? MULTICAST6 : [])]),
    ...PEEKED,
    ...(type === SOCK_RAW ? (v6 ? OF_RAW6 : OF_RAW) : []),
    ...(type === SOCK_RAW && protocol === IPPROTO_ICMP ? ICMP_FILTER : []),
    ...(type === SOCK_RAW && protocol === IPPROTO_ICMPV6 ? ICMP6_FILTER : []),
    ...(protocol === IPPROTO_UDP ? OF_UDP : []),
    TXTIME,
    ...STAMPS,
    ...LAST,
  ];
}

const key = (level: number, name: number): string => `${level} ${name}`;
const BEFORE_KEYS = new Set(BEFORE.map(([level, name]) => key(level, name)));

/** Whether an option must be set before its socket is bound. */
export const isEarly = (o: SocketOption): boolean => BEFORE_KEYS.has(key(o.level, o.name));

const fresh = new WeakMap<Anchor, Map<string, Promise<SocketOption[]>>>();

/** What a new socket of the family has there: only what differs from it has to be set. */
function freshOptions(hands: Hands, anchor: Anchor, family: SocketFamily): Promise<SocketOption[]> {
  const known = fresh.get(anchor) ?? new Map<string, Promise<SocketOption[]>>();
  fresh.set(anchor, known);
  const of = `${family.domain} ${family.type} ${family.protocol}`;
  let options = known.get(of);
  if (options === undefined) {
    options = lookAtFresh(hands, anchor.netns, family);
    known.set(of, options);
  }
  return options;
}

async function lookAtFresh(hands: Hands, netns: number, family: SocketFamily): Promise<SocketOption[]> {
  const fd = await makeSocket(hands, netns, family.domain, family.type, family.protocol);
  try {
    const b = hands.batch();
    const read = addReadOptions(b, fd, optionsOf(family));
    return read(await b.run());
  } finally {
    await closeAll(hands, [fd]);
  }
}

/** Those of a socket's options that a new socket does not have by itself. */
export async function ownOptions(
  hands: Hands,
  anchor: Anchor,
  family: SocketFamily,
  options: readonly SocketOption[],
): Promise<SocketOption[]> {
  const by = new Map((await freshOptions(hands, anchor, family)).map((o) => [key(o.level, o.name), o.value]));
  const same = (x: Uint8Array, y: Uint8Array | undefined): boolean =>
    y !== undefined && x.length === y.length && x.every((byte, i) => byte === y[i]);
  const own = options.filter((o) => !same(o.value, by.get(key(o.level, o.name))));
  const served = own.some((o) => o.level === IPPROTO_IP && o.name === IP.TOS);
  const priority = options.find((o) => o.level === SOL_SOCKET && o.name === SO.PRIORITY);
  return served && priority !== undefined && !own.includes(priority) ? [...own, priority] : own;
}
