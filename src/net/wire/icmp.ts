/**
 * ICMP (RFC 792): echo, and "destination unreachable".   at+0 type   +1 code   +2 checksum   +4 rest of header   +8 data
 */
import { set16 } from './bytes.js';
import { checksum } from './checksum.js';
import { IPV4_HEADER, Ipv4Packet, writeIpv4Header } from './ipv4.js';

export const ECHO_REPLY = 0;
export const DESTINATION_UNREACHABLE = 3;
export const ECHO_REQUEST = 8;

/** Codes of "destination unreachable" (RFC 792; RFC 1812, 5.2.7.1). */
export const HOST_UNREACHABLE = 1;
export const PORT_UNREACHABLE = 3;
export const PROHIBITED = 13;

/** The reply to an echo request, or undefined if the packet is no valid one. */
export function echoReply(packet: Ipv4Packet): Uint8Array | undefined {
  const { bytes, start, length } = packet;
  if (length < 8 || bytes[start] !== ECHO_REQUEST || bytes[start + 1] !== 0) return undefined;
  if (checksum(bytes, start, length) !== 0) return undefined;
  const reply = bytes.slice(start, start + length);
  reply[0] = ECHO_REPLY;
  set16(reply, 2, 0);
  set16(reply, 2, checksum(reply, 0, reply.length));
  return reply;
}

/**
 * The beginning of a packet that is no longer there, as "destination unreachable" quotes it: its addresses, and the
 * first 8 bytes behind the header, by which its sender finds out what it was.
 */
export function quoted(protocol: number, source: number, destination: number, first: Uint8Array): Ipv4Packet {
  const packet = new Ipv4Packet();
  packet.bytes = new Uint8Array(IPV4_HEADER + first.length);
  packet.start = IPV4_HEADER;
  packet.length = first.length;
  writeIpv4Header(packet.bytes, 0, 20, protocol, source, destination, 0, 0);
  packet.bytes.set(first, IPV4_HEADER);
  return packet;
}

/** Tells a sender that its packet cannot go on: quotes its header and the first 8 bytes after it. */
export function unreachable(packet: Ipv4Packet, code: number): Uint8Array {
  const quoted = packet.bytes.subarray(packet.header, packet.start + Math.min(8, packet.length));
  const out = new Uint8Array(8 + Math.max(quoted.length, IPV4_HEADER));
  out[0] = DESTINATION_UNREACHABLE;
  out[1] = code;
  out.set(quoted, 8);
  set16(out, 2, checksum(out, 0, out.length));
  return out;
}
