/** Big-endian fields in a byte array. Plain index arithmetic: a DataView per frame would cost more than the reads. */

export function get16(b: Uint8Array, at: number): number {
  return (b[at] << 8) | b[at + 1];
}

export function set16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 8;
  b[at + 1] = value;
}

/** Signed: sequence numbers stay small integers of the engine that way. */
export function getInt32(b: Uint8Array, at: number): number {
  return (b[at] << 24) | (b[at + 1] << 16) | (b[at + 2] << 8) | b[at + 3];
}

export function get32(b: Uint8Array, at: number): number {
  return getInt32(b, at) >>> 0;
}

export function set32(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 24;
  b[at + 1] = value >>> 16;
  b[at + 2] = value >>> 8;
  b[at + 3] = value;
}

/** A MAC address as a 48-bit number. */
export function getMac(b: Uint8Array, at: number): number {
  return get16(b, at) * 0x1_0000_0000 + get32(b, at + 2);
}

export function setMac(b: Uint8Array, at: number, mac: number): void {
  set16(b, at, Math.floor(mac / 0x1_0000_0000));
  set32(b, at + 2, mac >>> 0);
}
