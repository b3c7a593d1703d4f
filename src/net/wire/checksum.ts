/**
 * The Internet checksum (RFC 1071).
 *
 * The sum of 16-bit words may be taken in either byte order and swapped at the end (RFC 1071, 2B), so the loop reads
 * little-endian words through a Uint16Array. 2^15 words of at most 0xffff stay below 2^31: a loop over one IPv4 packet
 * never leaves the engine's small integers. A view costs some 50 ns, so short or odd-aligned ranges go byte by byte.
 */
import { get16, get32, set16 } from './bytes.js';

const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
const WORDS_PER_ROUND = 0x8000;

/** The sum of big-endian 16-bit words of `length` bytes at `start`, folded to 16 bits; an odd last byte is padded with zero. */
export function sum16(b: Uint8Array, start: number, length: number): number {
  if (length < 64 || ((b.byteOffset + start) & 1) !== 0 || !littleEndian) return sumBytes(b, start, length);
  const words = new Uint16Array(b.buffer, b.byteOffset + start, length >> 1);
  let total = 0;
  for (let from = 0; from < words.length; from += WORDS_PER_ROUND) {
    total = fold(total + sumWords(words, from, Math.min(words.length, from + WORDS_PER_ROUND)));
  }
  total = ((total & 0xff) << 8) | (total >>> 8);
  return (length & 1) === 0 ? total : fold(total + (b[start + length - 1] << 8));
}

function sumWords(words: Uint16Array, from: number, to: number): number {
  let sum = 0;
  let i = from;
  for (const last = to - 7; i < last; i += 8) {
    sum +=
      words[i] + words[i + 1] + words[i + 2] + words[i + 3] + words[i + 4] + words[i + 5] + words[i + 6] + words[i + 7];
  }
  for (; i < to; i++) sum += words[i];
  return sum;
}

function sumBytes(b: Uint8Array, start: number, length: number): number {
  let sum = 0;
  const last = start + length - 1;
  let i = start;
  for (; i < last; i += 2) {
    sum += (b[i] << 8) | b[i + 1];
    if (sum > 0x3fff_0000) sum = fold(sum);
  }
  if (i === last) sum += b[i] << 8;
  return fold(sum);
}

function fold(sum: number): number {
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

/** The checksum over a range: zero when the range contains its own right checksum. */
export function checksum(b: Uint8Array, start: number, length: number): number {
  return ~sum16(b, start, length) & 0xffff;
}

/** The checksum of a TCP or UDP segment with its pseudo-header (RFC 9293, 3.1; RFC 768). Zero when it verifies. */
export function transportChecksum(
  b: Uint8Array,
  start: number,
  length: number,
  source: number,
  destination: number,
  protocol: number,
): number {
  const pseudo =
    (source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff) + protocol + length;
  return ~fold(pseudo + sum16(b, start, length)) & 0xffff;
}

/**
 * Completes a checksum that a driver left to its device (virtio 1.2, 5.1.6.2, VIRTIO_NET_HDR_F_NEEDS_CSUM): the field at
 * `start + offset` holds the pseudo-header's sum; the checksum covers everything from `start` on.
 * Gives false and changes nothing when the untrusted offsets lie outside the frame.
 */
export function completeChecksum(frame: Uint8Array, start: number, offset: number): boolean {
  if (start < 0 || offset < 0 || start + offset + 2 > frame.length) return false;
  const value = checksum(frame, start, frame.length - start);
  // A UDP checksum of zero means "none", so the other zero is sent (RFC 768); TCP takes either.
  set16(frame, start + offset, value === 0 ? 0xffff : value);
  return true;
}

/** The pseudo-header's folded sum for an IPv4 frame's transport: what NEEDS_CSUM wants in the checksum field. */
export function pseudoHeaderSum(frame: Uint8Array, ipStart: number, transportLength: number): number {
  const source = get32(frame, ipStart + 12);
  const destination = get32(frame, ipStart + 16);
  return fold(
    (source >>> 16) +
      (source & 0xffff) +
      (destination >>> 16) +
      (destination & 0xffff) +
      (get16(frame, ipStart + 8) & 0xff) +
      transportLength,
  );
}
