import type { Callable, ExprI32, ExprI64, Local } from '../../../wasm/expr.js';
import { call, I32, I64, i32, i64, select } from '../../../wasm/expr.js';
import type { FunctionBuilder } from '../../../wasm/function.js';
import type { BitsType } from '../format.js';
import { infinity, signBit } from '../format.js';
import type { Kit } from './kit.js';

/** A 128-bit number in two locals. */
interface Wide {
  readonly high: Local<typeof I64>;
  readonly low: Local<typeof I64>;
}

const zero = i64.const(0);

/** Shifts right by n ≥ 0; the lowest bit is set if any 1 was lost. */
function shiftRightJamWide(
  f: FunctionBuilder,
  { high, low }: Wide,
  n: Local<typeof I32>,
  jam: Callable<typeof I64>,
): void {
  f.if(
    i32.geU(n, i32.const(64)),
    () => {
      const sticky = i64.extendU(i64.ne(low, zero));
      f.set(low, i64.or(call(jam, high, i32.sub(n, i32.const(64))), sticky));
      f.set(high, zero);
    },
    () => {
      f.if(n, () => {
        const count = i64.extendU(n);
        const fromHigh = i64.shl(high, i64.sub(i64.const(64), count));
        f.set(low, i64.or(fromHigh, call(jam, low, n)));
        f.set(high, i64.shrU(high, count));
      });
    },
  );
}

/** (h, a, b, c, rm): a × b + c, rounded once. */
export function softFma<V extends BitsType>(kit: Kit<V>): Callable<V> {
  const { format } = kit;
  const f = kit.operation(3, true);
  const a = kit.operand(f, 0);
  const b = kit.operand(f, 1);
  const c = kit.operand(f, 2);
  const rm = f.param(I32, 4);
  const ua = kit.unpack(f, a);
  const ub = kit.unpack(f, b);
  const uc = kit.unpack(f, c);
  const sign = f.local(I32, i32.xor(ua.sign, ub.sign));
  const subtract = f.local(I32, i32.ne(sign, uc.sign));
  const special = i32.const(format.emax);
  const isInfinite = (bits: ExprI64): ExprI32 => i64.eq(kit.magnitude(bits), infinity(format));
  const zeroProduct = f.local(I32, i32.or(i64.eqz(kit.magnitude(a)), i64.eqz(kit.magnitude(b))));

  f.if(i32.or(i32.or(i32.eq(ua.exp, special), i32.eq(ub.exp, special)), i32.eq(uc.exp, special)), () => {
    // ∞ × 0 is invalid even when c is a quiet NaN (F, "Single-Precision Floating-Point Computational Instructions").
    f.if(i32.and(zeroProduct, i32.or(isInfinite(a), isInfinite(b))), () => kit.returnInvalid(f));
    f.if(i32.or(i32.or(kit.isNaN(a), kit.isNaN(b)), kit.isNaN(c)), () => kit.returnNaN(f, a, b, c));
    f.if(i32.or(isInfinite(a), isInfinite(b)), () => {
      f.if(i32.and(isInfinite(c), subtract), () => kit.returnInvalid(f));
      kit.return(f, i64.or(signBit(format, sign), infinity(format)));
    });
    kit.return(f, c);
  });
  const zeroC = i64.eqz(kit.magnitude(c));
  f.if(zeroProduct, () => {
    f.if(zeroC, () => kit.return(f, select(subtract, kit.cancelledZero(rm), c)));
    kit.return(f, c);
  });

  kit.normalize(f, ua);
  kit.normalize(f, ub);
  // The product's leading 1 is bit 124 or 125; c is put beside it with its leading 1 in bit 124 (60 of the upper half).
  const product: Wide = {
    high: f.local(I64, call(kit.common.multiplyHigh, ua.fraction, ub.fraction)),
    low: f.local(I64, i64.mul(ua.fraction, ub.fraction)),
  };
  const exp = f.local(I32, i32.sub(i32.add(ua.exp, ub.exp), i32.const(format.bias)));
  const addend: Wide = { high: f.local(I64, zero), low: f.local(I64, zero) };
  f.if(i32.eqz(zeroC), () => {
    kit.normalize(f, uc);
    f.set(addend.high, i64.shrU(uc.fraction, i64.const(2)));
    const distance = f.local(I32, i32.sub(exp, uc.exp));
    f.if(
      i32.geS(distance, i32.const(0)),
      () => shiftRightJamWide(f, addend, distance, kit.common.shiftRightJam),
      () => {
        f.set(distance, i32.sub(i32.const(0), distance));
        shiftRightJamWide(f, product, distance, kit.common.shiftRightJam);
        f.set(exp, uc.exp);
      },
    );
  });

  const sum = product;
  f.if(
    subtract,
    () => {
      const borrow = i64.extendU(i64.ltU(sum.low, addend.low));
      f.set(sum.high, i64.sub(i64.sub(sum.high, addend.high), borrow));
      f.set(sum.low, i64.sub(sum.low, addend.low));
      f.if(i64.ltS(sum.high, zero), () => {
        f.set(sign, i32.eqz(sign));
        f.set(sum.low, i64.sub(zero, sum.low));
        f.set(sum.high, i64.sub(i64.sub(zero, sum.high), i64.extendU(i64.ne(sum.low, zero))));
      });
    },
    () => {
      f.set(sum.low, i64.add(sum.low, addend.low));
      const carry = i64.extendU(i64.ltU(sum.low, addend.low));
      f.set(sum.high, i64.add(i64.add(sum.high, addend.high), carry));
    },
  );
  f.if(i64.eqz(i64.or(sum.high, sum.low)), () => kit.return(f, kit.cancelledZero(rm)));

  // One word is enough from here: bit 62 of the upper half is 2 above bit 124.
  f.set(exp, i32.add(exp, i32.const(2)));
  f.if(i64.eqz(sum.high), () => {
    // Only terms close enough to cancel come here; they were not shifted far, so the lowest bit is clear.
    f.set(sum.high, i64.shrU(sum.low, i64.const(1)));
    f.set(sum.low, zero);
    f.set(exp, i32.sub(exp, i32.const(63)));
  });
  const shift = f.local(I64, i64.sub(i64.clz(sum.high), i64.const(1)));
  f.if(i64.gtS(shift, zero), () => {
    const fromLow = i64.shrU(sum.low, i64.sub(i64.const(64), shift));
    f.set(sum.high, i64.or(i64.shl(sum.high, shift), fromLow));
    f.set(sum.low, i64.shl(sum.low, shift));
    f.set(exp, i32.sub(exp, i32.wrap(shift)));
  });
  const sticky = i64.extendU(i64.ne(sum.low, zero));
  kit.returnRounded(f, sign, exp, i64.or(sum.high, sticky), rm);
  return f;
}
