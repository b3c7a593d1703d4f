/** Values that find mistakes: limits, powers of two, and everything special about floating point. */
import type { Random } from '../random.js';

const mask64 = (value: bigint): bigint => BigInt.asUintN(64, value);

/** An integer register's value. */
export function randomInteger(random: Random): bigint {
  switch (random.below(6)) {
    case 0:
      return mask64(BigInt(random.between(-3, 3)));
    case 1:
      return mask64((1n << BigInt(random.below(64))) + BigInt(random.between(-1, 1)));
    case 2:
      return mask64(BigInt(random.bits()));
    case 3:
      return mask64(-(1n << BigInt(random.below(64))) + BigInt(random.between(-1, 1)));
    case 4:
      return mask64(random.bits64() >> BigInt(random.below(64)));
    default:
      return random.bits64();
  }
}

/** Bits of a number of `exponentBits` and `mantissaBits`: ordinary ones near 1, limits, subnormals, infinities, NaNs. */
function randomFloat(random: Random, exponentBits: number, mantissaBits: number): bigint {
  const bias = (1 << (exponentBits - 1)) - 1;
  const most = (1 << exponentBits) - 1;
  const all = (1n << BigInt(mantissaBits)) - 1n;
  const mantissas = [0n, 1n, all, 1n << BigInt(mantissaBits - 1), all >> 1n, all - 1n];
  const mantissa = (): bigint =>
    random.oneIn(2)
      ? random.pick(mantissas)
      : random.bits64() & all & ~((1n << BigInt(random.below(mantissaBits))) - 1n);
  const exponents = [
    0,
    1,
    most,
    most - 1,
    bias + random.between(-3, 3),
    bias + mantissaBits + random.between(-1, 1),
    bias - mantissaBits + random.between(-1, 1),
    bias + random.pick([31, 32, 63, 64]),
    random.below(most + 1),
    bias + random.between(-mantissaBits, mantissaBits),
  ];
  const sign = BigInt(random.below(2));
  const exponent = BigInt(Math.min(most, Math.max(0, random.pick(exponents))));
  return (((sign << BigInt(exponentBits)) | exponent) << BigInt(mantissaBits)) | mantissa();
}

export const randomDouble = (random: Random): bigint => randomFloat(random, 11, 52);
export const randomSingle = (random: Random): bigint => randomFloat(random, 8, 23);

/** A floating-point register: a double, a boxed single, or a single that is boxed wrongly. */
export function randomFloatRegister(random: Random): bigint {
  switch (random.below(8)) {
    case 0:
      return ((random.bits64() >> 32n) << 32n) | randomSingle(random);
    case 1:
    case 2:
    case 3:
      return 0xffff_ffff_0000_0000n | randomSingle(random);
    default:
      return randomDouble(random);
  }
}
