import type { Batch, BatchResult } from '../../../../guest/hands/batch.js';
import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { unsupportedNow } from '../../../errors.js';
import { EACCES, EAGAIN } from '../../../linux/flags.js';
import { check } from '../../../linux/os.js';
import { addSetNumber, int, IPPROTO_IP, IPPROTO_IPV6, numberOf } from '../socket-options.js';
import { endpointOf, type Endpoint } from './address.js';
import { Injector } from './inject.js';
import type { InetSocket } from './inet-socket.js';
import { UDP_GRO } from './options.js';
import { ipPacket } from './segment.js';
import { AF_INET, IPPROTO_UDP, MSG_DONTWAIT, MSG_TRUNC, SIOCOUTQ } from '../../../linux/socket-numbers.js';

/** Control messages: names of what is asked for, and of what then comes. */
const ASKED = { TTL: 12, TOS: 13, WHERE: 20 } as const;
const ASKED6 = { HOPS: 51, CLASS: 66, WHERE: 74 } as const;
const CAME = { TOS: 1, TTL: 2, WHERE: 20, HOPS6: 52, CLASS6: 67, WHERE6: 74 } as const;
/** The most that a datagram holds. */
const LONGEST = 0x10000;
const CONTROL = 512;
/** Datagrams in one batch, and in a whole queue: the smallest takes some hundred bytes of a buffer. */
const AT_ONCE = 4;
const MOST = 100_000;
/** Errors that wait before them: each is told once. */
const MOST_ERRORS = 100;

/** A datagram that waits to be received. */
export interface Datagram {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly hops: number;
  readonly service: number;
  readonly data: Uint8Array;
}

/**
 * Takes what waits out of a socket of a frozen domain into `out`, with where it came from and went to. {@link deliver}
 * puts it back, also what was taken before this throws.
 * What was sent to many (multicast, broadcast) and waits is left out: the network may lose it.
 */
export async function takeDatagrams(
  hands: Hands,
  fd: number,
  s: InetSocket,
  out: Datagram[],
  where: string,
): Promise<void> {
  const asked = [
    ...Object.values(ASKED).map((name) => [IPPROTO_IP, name] as const),
    ...(s.domain === AF_INET ? [] : Object.values(ASKED6).map((name) => [IPPROTO_IPV6, name] as const)),
  ];
  const ask = hands.batch();
  for (const [level, name] of asked) addSetNumber(ask, fd, level, name, 1);
  await ask.run();
  try {
    for (let errors = 0; out.length < MOST;) {
      const b = hands.batch();
      const reads = Array.from({ length: AT_ONCE }, () => {
        const [name, data, control] = [b.inout(new Uint8Array(28)), b.out(LONGEST), b.inout(new Uint8Array(CONTROL))];
        const message = b.inout(messageHeader());
        b.pointer(message, 0, name);
        b.pointer(message, 16, b.iovec(data));
        b.pointer(message, 32, control);
        return { name, data, control, message, n: b.must(SYS.recvmsg, fd, message, MSG_DONTWAIT) };
      });
      const r = await b.run();
      for (const { name, data, control, message, n } of reads) {
        const length = r.value(n);
        if (length === -EAGAIN) return;
        if (length < 0) {
          if (++errors > MOST_ERRORS) check(length, 'taking a datagram');
          break;
        }
        const header = r.view(message);
        const size = Math.min(CONTROL, header.getUint32(40, true));
        if ((header.getUint32(48, true) & MSG_TRUNC) !== 0) continue;
        const from = endpointOf(r.bytes(name, Math.min(28, header.getUint32(8, true))));
        out.push(...datagrams(from, endpointOf(s.local), r.bytes(data, length), r.bytes(control, size)));
      }
    }
    throw unsupportedNow('very many datagrams that wait', where);
  } finally {
    const back = hands.batch();
    for (const [level, name] of asked) addSetNumber(back, fd, level, name, numberOf(s.options, level, name));
    await back.run();
  }
}

/** `struct msghdr`: name pointer, u32 length at 8; iov pointer at 16, count at 24; control pointer at 32, length at 40; flags i32 at 48. */
function messageHeader(): Uint8Array {
  const bytes = new Uint8Array(56);
  const view = new DataView(bytes.buffer);
  view.setUint32(8, 28, true);
  view.setBigUint64(24, 1n, true);
  view.setBigUint64(40, BigInt(CONTROL), true);
  return bytes;
}

/** What one read came to: the kernel may have put datagrams of one size together (udp(7), UDP_GRO). */
function datagrams(from: Endpoint, local: Endpoint, data: Uint8Array, control: Uint8Array): Datagram[] {
  let [to, hops, service, segment] = [local, 64, 0, data.length];
  const view = new DataView(control.buffer, control.byteOffset, control.length);
  // struct cmsghdr: length u64, level i32, type i32, then the data.
  for (let at = 0; at + 16 <= control.length;) {
    const size = Number(view.getBigUint64(at, true));
    if (size < 16 || at + size > control.length) break;
    const [level, type] = [view.getInt32(at + 8, true), view.getInt32(at + 12, true)];
    const value = control.slice(at + 16, at + size);
    const number = value.length >= 4 ? view.getInt32(at + 16, true) : (value[0] ?? 0);
    if (level === IPPROTO_IP && type === CAME.WHERE && value.length >= 16) to = endpointOf(value.slice(0, 16));
    if (level === IPPROTO_IPV6 && type === CAME.WHERE6 && value.length >= 28) to = endpointOf(value.slice(0, 28));
    if (level === IPPROTO_IP && type === CAME.TTL) hops = number;
    if (level === IPPROTO_IPV6 && type === CAME.HOPS6) hops = number;
    if (level === IPPROTO_IP && type === CAME.TOS) service = value[0] ?? 0;
    if (level === IPPROTO_IPV6 && type === CAME.CLASS6) service = number;
    if (level === IPPROTO_UDP && type === UDP_GRO && number > 0) segment = number;
    at += (size + 7) & ~7;
  }
  if (isForMany(to.address) || to.address.length !== from.address.length) return [];
  const made = { from, to, hops: Math.max(1, hops & 0xff), service: service & 0xff };
  if (data.length === 0) return [{ ...made, data }];
  const out: Datagram[] = [];
  for (let at = 0; at < data.length; at += segment) out.push({ ...made, data: data.slice(at, at + segment) });
  return out;
}

/** Multicast and the limited broadcast (RFC 5771, RFC 4291). */
const isForMany = (address: Uint8Array): boolean =>
  address.length === 4 ? (address[0] ?? 0) >= 224 : address[0] === 0xff;

/** Puts datagrams into the sockets of a network namespace that they are for, in the name of those who sent them. */
export async function deliver(hands: Hands, netns: number, waiting: readonly Datagram[]): Promise<void> {
  if (waiting.length === 0) return;
  await Injector.with(hands, netns, async (injector) => {
    for (let at = 0; at < waiting.length; at += AT_ONCE) {
      const b = hands.batch();
      const refs = waiting.slice(at, at + AT_ONCE).map((d) => injector.addPacket(b, datagramPacket(d), d.to.address));
      const r = await b.run();
      // Nothing but the kernel's refusal tells that an address is that of all of a network (raw(7)).
      for (const ref of refs) if (r.value(ref) !== -EACCES) check(r.value(ref), 'delivering a datagram');
    }
  });
}

/** Ports, length, checksum: be16 each (RFC 768). */
function datagramPacket({ from, to, hops, service, data }: Datagram): Uint8Array {
  const datagram = new Uint8Array(8 + data.length);
  const view = new DataView(datagram.buffer);
  view.setUint16(0, from.port);
  view.setUint16(2, to.port);
  view.setUint16(4, datagram.length);
  datagram.set(data, 8);
  return ipPacket(from.address, to.address, IPPROTO_UDP, datagram, 6, { hops, service });
}

/** Adds the question how many bytes the kernel has ready to send: those of a datagram that is being put together, too. */
export function addUnsent(b: Batch, fd: number): (r: BatchResult) => number {
  const out = b.inout(int(0));
  b.call(SYS.ioctl, fd, SIOCOUTQ, out);
  return (r) => r.view(out).getInt32(0, true);
}
