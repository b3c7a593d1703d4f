/**
 * UDP (RFC 768).   at+0 source port   +2 destination port   +4 length   +6 checksum (0: none)   +8 data
 */
import { get16, set16 } from './bytes.js';
import { transportChecksum } from './checksum.js';
import { PROTOCOL_UDP, type Ipv4Packet } from './ipv4.js';

export const UDP_HEADER = 8;

export interface UdpDatagram {
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** A view into the packet's bytes. */
  readonly data: Uint8Array;
}

/** Undefined for a malformed or corrupt datagram. */
export function parseUdp(packet: Ipv4Packet): UdpDatagram | undefined {
  const { bytes, start } = packet;
  if (packet.length < UDP_HEADER) return undefined;
  const length = get16(bytes, start + 4);
  if (length < UDP_HEADER || length > packet.length) return undefined;
  if (
    get16(bytes, start + 6) !== 0 &&
    transportChecksum(bytes, start, length, packet.source, packet.destination, PROTOCOL_UDP) !== 0
  ) {
    return undefined;
  }
  return {
    sourcePort: get16(bytes, start),
    destinationPort: get16(bytes, start + 2),
    data: bytes.subarray(start + UDP_HEADER, start + length),
  };
}

/** A UDP datagram with its checksum, ready to be an IPv4 payload. */
export function buildUdp(
  source: number,
  sourcePort: number,
  destination: number,
  destinationPort: number,
  data: Uint8Array,
): Uint8Array {
  const out = new Uint8Array(UDP_HEADER + data.length);
  set16(out, 0, sourcePort);
  set16(out, 2, destinationPort);
  set16(out, 4, out.length);
  out.set(data, UDP_HEADER);
  const sum = transportChecksum(out, 0, out.length, source, destination, PROTOCOL_UDP);
  set16(out, 6, sum === 0 ? 0xffff : sum);
  return out;
}
