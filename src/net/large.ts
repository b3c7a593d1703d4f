/**
 * Large frames: one TCP segment over IPv4 of up to 64 KiB, with Ethernet and IPv4 headers, in the place of many that
 * belong together (TCP segmentation offload). Whoever cannot take it gets the many.
 *
 *   0              14        34 …      54 …
 *   +--------------+---------+---------+------------------------------…─+
 *   | Ethernet     | IPv4    | TCP     | data of many segments           |
 *   +--------------+---------+---------+------------------------------…─+
 *                                │
 *                                checksum: not filled in, and nobody looks at it
 *
 * How much data each segment is to carry is noted beside the frame, not in it: bytes that somebody sends cannot make a
 * large frame of themselves.
 */
import { get16, get32, getInt32, set16, set32 } from './wire/bytes.js';
import { checksum, transportChecksum } from './wire/checksum.js';
import { ETHERNET_HEADER } from './wire/ethernet.js';
import { IPV4_HEADER, PROTOCOL_TCP } from './wire/ipv4.js';
import { FIN, PSH, TCP_HEADER } from './tcp/segment.js';

/** The longest IPv4 packet. */
export const LONGEST_PACKET = 0xffff;
/** The note is looked for beside no frame that is shorter: most are. */
const SHORTEST = ETHERNET_HEADER + IPV4_HEADER + TCP_HEADER + 1;
const CWR = 0x80;

const sizes = new WeakMap<Uint8Array, number>();

/**
 * Makes a large frame of `frame`, whose headers are right but for the TCP checksum; `size`: octets of data for each
 * segment, at least 1.
 */
export function makeLarge(frame: Uint8Array, size: number): Uint8Array {
  sizes.set(frame, size);
  return frame;
}

/** Octets of data for each segment of a large frame; 0 for every other frame. */
export function segmentSize(frame: Uint8Array): number {
  return frame.length < SHORTEST ? 0 : (sizes.get(frame) ?? 0);
}

/** A copy of the frame, large if it is. */
export function copyFrame(frame: Uint8Array): Uint8Array {
  const size = segmentSize(frame);
  return size === 0 ? frame.slice() : makeLarge(frame.slice(), size);
}

/** The segments that a large frame stands for, as frames whose checksums are right. */
export function segmentsOf(frame: Uint8Array): Uint8Array[] {
  const size = segmentSize(frame);
  const ipHeader = (frame[ETHERNET_HEADER] & 15) * 4;
  const tcp = ETHERNET_HEADER + ipHeader;
  const headers = tcp + (frame[tcp + 12] >>> 4) * 4;
  const sequence = getInt32(frame, tcp + 4);
  const identification = get16(frame, ETHERNET_HEADER + 4);
  const flags = frame[tcp + 13];
  const segments: Uint8Array[] = [];
  for (let at = headers, n = 0; at < frame.length; at += size, n++) {
    const end = Math.min(at + size, frame.length);
    const segment = new Uint8Array(headers + end - at);
    segment.set(frame.subarray(0, headers));
    segment.set(frame.subarray(at, end), headers);
    set16(segment, ETHERNET_HEADER + 2, segment.length - ETHERNET_HEADER);
    set16(segment, ETHERNET_HEADER + 4, (identification + n) & 0xffff);
    set16(segment, ETHERNET_HEADER + 10, 0);
    set16(segment, ETHERNET_HEADER + 10, checksum(segment, ETHERNET_HEADER, ipHeader));
    set32(segment, tcp + 4, (sequence + at - headers) | 0);
    // What ends the data belongs to the last, what a sender says once to the first (RFC 3168, 6.1.2).
    segment[tcp + 13] = flags & ~((end < frame.length ? FIN | PSH : 0) | (n > 0 ? CWR : 0));
    set16(segment, tcp + 16, 0);
    const [source, destination] = [get32(segment, ETHERNET_HEADER + 12), get32(segment, ETHERNET_HEADER + 16)];
    const length = segment.length - tcp;
    set16(segment, tcp + 16, transportChecksum(segment, tcp, length, source, destination, PROTOCOL_TCP));
    segments.push(segment);
  }
  return segments;
}
