/**
 * IPv4 headers (RFC 791, 3.1). `at` is the header's first byte.
 *
 *   at+0 version 4, IHL   +1 DSCP      +2 total length
 *     +4 identification                +6 flags (DF 0x4000, MF 0x2000), fragment offset in 8 bytes
 *     +8 TTL              +9 protocol  +10 header checksum
 *    +12 source           +16 destination   +20 options up to IHL × 4
 */
import { get16, get32, set16, set32 } from './bytes.js';
import { checksum } from './checksum.js';

export const IPV4_HEADER = 20;
export const PROTOCOL_ICMP = 1;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;
export const MORE_FRAGMENTS = 0x2000;
export const DONT_FRAGMENT = 0x4000;

/** A validated packet. One instance is reused for all frames: whoever keeps something copies it out. */
export class Ipv4Packet {
  /** The bytes it lies in: the frame, or a reassembled datagram. */
  bytes: Uint8Array = new Uint8Array(0);
  /** The header's first byte. */
  header = 0;
  source = 0;
  destination = 0;
  protocol = 0;
  identification = 0;
  /** Flags and fragment offset as on the wire. */
  fragment = 0;
  /** The payload's first byte and its length in bytes. */
  start = 0;
  length = 0;

  get isFragment(): boolean {
    return (this.fragment & 0x3fff) !== 0;
  }
}

/** Reads and verifies the header at `at`; bytes after the total length are padding. False: malformed, drop it. */
export function parseIpv4Header(bytes: Uint8Array, at: number, into: Ipv4Packet): boolean {
  if (bytes.length < at + IPV4_HEADER || bytes[at] >>> 4 !== 4) return false;
  const headerLength = (bytes[at] & 15) * 4;
  const total = get16(bytes, at + 2);
  if (headerLength < IPV4_HEADER || total < headerLength || at + total > bytes.length) return false;
  if (checksum(bytes, at, headerLength) !== 0) return false;
  into.bytes = bytes;
  into.header = at;
  into.identification = get16(bytes, at + 4);
  into.fragment = get16(bytes, at + 6);
  into.protocol = bytes[at + 9];
  into.source = get32(bytes, at + 12);
  into.destination = get32(bytes, at + 16);
  into.start = at + headerLength;
  into.length = total - headerLength;
  return true;
}

/** Writes a header without options, checksum included. `fragment` holds flags and offset as on the wire. */
export function writeIpv4Header(
  bytes: Uint8Array,
  at: number,
  payloadLength: number,
  protocol: number,
  source: number,
  destination: number,
  identification: number,
  fragment: number,
): void {
  bytes[at] = 0x45;
  bytes[at + 1] = 0;
  set16(bytes, at + 2, IPV4_HEADER + payloadLength);
  set16(bytes, at + 4, identification);
  set16(bytes, at + 6, fragment);
  bytes[at + 8] = 64;
  bytes[at + 9] = protocol;
  set16(bytes, at + 10, 0);
  set32(bytes, at + 12, source);
  set32(bytes, at + 16, destination);
  set16(bytes, at + 10, checksum(bytes, at, IPV4_HEADER));
}
