import type { Callable, ExprI32, ExprI64 } from '../../../wasm/expr.js';
import { call, I32, I64, i32, i64, select } from '../../../wasm/expr.js';
import type { BitsType } from '../format.js';
import { bit, DOUBLE, infinity, NV, NX, ones, signBit, SINGLE } from '../format.js';
import type { Kit } from './kit.js';

/** The integer types of the conversion instructions: fcvt.w, .wu, .l, .lu. */
export type IntegerType = 'w' | 'wu' | 'l' | 'lu';

/** Largest value, and magnitude of the smallest, of an integer type. */
const limits: Readonly<Record<IntegerType, readonly [ExprI64, ExprI64]>> = {
  w: [ones(31), bit(31)],
  wu: [ones(32), i64.const(0)],
  l: [ones(63), bit(63)],
  lu: [ones(64), i64.const(0)],
};

/**
 * (h, a, rm): the integer, for each integer type, as the x register shows it: `w` and `wu`
 * sign-extended from bit 31. Out of range and NaN saturate and accrue NV (F, table
 * "Domains of float-to-integer conversions").
 */
export function softToIntegers(kit: Kit): Readonly<Record<IntegerType, Callable<typeof I64>>> {
  const core = softToInteger(kit);
  const one = (type: IntegerType): Callable<typeof I64> => {
    const f = kit.module.function([I32, kit.format.bits, I32], I64);
    const bits = kit.operand(f, 0);
    const result = call(core, f.param(I32, 0), bits, f.param(I32, 2), ...limits[type]);
    f.return(type.startsWith('w') ? i64.extend32(result) : result);
    return f;
  };
  return { w: one('w'), wu: one('wu'), l: one('l'), lu: one('lu') };
}

/** (h, bits, rm, largest, magnitude of the smallest): the rounded integer. */
function softToInteger(kit: Kit): Callable<typeof I64> {
  const { format } = kit;
  const f = kit.module.function([I32, I64, I32, I64, I64], I64);
  const bits = f.param(I64, 1);
  const rm = f.param(I32, 2);
  const [largest, smallest] = [f.param(I64, 3), f.param(I64, 4)];
  const zero = i64.const(0);
  const { sign, exp, fraction } = kit.unpack(f, bits);
  const negative = (magnitude: ExprI64): ExprI64 => i64.sub(zero, magnitude);
  const returnSaturated = (): void => {
    kit.raise(f, NV);
    f.return(select(sign, negative(smallest), largest));
  };

  f.if(kit.isNaN(bits), () => f.set(sign, i32.const(0)));
  const e = f.local(I32, i32.sub(exp, i32.const(format.bias)));
  f.if(i32.gtS(e, i32.const(63)), returnSaturated);

  // The number is integer + rest/2^64; the significand has its leading 1 in bit 63.
  const significand = f.local(I64, i64.shl(i64.or(fraction, bit(format.fraction)), i64.const(63 - format.fraction)));
  const integer = f.local(I64, zero);
  const rest = f.local(I64, zero);
  f.if(
    i32.geS(e, i32.const(0)),
    () => {
      const count = i64.extendU(e);
      f.set(integer, i64.shrU(significand, i64.sub(i64.const(63), count)));
      // Shifted in two steps: a shift count of 64 would count as 0.
      f.set(rest, i64.shl(i64.shl(significand, count), i64.const(1)));
    },
    () => {
      // Below one half only "not zero" matters.
      f.set(rest, i64.extendU(i64.ne(kit.magnitude(bits), zero)));
      f.if(i32.eq(e, i32.const(-1)), () => f.set(rest, significand));
    },
  );
  const half = bit(63);
  const isOdd = i32.wrap(i64.and(integer, i64.const(1)));
  const inexact = i64.ne(rest, zero);
  const tiesUp = i32.or(isOdd, i32.eq(rm, i32.const(4)));
  const nearestUp = i32.or(i64.gtU(rest, half), i32.and(i64.eq(rest, half), tiesUp));
  const away = i32.and(i32.eq(rm, i32.sub(i32.const(3), sign)), inexact);
  const up: ExprI32 = select(i32.eqz(i32.and(rm, i32.const(3))), nearestUp, away);
  f.set(integer, i64.add(integer, i64.extendU(up)));

  f.if(i64.gtU(integer, select(sign, smallest, largest)), returnSaturated);
  f.if(inexact, () => kit.raise(f, NX));
  f.return(select(sign, negative(integer), integer));
  return f;
}

/** (h, x, rm): the number, from the x register's 64 bits; `w` and `wu` use the lower 32. */
export function softFromIntegers<V extends BitsType>(kit: Kit<V>): Readonly<Record<IntegerType, Callable<V>>> {
  const one = (type: IntegerType): Callable<V> => {
    const f = kit.module.function([I32, I64, I32], kit.format.bits);
    const x = f.param(I64, 1);
    if (type === 'w') f.set(x, i64.extend32(x));
    if (type === 'wu') f.set(x, i64.and(x, ones(32)));
    f.if(i64.eqz(x), () => kit.return(f, i64.const(0)));
    const sign = f.local(I32, type.endsWith('u') ? i32.const(0) : i64.ltS(x, i64.const(0)));
    f.set(x, select(sign, i64.sub(i64.const(0), x), x));
    const exp = f.local(I32, i32.const(kit.format.bias + 62));
    f.if(i64.ltS(x, i64.const(0)), () => {
      f.set(x, i64.or(i64.shrU(x, i64.const(1)), i64.and(x, i64.const(1))));
      f.set(exp, i32.const(kit.format.bias + 63));
    });
    kit.returnRounded(f, sign, exp, x, f.param(I32, 2));
    return f;
  };
  return { w: one('w'), wu: one('wu'), l: one('l'), lu: one('lu') };
}

/** (h, a, rm): a double rounded to a single. */
export function softNarrow(single: Kit<typeof I32>, double: Kit<typeof I64>): Callable<typeof I32> {
  const f = single.module.function([I32, I64, I32], I32);
  const a = f.param(I64, 1);
  const unpacked = double.unpack(f, a);
  f.if(double.isNaN(a), () => {
    f.if(double.isSignalling(a), () => single.raise(f, NV));
    f.return(i32.const(0x7fc00000));
  });
  f.if(i32.eq(unpacked.exp, i32.const(DOUBLE.emax)), () => {
    single.return(f, i64.or(signBit(SINGLE, unpacked.sign), infinity(SINGLE)));
  });
  f.if(i64.eqz(double.magnitude(a)), () => single.return(f, signBit(SINGLE, unpacked.sign)));
  double.normalize(f, unpacked);
  const exp = i32.sub(unpacked.exp, i32.const(DOUBLE.bias - SINGLE.bias));
  single.returnRounded(f, unpacked.sign, exp, unpacked.fraction, f.param(I32, 2));
  return f;
}

/** (h, a): a single as a double, which is always exact. */
export function softWiden(single: Kit<typeof I32>, double: Kit<typeof I64>): Callable<typeof I64> {
  const f = single.module.function([I32, I32], I64);
  const a = single.operand(f, 0);
  const unpacked = single.unpack(f, a);
  f.if(single.isNaN(a), () => {
    f.if(single.isSignalling(a), () => single.raise(f, NV));
    f.return(i64.pair(0x7ff80000, 0));
  });
  f.if(i32.eq(unpacked.exp, i32.const(SINGLE.emax)), () => {
    f.return(i64.or(signBit(DOUBLE, unpacked.sign), infinity(DOUBLE)));
  });
  f.if(i64.eqz(single.magnitude(a)), () => f.return(signBit(DOUBLE, unpacked.sign)));
  single.normalize(f, unpacked);
  const exp = i32.add(unpacked.exp, i32.const(DOUBLE.bias - SINGLE.bias));
  double.returnRounded(f, unpacked.sign, exp, unpacked.fraction, i32.const(0));
  return f;
}
