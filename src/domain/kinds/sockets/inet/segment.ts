import type { Endpoint } from './address.js';
import { IPPROTO_TCP } from '../../../linux/socket-numbers.js';

/** What no other host's packet that was forwarded can have, nor what a kernel sends by itself (its default is 64). */
export const NEAREST = 255;

export const FLAG = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16 } as const;

/** A TCP segment (RFC 9293, section 3.1). */
export interface Segment {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  /** As it stands in the segment: not scaled. */
  readonly window: number;
  /** A multiple of four bytes. */
  readonly options?: Uint8Array;
  readonly data?: Uint8Array;
}

/** The ones' complement sum of 16-bit words, folded (RFC 1071). */
function sum(bytes: Uint8Array, start = 0): number {
  let total = start;
  for (let i = 0; i + 1 < bytes.length; i += 2) total += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  if (bytes.length % 2 === 1) total += (bytes.at(-1) ?? 0) << 8;
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x10000);
  return total;
}

/** A transport's header and data with its checksum at `at`, under an IP header of its own. */
export function ipPacket(
  from: Uint8Array,
  to: Uint8Array,
  protocol: number,
  transport: Uint8Array,
  at: number,
  { hops = NEAREST, service = 0 }: { readonly hops?: number; readonly service?: number } = {},
): Uint8Array {
  const v4 = from.length === 4;
  const pseudo = sum(from) + sum(to) + protocol + transport.length;
  const body = new DataView(transport.buffer, transport.byteOffset, transport.length);
  body.setUint16(at, 0);
  const checksum = ~sum(transport, pseudo) & 0xffff;
  // A checksum of 0 would say of UDP that there is none.
  body.setUint16(at, checksum === 0 && protocol !== IPPROTO_TCP ? 0xffff : checksum);
  const header = new Uint8Array(v4 ? 20 : 40);
  const view = new DataView(header.buffer);
  if (v4) {
    header[0] = 0x45;
    header[1] = service;
    view.setUint16(2, header.length + transport.length);
    header[8] = hops;
    header[9] = protocol;
    header.set(from, 12);
    header.set(to, 16);
    view.setUint16(10, ~sum(header) & 0xffff);
  } else {
    header[0] = 0x60 | (service >> 4);
    header[1] = (service & 15) << 4;
    view.setUint16(4, transport.length);
    header[6] = protocol;
    header[7] = hops;
    header.set(from, 8);
    header.set(to, 24);
  }
  const packet = new Uint8Array(header.length + transport.length);
  packet.set(header);
  packet.set(transport, header.length);
  return packet;
}

export function segmentPacket(s: Segment): Uint8Array {
  const { options = new Uint8Array(0), data = new Uint8Array(0) } = s;
  const length = 20 + options.length;
  const tcp = new Uint8Array(length + data.length);
  const view = new DataView(tcp.buffer);
  view.setUint16(0, s.from.port);
  view.setUint16(2, s.to.port);
  view.setUint32(4, s.seq >>> 0);
  view.setUint32(8, s.ack >>> 0);
  tcp[12] = (length >> 2) << 4;
  tcp[13] = s.flags;
  view.setUint16(14, Math.min(0xffff, s.window));
  tcp.set(options, 20);
  tcp.set(data, length);
  return ipPacket(s.from.address, s.to.address, IPPROTO_TCP, tcp, 16);
}

/** Reads an IP packet; undefined if it is no TCP segment. */
export function parseSegment(packet: Uint8Array): Segment | undefined {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const version = (packet[0] ?? 0) >> 4;
  const start = version === 4 ? ((packet[0] ?? 0) & 15) * 4 : 40;
  if (packet.length < start + 20 || (version !== 4 && version !== 6)) return undefined;
  if (packet[version === 4 ? 9 : 6] !== IPPROTO_TCP) return undefined;
  const total = version === 4 ? view.getUint16(2) : 40 + view.getUint16(4);
  // A packet that the kernel lets the device cut may be longer than its header can say.
  const end = total > start && total <= packet.length ? total : packet.length;
  const header = ((packet[start + 12] ?? 0) >> 4) * 4;
  if (header < 20 || start + header > end) return undefined;
  const [from, to, size] = version === 4 ? [12, 16, 4] : [8, 24, 16];
  return {
    from: { address: packet.slice(from, from + size), port: view.getUint16(start) },
    to: { address: packet.slice(to, to + size), port: view.getUint16(start + 2) },
    seq: view.getUint32(start + 4),
    ack: view.getUint32(start + 8),
    flags: packet[start + 13] ?? 0,
    window: view.getUint16(start + 14),
    options: packet.slice(start + 20, start + header),
    data: packet.slice(start + header, end),
  };
}
