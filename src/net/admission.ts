/**
 * What a frame of an untrusted station says about itself: read from its headers before anybody else reads them.
 *
 *   Ethernet source          its MAC address
 *   ARP sender, MAC and IPv4 must be the Ethernet source, and its address (a gratuitous ARP is no exception)
 *   IPv4 source              its address
 *   DHCP chaddr              must be the Ethernet source: leases are given to it
 *
 * Not carried at all: what only a DHCP server says; IPv6, for which there is no router here, and whose advertisements
 * anyone could forge; frames with a VLAN tag, which would hide what is inside; and what 802.1D keeps from being bridged.
 */
import { parseArp } from './wire/arp.js';
import { get16, get32, getMac } from './wire/bytes.js';
import { checksum } from './wire/checksum.js';
import { DHCP_SERVER_PORT } from './wire/dhcp.js';
import { ETHERNET_HEADER, TYPE_ARP, TYPE_IPV4 } from './wire/ethernet.js';
import { IPV4_HEADER, MORE_FRAGMENTS, PROTOCOL_UDP } from './wire/ipv4.js';
import { UDP_HEADER } from './wire/udp.js';

const TYPE_IPV6 = 0x86dd;
/** 802.1Q, 802.1ad, and what came before it. */
const TAGS: ReadonlySet<number> = new Set([0x8100, 0x88a8, 0x9100, 0x9200]);
/** 01:80:C2:00:00:00 to 0F (IEEE 802.1D, 7.12.6): spanning tree, pause, and the like. */
const BRIDGE_GROUP = 0x0180_c200_0000;
const CHADDR = 28;
const SHORTEST = 60;

/** What `senderOf` gives for a frame that speaks in nobody's name. */
export const NO_ADDRESS = 0;
/** Its headers do not hold together. */
export const MALFORMED = -1;
/** It contradicts itself, or says what only the gateway may say. */
export const FORGED = -2;
/** This network does not carry it. */
export const NOT_CARRIED = -3;

/** The IPv4 address in whose name a whole Ethernet frame speaks, or one of the constants above. */
export function senderOf(frame: Uint8Array): number {
  const type = get16(frame, 12);
  if (type === TYPE_IPV4) return ipv4Sender(frame);
  if (type === TYPE_ARP) {
    const arp = parseArp(frame);
    if (arp === undefined) return MALFORMED;
    return arp.senderMac === getMac(frame, 6) ? arp.senderIp : FORGED;
  }
  if (type === TYPE_IPV6 || TAGS.has(type) || isBridgeGroup(frame)) return NOT_CARRIED;
  return NO_ADDRESS;
}

function ipv4Sender(frame: Uint8Array): number {
  if (frame.length < ETHERNET_HEADER + IPV4_HEADER) return MALFORMED;
  const source = get32(frame, ETHERNET_HEADER + 12);
  // Every station drops such a packet by itself; what its fields mean need not be guessed here.
  if (!isPlausible(frame) || frame[ETHERNET_HEADER + 9] !== PROTOCOL_UDP) return source;
  const fragment = get16(frame, ETHERNET_HEADER + 6);
  if ((fragment & 0x1fff) !== 0) return source;
  const udp = ETHERNET_HEADER + headerLength(frame);
  const end = ETHERNET_HEADER + get16(frame, ETHERNET_HEADER + 2);
  if (end < udp + UDP_HEADER) return MALFORMED;
  if (get16(frame, udp) === DHCP_SERVER_PORT) return FORGED;
  if (get16(frame, udp + 2) === DHCP_SERVER_PORT) {
    const chaddr = udp + UDP_HEADER + CHADDR;
    // In pieces it could not be looked into.
    if ((fragment & MORE_FRAGMENTS) !== 0 || end < chaddr + 6) return FORGED;
    if (getMac(frame, chaddr) !== getMac(frame, 6)) return FORGED;
  }
  return source;
}

function headerLength(frame: Uint8Array): number {
  return (frame[ETHERNET_HEADER] & 15) * 4;
}

/** Whether the lengths of an IPv4 header, in a frame that is long enough for one, fit together. */
function isPlausible(frame: Uint8Array): boolean {
  const total = get16(frame, ETHERNET_HEADER + 2);
  const header = headerLength(frame);
  return (
    frame[ETHERNET_HEADER] >>> 4 === 4 &&
    header >= IPV4_HEADER &&
    total >= header &&
    ETHERNET_HEADER + total <= frame.length
  );
}

/** Whether a frame that `senderOf` has accepted is undamaged so far: an address is not claimed by accident. */
export function isIntact(frame: Uint8Array): boolean {
  if (get16(frame, 12) !== TYPE_IPV4) return true;
  return isPlausible(frame) && checksum(frame, ETHERNET_HEADER, headerLength(frame)) === 0;
}

/**
 * The frame without what lies behind its packet: an octet in 64 KiB of padding would otherwise be kept with all of it
 * wherever it waits. Ethernet's own padding, up to 60 octets, is no matter.
 */
export function withoutPadding(frame: Uint8Array): Uint8Array {
  if (frame.length <= 2 * SHORTEST || get16(frame, 12) !== TYPE_IPV4 || !isPlausible(frame)) return frame;
  const end = ETHERNET_HEADER + get16(frame, ETHERNET_HEADER + 2);
  return frame.length - end <= SHORTEST ? frame : frame.slice(0, end);
}

function isBridgeGroup(frame: Uint8Array): boolean {
  return getMac(frame, 0) - (frame[5] & 15) === BRIDGE_GROUP;
}
