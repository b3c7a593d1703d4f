/**
 * TCP segments on the wire (RFC 9293, 3.1).
 *
 *   +0 source port  +2 destination port  +4 sequence number  +8 acknowledgment number
 *   +12 data offset (high 4 bits, in 4 bytes)  +13 flags  +14 window  +16 checksum  +18 urgent  +20 options
 *
 * Options we speak: maximum segment size (2, RFC 9293), window scale (3, RFC 7323), SACK permitted (4) and SACK (5,
 * RFC 2018). Timestamps are left out on purpose: nothing on this link is older than a switch queue, so there is nothing
 * for PAWS to protect from, and a connection without them moves between OS instances without a clock to carry along.
 */
import { get16, getInt32, set16, set32 } from '../wire/bytes.js';

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;

export const TCP_HEADER = 20;
/** RFC 7323, 2.3. */
export const MAX_SCALE = 14;
const MAX_SACKS = 4;

/** A parsed segment; one instance is reused. Sequence numbers are signed 32-bit. */
export class Segment {
  sourcePort = 0;
  destinationPort = 0;
  seq = 0;
  ack = 0;
  flags = 0;
  /** As on the wire, unscaled. */
  window = 0;
  /** −1 where the option is absent. */
  mss = -1;
  scale = -1;
  sackPermitted = false;
  sackCount = 0;
  /** Left and right edges of `sackCount` blocks. */
  readonly sacks = new Int32Array(2 * MAX_SACKS);
  /** Where the data lies. */
  bytes: Uint8Array = new Uint8Array(0);
  dataStart = 0;
  dataLength = 0;

  /** Octets of sequence space: the data, SYN and FIN. */
  get span(): number {
    return this.dataLength + ((this.flags & SYN) !== 0 ? 1 : 0) + ((this.flags & FIN) !== 0 ? 1 : 0);
  }
}

/** Reads the segment of `length` bytes at `start`. False: malformed. The checksum is the caller's to verify. */
export function parseSegment(bytes: Uint8Array, start: number, length: number, into: Segment): boolean {
  if (length < TCP_HEADER) return false;
  const headerLength = (bytes[start + 12] >>> 4) * 4;
  if (headerLength < TCP_HEADER || headerLength > length) return false;
  into.sourcePort = get16(bytes, start);
  into.destinationPort = get16(bytes, start + 2);
  into.seq = getInt32(bytes, start + 4);
  into.ack = getInt32(bytes, start + 8);
  into.flags = bytes[start + 13] & 0x3f;
  into.window = get16(bytes, start + 14);
  into.mss = -1;
  into.scale = -1;
  into.sackPermitted = false;
  into.sackCount = 0;
  into.bytes = bytes;
  into.dataStart = start + headerLength;
  into.dataLength = length - headerLength;
  if (headerLength > TCP_HEADER) parseOptions(bytes, start + TCP_HEADER, start + headerLength, into);
  return true;
}

/** Options that do not hold together end the list, as everywhere; the segment stands. */
function parseOptions(bytes: Uint8Array, start: number, end: number, into: Segment): void {
  let at = start;
  while (at < end) {
    const kind = bytes[at];
    if (kind === 0) return;
    if (kind === 1) {
      at++;
      continue;
    }
    const size = at + 1 < end ? bytes[at + 1] : 0;
    if (size < 2 || at + size > end) return;
    if (kind === 2 && size === 4) into.mss = get16(bytes, at + 2);
    else if (kind === 3 && size === 3) into.scale = Math.min(bytes[at + 2], MAX_SCALE);
    else if (kind === 4 && size === 2) into.sackPermitted = true;
    else if (kind === 5 && (size - 2) % 8 === 0) parseSacks(bytes, at + 2, (size - 2) / 8, into);
    at += size;
  }
}

function parseSacks(bytes: Uint8Array, at: number, count: number, into: Segment): void {
  into.sackCount = Math.min(count, MAX_SACKS);
  for (let i = 0; i < into.sackCount * 2; i++) into.sacks[i] = getInt32(bytes, at + 4 * i);
}

/** Writes the fixed header with a zero checksum. `headerLength` is a multiple of 4. */
export function writeHeader(
  bytes: Uint8Array,
  at: number,
  headerLength: number,
  sourcePort: number,
  destinationPort: number,
  seq: number,
  ack: number,
  flags: number,
  window: number,
): void {
  set16(bytes, at, sourcePort);
  set16(bytes, at + 2, destinationPort);
  set32(bytes, at + 4, seq);
  set32(bytes, at + 8, (flags & ACK) !== 0 ? ack : 0);
  bytes[at + 12] = headerLength << 2;
  bytes[at + 13] = flags;
  set16(bytes, at + 14, window);
}

/** Bytes of the options a SYN carries: MSS, then window scale and SACK permitted with their padding. */
export function synOptionsLength(scale: number, sack: boolean): number {
  return 4 + (scale >= 0 ? 4 : 0) + (sack ? 4 : 0);
}

export function writeSynOptions(bytes: Uint8Array, at: number, mss: number, scale: number, sack: boolean): void {
  bytes[at] = 2;
  bytes[at + 1] = 4;
  set16(bytes, at + 2, mss);
  let next = at + 4;
  if (scale >= 0) {
    bytes[next] = 1;
    bytes[next + 1] = 3;
    bytes[next + 2] = 3;
    bytes[next + 3] = scale;
    next += 4;
  }
  if (sack) {
    bytes[next] = 1;
    bytes[next + 1] = 1;
    bytes[next + 2] = 4;
    bytes[next + 3] = 2;
  }
}

/** `ranges` holds left and right edges in turn. Takes 4 + 8 bytes per block. */
export function writeSacks(bytes: Uint8Array, at: number, ranges: readonly number[]): void {
  bytes[at] = 1;
  bytes[at + 1] = 1;
  bytes[at + 2] = 5;
  bytes[at + 3] = 2 + 4 * ranges.length;
  ranges.forEach((edge, i) => set32(bytes, at + 4 + 4 * i, edge));
}
