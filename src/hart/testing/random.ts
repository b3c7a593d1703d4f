/** A small seeded generator (splitmix32): the same seed gives the same tests everywhere. */
export class Random {
  constructor(private state: number) {}

  /** 32 random bits, signed. */
  bits(): number {
    this.state = (this.state + 0x9e3779b9) | 0;
    let z = this.state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  }
  /** An integer in 0 … n-1. */
  below(n: number): number {
    return (this.bits() >>> 0) % n;
  }
  /** An integer in min … max. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1);
  }
  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)];
  }
  bits64(): bigint {
    return BigInt.asUintN(64, (BigInt(this.bits()) << 32n) | BigInt(this.bits() >>> 0));
  }
}
