/**
 * Sequence arithmetic modulo 2^32 (RFC 9293, 3.4). Sequence numbers are kept as signed 32-bit integers: those stay
 * small integers in the engine, unsigned ones above 2^31 do not. A difference is right if the true one is below 2^31.
 */

/** a − b. */
export function diff(a: number, b: number): number {
  return (a - b) | 0;
}

export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

export function after(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

export function add(a: number, n: number): number {
  return (a + n) | 0;
}
