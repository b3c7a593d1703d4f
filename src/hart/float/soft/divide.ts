/**
 * Division and square root.
 *
 * WebAssembly's own f64.div and f64.sqrt are correctly rounded to nearest. Applied
 * to significands (no overflow, no underflow) they give q, the 53-bit number nearest
 * to the true value; the sign of the exact remainder, in integers, tells on which
 * side of q the true value lies. q with ten more bits, ±1 in the last one, compares
 * with every rounding boundary as the true value does, so it rounds as that would.
 */
import type { Callable, ExprI64, Local } from '../../../wasm/expr.js';
import { F64, f64, I32, I64, i32, i64 } from '../../../wasm/expr.js';
import type { FunctionBuilder } from '../../../wasm/function.js';
import type { BitsType } from '../format.js';
import { bit, DZ, infinity, ones, signBit } from '../format.js';
import type { Kit } from './kit.js';

/** q, 53 bits, to a significand with leading 1 in bit 62, nudged to the remainder's side. */
function nudged(q: ExprI64, remainder: Local<typeof I64>): ExprI64 {
  const side = i32.sub(i64.gtS(remainder, i64.const(0)), i64.ltS(remainder, i64.const(0)));
  return i64.add(i64.shl(q, i64.const(10)), i64.extendS(side));
}

/** Significand (53 bits, hidden bit included) of a double's bits. */
const significandOf = (bits: ExprI64): ExprI64 => i64.or(i64.and(bits, ones(52)), bit(52));

/** (h, a, b, rm): a / b. */
export function softDivide<V extends BitsType>(kit: Kit<V>): Callable<V> {
  const { format } = kit;
  const f = kit.operation(2, true);
  const a = kit.operand(f, 0);
  const b = kit.operand(f, 1);
  const ua = kit.unpack(f, a);
  const ub = kit.unpack(f, b);
  const sign = f.local(I32, i32.xor(ua.sign, ub.sign));
  const returnInfinity = (): void => kit.return(f, i64.or(signBit(format, sign), infinity(format)));

  f.if(i32.or(i32.eq(ua.exp, i32.const(format.emax)), i32.eq(ub.exp, i32.const(format.emax))), () => {
    f.if(i32.or(kit.isNaN(a), kit.isNaN(b)), () => kit.returnNaN(f, a, b));
    f.if(i32.eq(ua.exp, ub.exp), () => kit.returnInvalid(f));
    f.if(i32.eq(ua.exp, i32.const(format.emax)), returnInfinity);
    kit.return(f, signBit(format, sign));
  });
  f.if(i64.eqz(kit.magnitude(b)), () => {
    f.if(i64.eqz(kit.magnitude(a)), () => kit.returnInvalid(f));
    kit.raise(f, DZ);
    returnInfinity();
  });
  f.if(i64.eqz(kit.magnitude(a)), () => kit.return(f, signBit(format, sign)));

  kit.normalize(f, ua);
  kit.normalize(f, ub);
  const [dividend, divisor] = [ua.fraction, ub.fraction];
  f.set(dividend, i64.shrU(dividend, i64.const(10)));
  f.set(divisor, i64.shrU(divisor, i64.const(10)));
  const bits = f.local(I64, i64.reinterpretF64(f64.div(f64.convertI64S(dividend), f64.convertI64S(divisor))));
  const q = f.local(I64, significandOf(bits));
  // 0 if the quotient is at least 1, else −1.
  const e = f.local(I64, i64.sub(i64.shrU(bits, i64.const(52)), i64.const(1023)));
  const scaled = i64.shl(dividend, i64.sub(i64.const(52), e));
  const remainder = f.local(I64, i64.sub(scaled, i64.mul(q, divisor)));
  const exp = i32.add(i32.add(i32.sub(ua.exp, ub.exp), i32.const(format.bias)), i32.wrap(e));
  kit.returnRounded(f, sign, exp, nudged(q, remainder), f.param(I32, 3));
  return f;
}

/** (h, a, rm): the square root of a. */
export function softSqrt<V extends BitsType>(kit: Kit<V>): Callable<V> {
  const { format } = kit;
  const f: FunctionBuilder<V> = kit.operation(1, true);
  const a = kit.operand(f, 0);
  const ua = kit.unpack(f, a);

  f.if(kit.isNaN(a), () => kit.returnNaN(f, a, a));
  f.if(i64.eqz(kit.magnitude(a)), () => kit.return(f, a));
  f.if(ua.sign, () => kit.returnInvalid(f));
  f.if(i32.eq(ua.exp, i32.const(format.emax)), () => kit.return(f, a));

  kit.normalize(f, ua);
  // An even power of two is taken out: the radicand has 53 or 54 bits, its root 26 + 1 before the point.
  const unbiased = f.local(I32, i32.sub(ua.exp, i32.const(format.bias)));
  const odd = i64.extendU(i32.and(unbiased, i32.const(1)));
  const radicand = f.local(I64, i64.shl(i64.shrU(ua.fraction, i64.const(10)), odd));
  const root = f.local(F64, f64.sqrt(f64.convertI64S(radicand)));
  const q = f.local(I64, significandOf(i64.reinterpretF64(root)));
  const remainder = f.local(I64, i64.sub(i64.shl(radicand, i64.const(52)), i64.mul(q, q)));
  const exp = i32.add(i32.shrS(unbiased, i32.const(1)), i32.const(format.bias));
  kit.returnRounded(f, i32.const(0), exp, nudged(q, remainder), f.param(I32, 2));
  return f;
}
