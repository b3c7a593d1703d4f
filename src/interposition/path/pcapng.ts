/**
 * Frames as Wireshark opens them: pcapng (draft-ietf-opsawg-pcapng), and not pcap, because it says of each frame whose it
 * is and which way it went. Little-endian; every block is a multiple of 4 bytes, with its length at both ends:
 *
 *   section header       0x0a0d0d0a  length  0x1a2b3c4d  1 0  -1 -1                                     length
 *   interface            1           length  link type 1, 0  snap length 0 (none)  options: if_name 2   length
 *   enhanced packet      6           length  interface  time high  low  kept  long  frame  options:
 *                                            epb_flags 2 (1: in, 2: out)                                length
 */
import type { FrameDirection } from './nic-types.js';

const SECTION = 0x0a0d_0d0a;
const BYTE_ORDER = 0x1a2b_3c4d;
const INTERFACE = 1;
const ENHANCED_PACKET = 6;
const LINKTYPE_ETHERNET = 1;
const IF_NAME = 2;
const EPB_FLAGS = 2;
const FLAGS: Readonly<Record<FrameDirection, number>> = { in: 1, out: 2 };

const padded = (length: number): number => (length + 3) & ~3;

/** A block around a body of so many bytes, a multiple of 4, that `fill` writes from byte 8 on. */
function block(type: number, length: number, fill: (view: DataView, bytes: Uint8Array) => void): Uint8Array {
  const bytes = new Uint8Array(length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, bytes.length, true);
  fill(view, bytes);
  view.setUint32(bytes.length - 4, bytes.length, true);
  return bytes;
}

/** What a file begins with. */
export function sectionHeader(): Uint8Array {
  return block(SECTION, 16, (view) => {
    view.setUint32(8, BYTE_ORDER, true);
    view.setUint16(12, 1, true);
    // How long it is going to be is not known.
    view.setBigInt64(16, -1n, true);
  });
}

/** An interface; they are numbered from 0 in the order in which they come. */
export function interfaceBlock(name: string): Uint8Array {
  const text = new TextEncoder().encode(name);
  return block(INTERFACE, 8 + 4 + padded(text.length) + 4, (view, bytes) => {
    view.setUint16(8, LINKTYPE_ETHERNET, true);
    view.setUint16(16, IF_NAME, true);
    view.setUint16(18, text.length, true);
    bytes.set(text, 20);
  });
}

/** A frame. `at`: microseconds since 1970. */
export function packetBlock(index: number, at: number, frame: Uint8Array, direction: FrameDirection): Uint8Array {
  const kept = padded(frame.length);
  return block(ENHANCED_PACKET, 20 + kept + 12, (view, bytes) => {
    view.setUint32(8, index, true);
    view.setUint32(12, Math.floor(at / 2 ** 32), true);
    view.setUint32(16, at >>> 0, true);
    view.setUint32(20, frame.length, true);
    view.setUint32(24, frame.length, true);
    bytes.set(frame, 28);
    const options = 28 + kept;
    view.setUint16(options, EPB_FLAGS, true);
    view.setUint16(options + 2, 4, true);
    view.setUint32(options + 4, FLAGS[direction], true);
  });
}
