/** MAC addresses as six bytes, and as numbers. */

export function macBytes(mac: number): Uint8Array {
  return Uint8Array.from({ length: 6 }, (_, i) => Math.floor(mac / 2 ** (40 - 8 * i)) & 0xff);
}

export function macNumber(mac: Uint8Array): number {
  return mac.reduce((number, byte) => number * 256 + byte, 0);
}
