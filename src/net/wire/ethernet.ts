/**
 * Ethernet II frames without preamble and check sequence.
 *
 *    0            6            12      14
 *   +------------+------------+-------+----------…
 *   | destination| source     | type  | payload
 *   +------------+------------+-------+----------…
 */
import { set16, setMac } from './bytes.js';

export const ETHERNET_HEADER = 14;
export const TYPE_IPV4 = 0x0800;
export const TYPE_ARP = 0x0806;

export function writeEthernet(frame: Uint8Array, destination: number, source: number, type: number): void {
  setMac(frame, 0, destination);
  setMac(frame, 6, source);
  set16(frame, 12, type);
}
