/**
 * What a network card does in its driver's stead (virtio 1.2, 5.1.6.2 and 5.1.6.4): sums, and one large TCP segment over
 * IPv4 in the place of many. Every frame has a header before it that says what is left to do:
 *
 *   +0 flags   +1 gso_type   +2 hdr_len 2   +4 gso_size 2   +6 csum_start 2   +8 csum_offset 2   +10 num_buffers 2
 *
 *   flags 1     the sum from csum_start on is missing: the field at csum_start + csum_offset has that of the pseudo header
 *   flags 2     the frame's sums have been checked
 *   gso_type    0: the frame is as it is; 1: TCP over IPv4, to be cut into segments of gso_size octets of data
 *
 * What a driver says in it is checked against the frame's own headers.
 */

/** Feature bits (5.1.3). */
export const F_CSUM = 1 << 0;
export const F_GUEST_CSUM = 1 << 1;
export const F_MTU = 1 << 3;
export const F_MAC = 1 << 5;
export const F_GUEST_TSO4 = 1 << 7;
export const F_HOST_TSO4 = 1 << 11;
export const F_MRG_RXBUF = 1 << 15;
export const F_STATUS = 1 << 16;

export const HEADER_SIZE = 12;
export const HDR_F_NEEDS_CSUM = 1;
export const HDR_F_DATA_VALID = 2;
export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;

const ETHERNET_HEADER = 14;
const TYPE_IPV4 = 0x0800;
const PROTOCOL_TCP = 6;
const TCP_HEADER = 20;
const TCP_CHECKSUM = 16;
/** Fewer octets than this for each segment, and a frame would be a thousand others. Linux allows no less (TCP_MIN_MSS). */
const LEAST_SEGMENT = 48;

const get16 = (b: Uint8Array, at: number): number => (b[at] << 8) | b[at + 1];

function set16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 8;
  b[at + 1] = value & 0xff;
}

/** Fills in the sum that the header leaves to the card. False if there is no place for it. */
export function completeSum(header: DataView, frame: Uint8Array): boolean {
  const start = header.getUint16(6, true);
  const at = start + header.getUint16(8, true);
  if (at + 2 > frame.length) return false;
  // 0 would mean "no checksum" to UDP.
  set16(frame, at, ~onesSum(frame, start) & 0xffff || 0xffff);
  return true;
}

/** Octets of data for each segment of a frame whose header says GSO_TCPV4; -1 if the frame is no such thing. */
export function segmentOf(header: DataView, frame: Uint8Array): number {
  const size = header.getUint16(4, true);
  const tcp = tcpOf(frame);
  const ok =
    size >= LEAST_SEGMENT &&
    tcp > 0 &&
    (header.getUint8(0) & HDR_F_NEEDS_CSUM) !== 0 &&
    header.getUint16(6, true) === tcp &&
    header.getUint16(8, true) === TCP_CHECKSUM;
  return ok ? size : -1;
}

/** Writes the header of a large frame for the driver, and into the frame the sum of its pseudo header. False if it is none. */
export function writeLarge(header: DataView, frame: Uint8Array, segment: number): boolean {
  const tcp = tcpOf(frame);
  if (tcp < 0) return false;
  header.setUint8(0, HDR_F_NEEDS_CSUM);
  header.setUint8(1, GSO_TCPV4);
  header.setUint16(2, tcp + dataOffset(frame, tcp), true);
  header.setUint16(4, segment, true);
  header.setUint16(6, tcp, true);
  header.setUint16(8, TCP_CHECKSUM, true);
  // Source and destination address, protocol, length (RFC 9293, 3.1).
  let sum = PROTOCOL_TCP + frame.length - tcp;
  for (let at = ETHERNET_HEADER + 12; at < ETHERNET_HEADER + 20; at += 2) sum += get16(frame, at);
  set16(frame, tcp + TCP_CHECKSUM, fold(sum));
  return true;
}

/** Where the TCP header begins, if the frame is one TCP segment over IPv4, whole, with data, and nothing behind it; else -1. */
function tcpOf(frame: Uint8Array): number {
  if (frame.length < ETHERNET_HEADER + 20 + TCP_HEADER || get16(frame, 12) !== TYPE_IPV4) return -1;
  const version = frame[ETHERNET_HEADER] >>> 4;
  const tcp = ETHERNET_HEADER + (frame[ETHERNET_HEADER] & 15) * 4;
  const whole =
    version === 4 &&
    tcp >= ETHERNET_HEADER + 20 &&
    frame[ETHERNET_HEADER + 9] === PROTOCOL_TCP &&
    get16(frame, ETHERNET_HEADER + 2) === frame.length - ETHERNET_HEADER &&
    (get16(frame, ETHERNET_HEADER + 6) & 0x3fff) === 0 &&
    tcp + TCP_HEADER < frame.length;
  if (!whole) return -1;
  const offset = dataOffset(frame, tcp);
  return offset >= TCP_HEADER && tcp + offset < frame.length ? tcp : -1;
}

/** Octets of the TCP header at `tcp`. */
export const dataOffset = (frame: Uint8Array, tcp: number): number => (frame[tcp + 12] >>> 4) * 4;

/** The ones' complement sum of 16-bit words from `start` to the end (RFC 1071). */
function onesSum(bytes: Uint8Array, start: number): number {
  let sum = 0;
  let i = start;
  // At most 64 KiB: the sum stays below 2^31.
  for (; i + 1 < bytes.length; i += 2) sum += (bytes[i] << 8) | bytes[i + 1];
  if (i < bytes.length) sum += bytes[i] << 8;
  return fold(sum);
}

function fold(sum: number): number {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}
