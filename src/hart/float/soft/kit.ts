import type { Callable, ExprI32, ExprI64, Local } from '../../../wasm/expr.js';
import { call, I32, I64, i32, i64, select } from '../../../wasm/expr.js';
import type { FunctionBuilder } from '../../../wasm/function.js';
import type { ModuleBuilder } from '../../../wasm/module.js';
import { FFLAGS } from '../../state.js';
import type { BitsType, Format } from '../format.js';
import { bit, canonicalNaN, infinity, NV, NX, OF, ones, signBit, UF } from '../format.js';

/** A finite or special number taken apart; `fraction` without the hidden bit. */
export interface Unpacked {
  readonly sign: Local<typeof I32>;
  readonly exp: Local<typeof I32>;
  readonly fraction: Local<typeof I64>;
}

/** Functions that do not depend on the format. */
export interface Common {
  readonly module: ModuleBuilder;
  /** (h, flags): accrues flags. */
  readonly raise: Callable<undefined>;
  /** (value, n ≥ 0): value >>> n, with the lowest bit set if any 1 was shifted out. */
  readonly shiftRightJam: Callable<typeof I64>;
  /** (a, b): the upper 64 bits of the unsigned product. */
  readonly multiplyHigh: Callable<typeof I64>;
}

export function buildCommon(module: ModuleBuilder): Common {
  return {
    module,
    raise: buildRaise(module),
    shiftRightJam: buildJam(module),
    multiplyHigh: buildMultiplyHigh(module),
  };
}

function buildRaise(module: ModuleBuilder): Callable<undefined> {
  const f = module.function([I32, I32], undefined);
  const h = f.param(I32, 0);
  f.store32(h, i32.or(i32.load(h, FFLAGS), f.param(I32, 1)), FFLAGS);
  return f;
}

function buildJam(module: ModuleBuilder): Callable<typeof I64> {
  const f = module.function([I64, I32], I64);
  const value = f.param(I64, 0);
  const n = f.param(I32, 1);
  f.if(i32.geU(n, i32.const(64)), () => f.return(i64.extendU(i64.ne(value, i64.const(0)))));
  const count = f.local(I64, i64.extendU(n));
  const lost = i64.and(value, i64.sub(i64.shl(i64.const(1), count), i64.const(1)));
  f.return(i64.or(i64.shrU(value, count), i64.extendU(i64.ne(lost, i64.const(0)))));
  return f;
}

function buildMultiplyHigh(module: ModuleBuilder): Callable<typeof I64> {
  const f = module.function([I64, I64], I64);
  const low = (e: ExprI64): ExprI64 => i64.and(e, ones(32));
  const high = (e: ExprI64): ExprI64 => i64.shrU(e, i64.const(32));
  const a = f.param(I64, 0);
  const b = f.param(I64, 1);
  const al = f.local(I64, low(a));
  const ah = f.local(I64, high(a));
  const bl = f.local(I64, low(b));
  const bh = f.local(I64, high(b));
  const middle = f.local(I64, i64.add(i64.mul(ah, bl), high(i64.mul(al, bl))));
  const other = f.local(I64, i64.add(i64.mul(al, bh), low(middle)));
  f.return(i64.add(i64.add(i64.mul(ah, bh), high(middle)), high(other)));
  return f;
}

/**
 * What the soft operations of one format are built with.
 *
 * Inside, raw bits are always an i64 (singles zero-extended) and a significand is
 * an i64 whose leading 1 is bit 62, so that the same code serves both formats:
 *
 *   bit 63 | 62 … R | R−1 … 0
 *      0   | 1.fraction | rounding bits, the lowest one sticky        R = 62 − fraction bits
 */
export class Kit<V extends BitsType = BitsType> {
  readonly module: ModuleBuilder;
  /** Number of rounding bits. */
  readonly spare: number;
  readonly magnitudeMask: ExprI64;
  /** (h, a, b, c): the canonical NaN; NV if one of the three is a signalling NaN. */
  private readonly nan: Callable<typeof I64>;
  /** (h, sign, exp, significand, rm): see `round`. */
  private readonly rounder: Callable<typeof I64>;

  constructor(
    readonly common: Common,
    readonly format: Format<V>,
  ) {
    this.module = common.module;
    this.spare = 62 - format.fraction;
    this.magnitudeMask = ones(format.width - 1);
    this.nan = this.buildNaN();
    this.rounder = this.buildRounder();
  }

  /** A function (h, operands…, rm?) of this format's raw bits that leaves raw bits. */
  operation(operands: number, rm: boolean): FunctionBuilder<V> {
    const bits = Array<BitsType>(operands).fill(this.format.bits);
    return this.module.function([I32, ...bits, ...(rm ? [I32 as typeof I32] : [])], this.format.bits);
  }

  /** Operand `i` (from 0) of an `operation`, as an i64 in a local. */
  operand(f: FunctionBuilder, i: number): Local<typeof I64> {
    if (this.format.width === 64) return f.param(I64, i + 1);
    return f.local(I64, i64.extendU(f.param(I32, i + 1)));
  }

  /** Returns raw bits, given as an i64. */
  return(f: FunctionBuilder, bits: ExprI64): void {
    f.return(this.format.width === 64 ? bits : i32.wrap(bits));
  }

  magnitude(bits: ExprI64): ExprI64 {
    return i64.and(bits, this.magnitudeMask);
  }

  isNaN(bits: ExprI64): ExprI32 {
    return i64.gtU(this.magnitude(bits), infinity(this.format));
  }

  isSignalling(bits: ExprI64): ExprI32 {
    return i32.and(this.isNaN(bits), i64.eqz(i64.and(bits, bit(this.format.fraction - 1))));
  }

  raise(f: FunctionBuilder, flags: number): void {
    f.call(this.common.raise, f.param(I32, 0), i32.const(flags));
  }

  /** Returns the canonical NaN and accrues NV. */
  returnInvalid(f: FunctionBuilder): void {
    this.raise(f, NV);
    this.return(f, canonicalNaN(this.format));
  }

  /** Returns what an operation with NaN operands gives; `c` may be left out. */
  returnNaN(f: FunctionBuilder, a: ExprI64, b: ExprI64, c: ExprI64 = b): void {
    this.return(f, call(this.nan, f.param(I32, 0), a, b, c));
  }

  unpack(f: FunctionBuilder, bits: ExprI64): Unpacked {
    const { width, fraction, emax } = this.format;
    const exp = i32.and(i32.wrap(i64.shrU(bits, i64.const(fraction))), i32.const(emax));
    return {
      sign: f.local(I32, i32.wrap(i64.shrU(bits, i64.const(width - 1)))),
      exp: f.local(I32, exp),
      fraction: f.local(I64, i64.and(bits, ones(fraction))),
    };
  }

  /** Turns the fraction of a finite number other than zero into a significand, leading 1 in bit 62; corrects `exp`. */
  normalize(f: FunctionBuilder, { exp, fraction }: Unpacked): void {
    const { spare } = this;
    f.if(
      i32.eqz(exp),
      () => {
        f.set(exp, i32.sub(i32.const(2 + spare), i32.wrap(i64.clz(fraction))));
        f.set(fraction, i64.shl(fraction, i64.sub(i64.clz(fraction), i64.const(1))));
      },
      () => f.set(fraction, i64.shl(i64.or(fraction, bit(this.format.fraction)), i64.const(spare))),
    );
  }

  /**
   * Returns the rounded value of (−1)^sign · significand/2^62 · 2^(exp − bias), and accrues
   * OF, UF, NX. The significand is not 0, its bit 63 is clear; it need not be normalized.
   */
  returnRounded(f: FunctionBuilder, sign: ExprI32, exp: ExprI32, significand: ExprI64, rm: ExprI32): void {
    this.return(f, call(this.rounder, f.param(I32, 0), sign, exp, significand, rm));
  }

  /** The sign of a sum that is exactly zero while its terms' signs differ (IEEE 754 6.3). */
  cancelledZero(rm: ExprI32): ExprI64 {
    return signBit(this.format, i32.eq(rm, i32.const(2)));
  }

  private buildNaN(): Callable<typeof I64> {
    const f = this.module.function([I32, I64, I64, I64], I64);
    const quiet = this.format.fraction - 1;
    // Signalling: above infinity and below infinity + the quiet bit.
    const signals = (i: number): ExprI32 =>
      i64.ltU(
        i64.sub(i64.sub(this.magnitude(f.param(I64, i)), infinity(this.format)), i64.const(1)),
        i64.sub(bit(quiet), i64.const(1)),
      );
    f.if(i32.or(i32.or(signals(1), signals(2)), signals(3)), () => this.raise(f, NV));
    f.return(canonicalNaN(this.format));
    return f;
  }

  private buildRounder(): Callable<typeof I64> {
    const { format, spare } = this;
    const f = this.module.function([I32, I32, I32, I64, I32], I64);
    const [h, sign, exp] = [f.param(I32, 0), f.param(I32, 1), f.param(I32, 2)];
    const significand = f.param(I64, 3);
    const rm = f.param(I32, 4);
    const zero = i64.const(0);
    const half = bit(spare - 1);

    const shift = f.local(I32, i32.sub(i32.wrap(i64.clz(significand)), i32.const(1)));
    f.set(significand, i64.shl(significand, i64.extendU(shift)));
    f.set(exp, i32.sub(exp, shift));

    // Added before the rounding bits are cut off: half for RNE (0) and RMM (4), all ones for
    // RDN (2) when negative and RUP (3) when positive.
    const away = i32.eq(rm, i32.sub(i32.const(3), sign));
    const nearest = i32.eqz(i32.and(rm, i32.const(3)));
    const increment = f.local(I64, select(nearest, half, select(away, ones(spare), zero)));
    const carries = i64.ltS(i64.add(significand, increment), zero);
    const flags = f.local(I32, i32.const(0));
    const rest = f.local(I64, i64.and(significand, ones(spare)));

    f.if(i32.geU(i32.sub(exp, i32.const(1)), i32.const(format.emax - 2)), () => {
      f.if(
        i32.leS(exp, i32.const(0)),
        () => {
          // Tiny after rounding: with an unbounded exponent the result would still be below the normal numbers.
          f.set(flags, i32.or(i32.ltS(exp, i32.const(0)), i32.eqz(carries)));
          f.set(significand, call(this.common.shiftRightJam, significand, i32.sub(i32.const(1), exp)));
          f.set(exp, i32.const(1));
          f.set(rest, i64.and(significand, ones(spare)));
          f.set(flags, select(i32.and(flags, i64.ne(rest, zero)), i32.const(UF), i32.const(0)));
        },
        () => {
          f.if(i32.or(i32.gtS(exp, i32.const(format.emax - 1)), carries), () => {
            f.call(this.common.raise, h, i32.const(OF | NX));
            const limit = i64.sub(infinity(format), i64.extendU(i64.eqz(increment)));
            f.return(i64.or(signBit(format, sign), limit));
          });
        },
      );
    });

    f.set(significand, i64.shrU(i64.add(significand, increment), i64.const(spare)));
    f.if(i64.ne(rest, zero), () => {
      f.call(this.common.raise, h, i32.or(flags, i32.const(NX)));
      const tie = i32.and(i32.eqz(rm), i64.eq(rest, half));
      f.set(significand, i64.and(significand, i64.xor(i64.extendU(tie), i64.const(-1))));
    });
    // The hidden bit adds 1 to the exponent; a subnormal number has neither.
    const biased = i64.shl(i64.extendU(i32.sub(exp, i32.const(1))), i64.const(format.fraction));
    f.return(i64.or(signBit(format, sign), i64.add(biased, significand)));
    return f;
  }
}
