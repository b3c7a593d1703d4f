import type { Callable } from '../../../wasm/expr.js';
import { call, I32, I64, i32, i64 } from '../../../wasm/expr.js';
import type { BitsType } from '../format.js';
import { infinity, signBit } from '../format.js';
import type { Kit } from './kit.js';

/** (h, a, b, rm): a × b. */
export function softMultiply<V extends BitsType>(kit: Kit<V>): Callable<V> {
  const { format } = kit;
  const f = kit.operation(2, true);
  const a = kit.operand(f, 0);
  const b = kit.operand(f, 1);
  const ua = kit.unpack(f, a);
  const ub = kit.unpack(f, b);
  const sign = f.local(I32, i32.xor(ua.sign, ub.sign));
  const anyZero = i32.or(i64.eqz(kit.magnitude(a)), i64.eqz(kit.magnitude(b)));

  f.if(i32.or(i32.eq(ua.exp, i32.const(format.emax)), i32.eq(ub.exp, i32.const(format.emax))), () => {
    f.if(i32.or(kit.isNaN(a), kit.isNaN(b)), () => kit.returnNaN(f, a, b));
    f.if(anyZero, () => kit.returnInvalid(f));
    kit.return(f, i64.or(signBit(format, sign), infinity(format)));
  });
  f.if(anyZero, () => kit.return(f, signBit(format, sign)));

  kit.normalize(f, ua);
  kit.normalize(f, ub);
  // Leading bits 62 + 62: the product's is bit 124 or 125, that is 60 or 61 of the upper half.
  const high = f.local(I64, call(kit.common.multiplyHigh, ua.fraction, ub.fraction));
  const low = i64.mul(ua.fraction, ub.fraction);
  const product = i64.or(high, i64.extendU(i64.ne(low, i64.const(0))));
  const exp = i32.add(i32.add(ua.exp, ub.exp), i32.const(2 - format.bias));
  kit.returnRounded(f, sign, exp, product, f.param(I32, 3));
  return f;
}
