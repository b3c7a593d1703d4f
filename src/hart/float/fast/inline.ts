/**
 * Floating point with the host's operations, small enough to be put into translated code.
 *
 * Rounding to nearest, the host gives the same bits as RISC-V unless a NaN comes out.
 * What it does not give is the flags. They are certain without looking when NX is
 * already set (nothing clears it behind our back) and the result is far enough from
 * overflow and underflow that it can add nothing but NX; that is the case in almost
 * every loop. Everything else is a call of the function in `float`.
 *
 *   result = a op b
 *   if (!(NX is set && result in range)) result = float.op(h, a, b, rm)      seldom
 */
import type { Expr, ExprF64, ExprI32, ExprI64, Local } from '../../../wasm/expr.js';
import { call, choose, F32, F64, f32, f64, I32, I64, i32, i64, Kind, select } from '../../../wasm/expr.js';
import type { FunctionBuilder } from '../../../wasm/function.js';
import { FFLAGS } from '../../state.js';
import type { BitsType } from '../format.js';
import { NX, RDN, RMM, RNE, RTZ, RUP } from '../format.js';
import type { IntegerType } from '../soft/convert.js';
import type { FormatFunctions, SoftFloat } from '../soft/index.js';
import type { FloatType, Host } from './host.js';
import { inRange, single } from './host.js';

/**
 * The lowest biased exponent a rounded result may have for it to be certain that it
 * is not tiny. A sum that is subnormal is exact; a product that comes out as the
 * smallest normal number may have been tiny before the last rounding.
 */
export const LOWEST = { add: 0, sub: 0, mul: 2, div: 2, sqrt: 0, fma: 2, narrow: 2 } as const;

export type Arithmetic = 'add' | 'sub' | 'mul' | 'div';

/** Emits floating-point operations into `f`. Values are F32 or F64; results are in locals of `f`. */
export class InlineFloat {
  constructor(
    private readonly f: FunctionBuilder,
    /** Where the hart block begins. */
    private readonly h: ExprI32,
    private readonly float: SoftFloat,
    /**
     * 1 if NX is set, else 0. Only a write to fflags or fcsr clears NX, so a translator may load
     * it once and keep it in a local, or pass the constant 1 in code it guards by NX.
     */
    private readonly inexact: ExprI32 = i32.and(i32.load(h, FFLAGS), i32.const(NX)),
  ) {}

  arithmetic<T extends FloatType, V extends BitsType>(
    host: Host<T, V>,
    op: Arithmetic,
    left: Expr<T>,
    right: Expr<T>,
    rm: ExprI32,
  ): Local<T> {
    const [a, b] = [this.held(left), this.held(right)];
    const slow = (): Expr<T> =>
      host.fromBits(call(this.functions(host)[op], this.h, host.toBits(a), host.toBits(b), rm));
    if (!mayBe(rm, RNE)) return this.f.local(host.type, slow());
    const result = this.f.local(host.type, host[op](a, b));
    this.unless(this.certain(rm, inRange(host, result, LOWEST[op])), result, slow);
    return result;
  }

  sqrt<T extends FloatType, V extends BitsType>(host: Host<T, V>, operand: Expr<T>, rm: ExprI32): Local<T> {
    const a = this.held(operand);
    const slow = (): Expr<T> => host.fromBits(call(this.functions(host).sqrt, this.h, host.toBits(a), rm));
    if (!mayBe(rm, RNE)) return this.f.local(host.type, slow());
    const result = this.f.local(host.type, host.sqrt(a));
    this.unless(this.certain(rm, inRange(host, result, LOWEST.sqrt)), result, slow);
    return result;
  }

  /** a × b + c, rounded once. For doubles a call: the host has no such operation. */
  fma<T extends FloatType, V extends BitsType>(
    host: Host<T, V>,
    left: Expr<T>,
    right: Expr<T>,
    addend: Expr<T>,
    rm: ExprI32,
  ): Local<T> {
    const [a, b, c] = [this.held(left), this.held(right), this.held(addend)];
    const bits = [a, b, c].map((value) => host.toBits(value));
    const slow = (): Expr<T> => host.fromBits(call(this.functions(host).fma, this.h, ...bits, rm));
    if (host.type === F64 || !mayBe(rm, RNE)) return this.f.local(host.type, slow());
    const wide = this.f.local(F64, f64.add(f64.mul(host.toDouble(a), host.toDouble(b)), host.toDouble(c)));
    const result = this.f.local(F32, f32.demote(wide));
    const certain = i32.and(notHalfway(wide), inRange(single, result, LOWEST.fma));
    this.unless(this.certain(rm, certain), result, slow as () => Expr<typeof F32>);
    return result as Expr as Local<T>;
  }

  /** Chosen among the bits: f64.min has branches that ordinary data mispredict, a select of integers has none. */
  minMax<T extends FloatType, V extends BitsType>(
    host: Host<T, V>,
    which: 'min' | 'max',
    left: Expr<T>,
    right: Expr<T>,
  ): Local<T> {
    const [a, b] = [this.held(left), this.held(right)];
    const [first, second] = which === 'min' ? [a, b] : [b, a];
    const chosen = select(host.lt(first, second), host.toBits(a), host.toBits(b));
    const result = this.f.local(host.type, host.fromBits(chosen));
    // Equal numbers may be two zeros.
    this.unless(i32.or(host.lt(a, b), host.lt(b, a)), result, () =>
      host.fromBits(call(this.functions(host)[which], this.h, host.toBits(a), host.toBits(b))),
    );
    return result;
  }

  /** 1 or 0. */
  compare<T extends FloatType, V extends BitsType>(
    host: Host<T, V>,
    relation: 'eq' | 'lt' | 'le',
    left: Expr<T>,
    right: Expr<T>,
  ): ExprI32 {
    const [a, b] = [this.held(left), this.held(right)];
    const ordered = i32.and(host.eq(a, a), host.eq(b, b));
    const slow = call(this.functions(host)[relation], this.h, host.toBits(a), host.toBits(b));
    return choose(ordered, host[relation](a, b), slow);
  }

  /** The x register's 64 bits. */
  toInteger<T extends FloatType, V extends BitsType>(
    host: Host<T, V>,
    type: IntegerType,
    operand: Expr<T>,
    rm: ExprI32,
  ): Local<typeof I64> {
    const { f } = this;
    const a = this.held(operand);
    const result = f.local(I64);
    const slow = (): void => f.set(result, call(this.functions(host).toInteger[type], this.h, host.toBits(a), rm));
    const mode = rm.constant ?? RNE;
    if (mode === RMM) {
      slow();
      return result;
    }
    const wide = f.local(F64, host.toDouble(a));
    const rounded = f.local(F64, hostRounding[mode](wide));
    const mayRound = rm.constant === undefined ? i32.and(this.inexact, i32.eqz(rm)) : this.inexact;
    // What is an integer already needs no flag and no rounding mode.
    const certain = i32.or(i32.f64Eq(rounded, wide), mayRound);
    f.if(i32.and(certain, fits(type, rounded)), () => f.set(result, truncate(type, rounded)), slow);
    return result;
  }

  /** From the x register's 64 bits. */
  fromInteger<T extends FloatType, V extends BitsType>(
    host: Host<T, V>,
    type: IntegerType,
    x: ExprI64,
    rm: ExprI32,
  ): Local<T> {
    const { f } = this;
    const value = type === 'w' ? i64.extend32(x) : type === 'wu' ? i64.and(x, i64.pair(0, -1)) : x;
    const held = this.held(value);
    const result = f.local(host.type, type === 'lu' ? host.fromI64U(held) : host.fromI64S(held));
    if (type.startsWith('w') && host.type === F64) return result;
    const bound = 2 ** host.precision;
    const small =
      type === 'lu' ? i64.ltU(held, i64.const(bound)) : i64.ltU(i64.add(held, i64.const(bound)), i64.const(2 * bound));
    const known = mayBe(rm, RNE) ? i32.or(this.certain(rm), small) : small;
    this.unless(known, result, () => host.fromBits(call(this.functions(host).fromInteger[type], this.h, held, rm)));
    return result;
  }

  /** A double rounded to a single. */
  narrow(operand: ExprF64, rm: ExprI32): Local<typeof F32> {
    const a = this.held(operand);
    const result = this.f.local(F32, f32.demote(a));
    const exact = i32.f64Eq(f64.promote(result), a);
    const known = mayBe(rm, RNE) ? i32.or(exact, this.certain(rm, inRange(single, result, LOWEST.narrow))) : exact;
    this.unless(known, result, () => f32.reinterpretI32(call(this.float.narrow, this.h, i64.reinterpretF64(a), rm)));
    return result;
  }

  /** A single as a double. */
  widen(operand: Expr<typeof F32>): Local<typeof F64> {
    const a = this.held(operand);
    const result = this.f.local(F64, f64.promote(a));
    this.unless(i32.f32Eq(a, a), result, () =>
      f64.reinterpretI64(call(this.float.widen, this.h, i32.reinterpretF32(a))),
    );
    return result;
  }

  private functions<V extends BitsType>(host: Host<FloatType, V>): FormatFunctions<V>;
  private functions(host: Host): FormatFunctions<BitsType> {
    return host.bits === I32 ? this.float.single : this.float.double;
  }

  /** Rounds to nearest and NX is set and, where it matters, the result is in range. */
  private certain(rm: ExprI32, range?: ExprI32): ExprI32 {
    const known = [];
    if (this.inexact.constant !== 1) known.push(this.inexact);
    if (range !== undefined) known.push(range);
    if (rm.constant !== RNE) known.push(i32.eqz(rm));
    return known.length === 0 ? i32.const(1) : known.reduce((a, b) => i32.and(a, b));
  }

  private unless<T extends FloatType>(certain: ExprI32, result: Local<T>, slow: () => Expr<T>): void {
    this.f.if(i32.eqz(certain), () => this.f.set(result, slow()));
  }

  /** A local with the value, so that it can be used more than once. */
  private held<T extends FloatType | typeof I64>(value: Expr<T>): Local<T> {
    return value.kind === Kind.Local ? value : this.f.local(value.type, value);
  }
}

const mayBe = (rm: ExprI32, mode: number): boolean => (rm.constant ?? mode) === mode;

/**
 * A double on its way to a single: unless its 29 surplus bits are exactly one half, it
 * lies on the same side of the halfway point as the number it was rounded from, and
 * rounding twice does no harm.
 */
export const notHalfway = (wide: ExprF64): ExprI32 =>
  i32.ne(i32.and(i32.wrap(i64.reinterpretF64(wide)), i32.const(0x1fffffff)), i32.const(0x10000000));

/** Rounding to an integer in the modes the host knows. */
export const hostRounding: Readonly<Record<number, (a: ExprF64) => ExprF64>> = {
  [RNE]: f64.nearest,
  [RTZ]: f64.trunc,
  [RDN]: f64.floor,
  [RUP]: f64.ceil,
};

/** Whether a rounded number is within the integer type; false for NaN. The smallest signed integer is left to the others. */
export function fits(type: IntegerType, rounded: ExprF64): ExprI32 {
  const limit = f64.const(2 ** { w: 31, wu: 32, l: 63, lu: 64 }[type]);
  if (type === 'w' || type === 'l') return i32.f64Lt(f64.abs(rounded), limit);
  return i32.and(i32.f64Ge(rounded, f64.const(0)), i32.f64Lt(rounded, limit));
}

/** The x register's 64 bits of a rounded number that fits. */
export function truncate(type: IntegerType, rounded: ExprF64): ExprI64 {
  if (type === 'lu') return i64.truncSatF64U(rounded);
  const integer = i64.truncSatF64S(rounded);
  return type === 'wu' ? i64.extend32(integer) : integer;
}
