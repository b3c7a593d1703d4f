import type { Expr, ExprF64, ExprI32, ExprI64, Local } from '../../../wasm/expr.js';
import { F32, F64, f32, f64, I32, I64, i32, i64 } from '../../../wasm/expr.js';
import type { FunctionBuilder } from '../../../wasm/function.js';
import type { BitsType } from '../format.js';

export type FloatType = typeof F32 | typeof F64;

/** The host's own operations on one format: values of WebAssembly type `T`, raw bits of type `V`. */
export interface Host<T extends FloatType = FloatType, V extends BitsType = BitsType> {
  readonly type: T;
  readonly bits: V;
  readonly emax: number;
  add(a: Expr<T>, b: Expr<T>): Expr<T>;
  sub(a: Expr<T>, b: Expr<T>): Expr<T>;
  mul(a: Expr<T>, b: Expr<T>): Expr<T>;
  div(a: Expr<T>, b: Expr<T>): Expr<T>;
  sqrt(a: Expr<T>): Expr<T>;
  eq(a: Expr<T>, b: Expr<T>): ExprI32;
  lt(a: Expr<T>, b: Expr<T>): ExprI32;
  le(a: Expr<T>, b: Expr<T>): ExprI32;
  toBits(a: Expr<T>): Expr<V>;
  fromBits(bits: Expr<V>): Expr<T>;
  /** The biased exponent. */
  exponent(a: Expr<T>): ExprI32;
  zero(): Expr<T>;
  fromI64S(x: ExprI64): Expr<T>;
  fromI64U(x: ExprI64): Expr<T>;
  /** Exact. */
  toDouble(a: Expr<T>): ExprF64;
  /** Integers of magnitude up to 2^precision convert exactly. */
  readonly precision: number;
}

export const single: Host<typeof F32, typeof I32> = {
  type: F32,
  bits: I32,
  emax: 0xff,
  add: f32.add,
  sub: f32.sub,
  mul: f32.mul,
  div: f32.div,
  sqrt: f32.sqrt,
  eq: i32.f32Eq,
  lt: i32.f32Lt,
  le: i32.f32Le,
  toBits: i32.reinterpretF32,
  fromBits: f32.reinterpretI32,
  exponent: (a) => i32.and(i32.shrU(i32.reinterpretF32(a), i32.const(23)), i32.const(0xff)),
  zero: () => f32.reinterpretI32(i32.const(0)),
  fromI64S: f32.convertI64S,
  fromI64U: f32.convertI64U,
  toDouble: f64.promote,
  precision: 24,
};

export const double: Host<typeof F64, typeof I64> = {
  type: F64,
  bits: I64,
  emax: 0x7ff,
  add: f64.add,
  sub: f64.sub,
  mul: f64.mul,
  div: f64.div,
  sqrt: f64.sqrt,
  eq: i32.f64Eq,
  lt: i32.f64Lt,
  le: i32.f64Le,
  toBits: i64.reinterpretF64,
  fromBits: f64.reinterpretI64,
  exponent: (a) => i32.and(i32.wrap(i64.shrU(i64.reinterpretF64(a), i64.const(52))), i32.const(0x7ff)),
  zero: () => f64.const(0),
  fromI64S: f64.convertI64S,
  fromI64U: f64.convertI64U,
  toDouble: (a) => a,
  precision: 53,
};

/** Whether the biased exponent of `a` is at least `lowest` and below that of infinity and NaN. */
export const inRange = <T extends FloatType>(host: Host<T>, a: Expr<T>, lowest: number): ExprI32 =>
  i32.ltU(i32.sub(host.exponent(a), i32.const(lowest)), i32.const(host.emax - lowest));

/** The error of `sum` = a + b rounded to nearest, exactly (Knuth's TwoSum); NaN if anything overflows or is not finite. */
export function sumError<T extends FloatType>(
  host: Host<T>,
  f: FunctionBuilder,
  a: Expr<T>,
  b: Expr<T>,
  sum: Expr<T>,
): Local<T> {
  const part = f.local(host.type, host.sub(sum, a));
  return f.local(host.type, host.add(host.sub(a, host.sub(sum, part)), host.sub(b, part)));
}
