import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { CLONE, O } from '../linux/flags.js';
import { interfaceOf, isPciAddress } from './cards.js';
import { whileOpen } from '../linux/making.js';
import { check, open } from '../linux/os.js';
import { AF_INET6, AF_NETLINK, MSG_DONTWAIT, NETLINK_ROUTE, SOCK_RAW } from '../linux/socket-numbers.js';

const SOCK_CLOEXEC = O.CLOEXEC;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_REPLACE = 0x100;
const NLM_F_CREATE = 0x400;
const RTM_NEWLINK = 16;
const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;
const IFF_UP = 1;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_TXQLEN = 13;
const IFLA_NET_NS_FD = 28;
const IFLA_NEW_IFINDEX = 49;
const EBUSY = 16;
/** After the loopback interface: a domain's NIC has the same index in every OS instance, which programs may remember. */
const NIC_INDEX = 2;
/** What a card has at first. */
const MTU = 1500;
const QUEUE_LENGTH = 1000;
const IFLA_AF_SPEC = 26;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;

/** How a domain is to be reached: a NIC of the OS instance, handed to the domain alone. */
export interface DomainNetwork {
  /**
   * Name of the NIC in the OS instance, such as `eth1`, or the address of the PCI slot that a card is in; it is called
   * `eth0` inside the domain. Absent: a card that is added for it, where whoever starts or moves it can add one.
   */
  readonly nic?: string;
  /** MAC address the domain shows, the same in every OS instance: `52:54:00:…`. */
  readonly mac: string;
  /** IPv4 address and prefix length, such as `10.0.2.20/24`. */
  readonly address: string;
  readonly gateway?: string;
}

/** An attribute: length u16, type u16, value, padded to 4 bytes (netlink(7)). */
function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array((4 + value.length + 3) & ~3);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 4 + value.length, true);
  view.setUint16(2, type, true);
  bytes.set(value, 4);
  return bytes;
}

function message(type: number, flags: number, header: Uint8Array, attributes: readonly Uint8Array[]): Uint8Array {
  const length = 16 + header.length + attributes.reduce((n, a) => n + a.length, 0);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, NLM_F_REQUEST | NLM_F_ACK | flags, true);
  view.setUint32(8, 1, true);
  bytes.set(header, 16);
  let at = 16 + header.length;
  for (const a of attributes) {
    bytes.set(a, at);
    at += a.length;
  }
  return bytes;
}

const u32 = (n: number): Uint8Array => new Uint8Array(new Uint32Array([n]).buffer);
const text = (s: string): Uint8Array => new TextEncoder().encode(`${s}\0`);

/** `struct ifinfomsg`: family u8, pad, type u16, index i32, flags u32, change u32. */
function linkMessage(index: number, flags: number, attributes: readonly Uint8Array[]): Uint8Array {
  const header = new Uint8Array(16);
  const view = new DataView(header.buffer);
  view.setInt32(4, index, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, flags, true);
  return message(RTM_NEWLINK, 0, header, attributes);
}

export function parseIpv4(address: string): Uint8Array {
  const parts = address.split('.').map(Number);
  if (parts.length !== 4 || parts.some((p) => !Number.isInteger(p) || p < 0 || p > 255)) {
    throw new DomainError('state', `${address} is no IPv4 address`);
  }
  return Uint8Array.from(parts);
}

function parseMac(mac: string): Uint8Array {
  const parts = mac.split(':').map((p) => parseInt(p, 16));
  if (parts.length !== 6 || parts.some((p) => !(p >= 0 && p <= 255)))
    throw new DomainError('state', `${mac} is no MAC address`);
  return Uint8Array.from(parts);
}

/** Sends rtnetlink requests through a socket, in order; each must be acknowledged. */
async function request(
  hands: Hands,
  socket: number,
  requests: readonly (readonly [what: string, message: Uint8Array])[],
): Promise<void> {
  const b = hands.batch();
  const acks = requests.map(([what, m]) => {
    const buf = b.out(256);
    const sent = b.call(SYS.sendto, socket, b.bytes(m), m.length, 0, 0, 0);
    // The kernel answers before the sending is over; hands that wait for an answer to nothing would wait for ever.
    return { what, buf, sent, n: b.call(SYS.recvfrom, socket, buf, 256, MSG_DONTWAIT, 0, 0) };
  });
  const r = await b.run();
  for (const { what, buf, sent, n } of acks) {
    check(r.value(sent), what);
    check(r.value(n), what);
    // struct nlmsghdr, then error i32 (0: acknowledged).
    const error = r.view(buf).getInt32(16, true);
    if (error !== 0) throw new DomainError('guest', `${what}: errno ${-error}`, { errno: -error });
  }
}

/** Makes a netlink socket of the network namespace `netns` (a descriptor of the hands), or of the hands' own. */
async function routeSocket(hands: Hands, netns?: number): Promise<number> {
  return inNetns(hands, netns, async () => {
    return check(
      await hands.syscall(SYS.socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE),
      'opening a netlink socket',
    );
  });
}

/** Runs `work` while the hands are in another network namespace: sockets made there belong to it. */
export async function inNetns<T>(hands: Hands, netns: number | undefined, work: () => Promise<T>): Promise<T> {
  if (netns === undefined) return work();
  const own = await open(hands, '/proc/self/ns/net', O.RDONLY);
  return whileOpen(hands, own, async () => {
    check(await hands.syscall(SYS.setns, netns, CLONE.NEWNET), 'entering the network namespace of the domain');
    try {
      return await work();
    } finally {
      check(await hands.syscall(SYS.setns, own, CLONE.NEWNET), 'leaving the network namespace of the domain');
    }
  });
}

/** Interface index by name, by SIOCGIFINDEX on any socket of the namespace; below 0: there is none of that name. */
async function interfaceIndex(hands: Hands, socket: number, name: string): Promise<number> {
  const b = hands.batch();
  const ifreq = new Uint8Array(40);
  ifreq.set(text(name).subarray(0, 16));
  const buf = b.inout(ifreq);
  const n = b.call(SYS.ioctl, socket, 0x8933, buf);
  const r = await b.run();
  return r.value(n) < 0 ? -1 : r.view(buf).getInt32(16, true);
}

/**
 * Index of a NIC of the OS instance. One that another domain had comes back only when the kernel has taken that domain's
 * namespace down, which it does in its own time.
 */
async function nicIndex(hands: Hands, socket: number, nic: string): Promise<number> {
  for (let turn = 0; turn < 100; turn++) {
    const name = await interfaceOf(hands, nic);
    const index = name === undefined ? -1 : await interfaceIndex(hands, socket, name);
    if (index > 0) return index;
    const wait = hands.batch();
    wait.call(SYS.nanosleep, wait.bytes(new Uint8Array(new BigInt64Array([0n, 20_000_000n]).buffer)), 0);
    await wait.run();
  }
  throw new DomainError('state', `OS instance ${hands.name} has no network interface ${nic} to give`);
}

/** Hands a NIC to the network namespace `netns` and gives it its name and addresses there. */
export async function giveNic(hands: Hands, netns: number, network: DomainNetwork): Promise<void> {
  const { nic } = network;
  if (nic === undefined)
    throw new DomainError('state', `no NIC was chosen for ${network.address}: Carrier.giveCard does it`);
  const { address: own, gateway } = network;
  if (gateway !== undefined && !isInNetwork(gateway, own))
    throw new DomainError(
      'state',
      `${own} is of another network than its gateway ${gateway}: choose an address beside it`,
    );
  const outside = await routeSocket(hands);
  try {
    const index = await nicIndex(hands, outside, nic);
    const handing = (...more: readonly Uint8Array[]): Promise<void> => {
      const where = [attribute(IFLA_NET_NS_FD, u32(netns)), attribute(IFLA_IFNAME, text('eth0')), ...more];
      return request(hands, outside, [[`handing ${nic} to the domain`, linkMessage(index, 0, where)]]);
    };
    await request(hands, outside, [[`taking ${nic} down`, linkDown(index)]]);
    try {
      await handing(attribute(IFLA_NEW_IFINDEX, u32(NIC_INDEX)));
    } catch (e) {
      // An interface that every new namespace has, of some module, has that index.
      if (!(e instanceof DomainError && e.errno === EBUSY)) throw e;
      await handing();
    }
  } finally {
    await hands.syscall(SYS.close, outside);
  }
  const inside = await routeSocket(hands, netns);
  try {
    const index = await interfaceIndex(hands, inside, 'eth0');
    // Whoever had an added card before may have changed it.
    const asNew = isPciAddress(nic) ? [attribute(IFLA_MTU, u32(MTU)), attribute(IFLA_TXQLEN, u32(QUEUE_LENGTH))] : [];
    const [ip = '', prefix = '32'] = network.address.split('/');
    const address = parseIpv4(ip);
    // struct ifaddrmsg: family, prefixlen, flags, scope u8; index u32.
    const addr = new Uint8Array(8);
    addr.set([2, Number(prefix), 0, 0]);
    addr.set(u32(index), 4);
    const requests: [string, Uint8Array][] = [
      ['loopback up', linkMessage(1, IFF_UP, [])],
      ['setting the MAC address', linkMessage(index, 0, [attribute(IFLA_ADDRESS, parseMac(network.mac)), ...asNew])],
      [
        `giving the domain its address ${network.address}`,
        message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, addr, [attribute(1, address), attribute(2, address)]),
      ],
      // Two instances may have the address for a moment; IPv6 would notice, and speak.
      [
        'no automatic IPv6 address',
        linkMessage(index, 0, [
          attribute(
            IFLA_AF_SPEC,
            attribute(AF_INET6, attribute(IFLA_INET6_ADDR_GEN_MODE, Uint8Array.of(IN6_ADDR_GEN_MODE_NONE))),
          ),
        ]),
      ],
      ['interface up', linkMessage(index, IFF_UP, [])],
    ];
    if (network.gateway !== undefined) {
      // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type u8; flags u32.
      const route = Uint8Array.of(2, 0, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0);
      requests.push([
        'setting the default route',
        message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route, [
          attribute(5, parseIpv4(network.gateway)),
          attribute(4, u32(index)),
        ]),
      ]);
    }
    await request(hands, inside, requests);
  } finally {
    await hands.syscall(SYS.close, inside);
  }
}

/** Only the loopback interface, for a domain without a NIC. */
export async function loopbackUp(hands: Hands, netns: number): Promise<void> {
  const inside = await routeSocket(hands, netns);
  try {
    await request(hands, inside, [['loopback up', linkMessage(1, IFF_UP, [])]]);
  } finally {
    await hands.syscall(SYS.close, inside);
  }
}

function linkDown(index: number): Uint8Array {
  const m = linkMessage(index, 0, []);
  // ifi_change: the UP flag alone, cleared.
  new DataView(m.buffer).setUint32(16 + 12, IFF_UP, true);
  return m;
}

/** Whether an IPv4 address is in the network of another, which is given with its prefix length. */
function isInNetwork(address: string, beside: string): boolean {
  const [ip = '', prefix = '32'] = beside.split('/');
  const bits = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return bits(parseIpv4(address)).slice(0, Number(prefix)) === bits(parseIpv4(ip)).slice(0, Number(prefix));
}
