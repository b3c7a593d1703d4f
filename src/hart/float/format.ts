import type { ExprI32, ExprI64 } from '../../wasm/expr.js';
import { I32, I64, i64 } from '../../wasm/expr.js';

/** WebAssembly type that carries a format's raw bits. */
export type BitsType = typeof I32 | typeof I64;

/**
 * A binary interchange format (IEEE 754-2008, 3.4), most significant bit first:
 *
 *   | sign 1 | biased exponent | fraction |
 *   single:    8 bits            23 bits     bias 127
 *   double:   11 bits            52 bits     bias 1023
 */
export interface Format<V extends BitsType = BitsType> {
  readonly bits: V;
  readonly width: 32 | 64;
  readonly fraction: number;
  readonly bias: number;
  /** The biased exponent of infinities and NaNs: all ones. */
  readonly emax: number;
}

export const SINGLE: Format<typeof I32> = { bits: I32, width: 32, fraction: 23, bias: 127, emax: 0xff };
export const DOUBLE: Format<typeof I64> = { bits: I64, width: 64, fraction: 52, bias: 1023, emax: 0x7ff };

/** Rounding modes as encoded in instructions and in frm (F, table "Rounding mode encoding"). */
export const RNE = 0;
export const RTZ = 1;
export const RDN = 2;
export const RUP = 3;
export const RMM = 4;

/** Accrued exception flags, fcsr[4:0]. */
export const NX = 1;
export const UF = 2;
export const OF = 4;
export const DZ = 8;
export const NV = 16;

/** 2^n as a 64-bit constant, 0 ≤ n ≤ 63. */
export const bit = (n: number): ExprI64 => (n < 32 ? i64.pair(0, 1 << n) : i64.pair(1 << (n - 32), 0));

/** 2^n − 1 as a 64-bit constant, 0 ≤ n ≤ 64. */
export const ones = (n: number): ExprI64 =>
  n === 64 ? i64.const(-1) : n > 32 ? i64.pair(2 ** (n - 32) - 1, -1) : i64.pair(0, n === 32 ? -1 : 2 ** n - 1);

/** The bits of +infinity, zero-extended. */
export const infinity = (format: Format): ExprI64 =>
  format.width === 64 ? i64.pair(0x7ff00000, 0) : i64.pair(0, 0x7f800000);

/** The canonical NaN (F, "NaN Generation and Propagation"), zero-extended. */
export const canonicalNaN = (format: Format): ExprI64 =>
  format.width === 64 ? i64.pair(0x7ff80000, 0) : i64.pair(0, 0x7fc00000);

/** A zero, one or other small i32 put into the sign's place. */
export const signBit = (format: Format, sign: ExprI32): ExprI64 =>
  i64.shl(i64.extendU(sign), i64.const(format.width - 1));
