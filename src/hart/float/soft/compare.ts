import type { Callable, ExprI32, ExprI64 } from '../../../wasm/expr.js';
import { I32, I64, i32, i64, select } from '../../../wasm/expr.js';
import type { FunctionBuilder } from '../../../wasm/function.js';
import type { BitsType } from '../format.js';
import { bit, canonicalNaN, infinity, NV, signBit } from '../format.js';
import type { Kit } from './kit.js';

/** A signed key that orders numbers as their values, −0 below +0. */
function orderKey(kit: Kit, f: FunctionBuilder, bits: ExprI64): ExprI64 {
  const extended = f.local(I64, kit.format.width === 64 ? bits : i64.extend32(bits));
  const negative = i64.shrS(extended, i64.const(63));
  return f.local(I64, i64.xor(extended, i64.shrU(negative, i64.const(1))));
}

/** (h, a, b): the smaller or larger of two numbers; a NaN only if both are (IEEE 754-2019 minimumNumber, maximumNumber). */
export function softMinMax<V extends BitsType>(kit: Kit<V>, which: 'min' | 'max'): Callable<V> {
  const f = kit.operation(2, false);
  const a = kit.operand(f, 0);
  const b = kit.operand(f, 1);
  f.if(i32.or(kit.isNaN(a), kit.isNaN(b)), () => {
    const signals = (bits: ExprI64): ExprI32 => kit.isSignalling(bits);
    f.if(i32.or(signals(a), signals(b)), () => kit.raise(f, NV));
    const number = select(kit.isNaN(a), b, a);
    kit.return(f, select(i32.and(kit.isNaN(a), kit.isNaN(b)), canonicalNaN(kit.format), number));
  });
  const less = i64.ltS(orderKey(kit, f, a), orderKey(kit, f, b));
  kit.return(f, which === 'min' ? select(less, a, b) : select(less, b, a));
  return f;
}

/** (h, a, b): 1 or 0. `eq` is a quiet comparison, `lt` and `le` signal for any NaN. */
export function softCompare(kit: Kit, relation: 'eq' | 'lt' | 'le'): Callable<typeof I32> {
  const { bits } = kit.format;
  const f = kit.module.function([I32, bits, bits], I32);
  const a = kit.operand(f, 0);
  const b = kit.operand(f, 1);
  f.if(i32.or(kit.isNaN(a), kit.isNaN(b)), () => {
    if (relation === 'eq') f.if(i32.or(kit.isSignalling(a), kit.isSignalling(b)), () => kit.raise(f, NV));
    else kit.raise(f, NV);
    f.return(i32.const(0));
  });
  const bothZero = i64.eqz(kit.magnitude(i64.or(a, b)));
  if (relation === 'eq') {
    f.return(i32.or(i64.eq(a, b), bothZero));
    return f;
  }
  const [ka, kb] = [orderKey(kit, f, a), orderKey(kit, f, b)];
  if (relation === 'lt') f.return(i32.and(i64.ltS(ka, kb), i32.eqz(bothZero)));
  else f.return(i32.or(i64.leS(ka, kb), bothZero));
  return f;
}

/** (h, a): the class mask of fclass (F, table "Format of result of FCLASS instruction"). Accrues nothing. */
export function softClassify(kit: Kit): Callable<typeof I32> {
  const { format } = kit;
  const f = kit.module.function([I32, format.bits], I32);
  const a = kit.operand(f, 0);
  const magnitude = f.local(I64, kit.magnitude(a));
  f.if(kit.isNaN(a), () => {
    f.return(select(kit.isSignalling(a), i32.const(1 << 8), i32.const(1 << 9)));
  });
  // Bits 0 … 3: −∞, negative normal, negative subnormal, −0; 4 … 7: the positive ones, mirrored.
  const negative = i64.ne(i64.and(a, signBit(format, i32.const(1))), i64.const(0));
  const returnClass = (i: number): void => f.return(select(negative, i32.const(1 << i), i32.const(1 << (7 - i))));
  f.if(i64.eq(magnitude, infinity(format)), () => returnClass(0));
  f.if(i64.geU(magnitude, bit(format.fraction)), () => returnClass(1));
  f.if(i64.ne(magnitude, i64.const(0)), () => returnClass(2));
  returnClass(3);
  return f;
}
