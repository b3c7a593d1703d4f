/**
 * ARP for IPv4 over Ethernet (RFC 826).
 *
 *   14     16     18  19  20        22         28         32         38         42
 *   +------+------+---+---+---------+----------+----------+----------+----------+
 *   | 1    | 0800 | 6 | 4 | op      | sender   | sender   | target   | target   |
 *   |      |      |   |   |         | MAC      | IPv4     | MAC      | IPv4     |
 *   +------+------+---+---+---------+----------+----------+----------+----------+
 */
import { get16, get32, getMac, set16, set32, setMac } from './bytes.js';
import { ETHERNET_HEADER, TYPE_ARP, TYPE_IPV4, writeEthernet } from './ethernet.js';

export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;
/** A whole ARP frame, Ethernet header included. */
export const ARP_FRAME = ETHERNET_HEADER + 28;

export interface ArpPacket {
  readonly operation: number;
  readonly senderMac: number;
  readonly senderIp: number;
  readonly targetMac: number;
  readonly targetIp: number;
}

/** Undefined for anything that is not a whole, well-formed IPv4-over-Ethernet packet. */
export function parseArp(frame: Uint8Array): ArpPacket | undefined {
  if (frame.length < ARP_FRAME) return undefined;
  if (get16(frame, 14) !== 1 || get16(frame, 16) !== TYPE_IPV4 || frame[18] !== 6 || frame[19] !== 4) return undefined;
  return {
    operation: get16(frame, 20),
    senderMac: getMac(frame, 22),
    senderIp: get32(frame, 28),
    targetMac: getMac(frame, 32),
    targetIp: get32(frame, 38),
  };
}

export function buildArp(destination: number, packet: ArpPacket): Uint8Array {
  const frame = new Uint8Array(ARP_FRAME);
  writeEthernet(frame, destination, packet.senderMac, TYPE_ARP);
  set16(frame, 14, 1);
  set16(frame, 16, TYPE_IPV4);
  frame[18] = 6;
  frame[19] = 4;
  set16(frame, 20, packet.operation);
  setMac(frame, 22, packet.senderMac);
  set32(frame, 28, packet.senderIp);
  setMac(frame, 32, packet.targetMac);
  set32(frame, 38, packet.targetIp);
  return frame;
}
