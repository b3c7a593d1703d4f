/**
 * Addresses as numbers: an IPv4 address is an unsigned 32-bit number, a MAC address an unsigned 48-bit one (exact in a
 * double). Numbers compare and hash without allocation; text is for people and configuration.
 */
import { NetError } from './errors.js';

/** The broadcast MAC address, ff:ff:ff:ff:ff:ff. */
export const BROADCAST_MAC = 0xffff_ffff_ffff;

/** `'10.0.2.15'` → 0x0a00020f. Throws NetError `BAD_CONFIG`. */
export function parseIpv4(text: string): number {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((p) => /^(0|[1-9]\d{0,2})$/.test(p) && Number(p) < 256)) {
    throw new NetError('BAD_CONFIG', `"${text}" is not an IPv4 address such as 10.0.2.15`);
  }
  return parts.reduce((sum, p) => sum * 256 + Number(p), 0);
}

export function formatIpv4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

/** `'52:54:00:12:34:56'` → 0x525400123456. Throws NetError `BAD_CONFIG`. */
export function parseMac(text: string): number {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) {
    throw new NetError('BAD_CONFIG', `"${text}" is not a MAC address such as 52:54:00:12:34:56`);
  }
  return parseInt(text.replaceAll(':', ''), 16);
}

export function formatMac(mac: number): string {
  return mac
    .toString(16)
    .padStart(12, '0')
    .replace(/(..)(?=.)/g, '$1:');
}

/** Bit 0 of the first octet: multicast and broadcast (IEEE 802, 8.2). */
export function isGroupMac(mac: number): boolean {
  return Math.floor(mac / 0x100_0000_0000) % 2 === 1;
}

/** An IPv4 network: its address and its mask, as numbers. */
export interface Subnet {
  readonly network: number;
  readonly mask: number;
  readonly prefix: number;
}

/** `'10.0.2.0/24'`; prefixes 8 to 30. Throws NetError `BAD_CONFIG`. */
export function parseSubnet(text: string): Subnet {
  const [address, length, ...rest] = text.split('/');
  const prefix = Number(length);
  if (rest.length > 0 || !/^\d+$/.test(length ?? '') || prefix < 8 || prefix > 30) {
    throw new NetError('BAD_CONFIG', `"${text}" is not a subnet such as 10.0.2.0/24 (prefixes 8 to 30)`);
  }
  const mask = (-1 << (32 - prefix)) >>> 0;
  return { network: (parseIpv4(address) & mask) >>> 0, mask, prefix };
}

export function inSubnet(subnet: Subnet, address: number): boolean {
  return (address & subnet.mask) >>> 0 === subnet.network;
}

/** The subnet's own broadcast address. */
export function broadcastOf(subnet: Subnet): number {
  return (subnet.network | ~subnet.mask) >>> 0;
}
