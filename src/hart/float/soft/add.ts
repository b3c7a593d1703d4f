import type { Callable, Local } from '../../../wasm/expr.js';
import { call, I32, I64, i32, i64, select } from '../../../wasm/expr.js';
import { bit, infinity, signBit } from '../format.js';
import type { BitsType } from '../format.js';
import type { Kit, Unpacked } from './kit.js';

/** (h, a, b, rm): a + b. */
export function softAdd<V extends BitsType>(kit: Kit<V>): Callable<V> {
  const { format, spare } = kit;
  const f = kit.operation(2, true);
  const a = kit.operand(f, 0);
  const b = kit.operand(f, 1);
  const rm = f.param(I32, 3);

  // From here on |a| ≥ |b|, NaNs uppermost.
  f.if(i64.ltU(kit.magnitude(a), kit.magnitude(b)), () => {
    const smaller = f.local(I64, a);
    f.set(a, b);
    f.set(b, smaller);
  });
  const ua = kit.unpack(f, a);
  const ub = kit.unpack(f, b);
  const subtract = f.local(I32, i32.ne(ua.sign, ub.sign));

  f.if(i32.eq(ua.exp, i32.const(format.emax)), () => {
    f.if(kit.isNaN(a), () => kit.returnNaN(f, a, b));
    f.if(i32.and(subtract, i64.eq(kit.magnitude(b), infinity(format))), () => kit.returnInvalid(f));
    kit.return(f, a);
  });

  // Leading 1 in bit 61, which leaves room for the carry; subnormal numbers have exponent 1 and no hidden bit.
  const prepare = ({ exp, fraction }: Unpacked): void => {
    f.if(
      i32.eqz(exp),
      () => f.set(exp, i32.const(1)),
      () => f.set(fraction, i64.or(fraction, bit(format.fraction))),
    );
    f.set(fraction, i64.shl(fraction, i64.const(spare - 1)));
  };
  prepare(ua);
  prepare(ub);
  const sum: Local<typeof I64> = ua.fraction;
  f.set(ub.fraction, call(kit.common.shiftRightJam, ub.fraction, i32.sub(ua.exp, ub.exp)));
  f.set(sum, select(subtract, i64.sub(sum, ub.fraction), i64.add(sum, ub.fraction)));
  f.if(i64.eqz(sum), () => kit.return(f, select(subtract, kit.cancelledZero(rm), signBit(format, ua.sign))));
  kit.returnRounded(f, ua.sign, i32.add(ua.exp, i32.const(1)), sum, rm);
  return f;
}

/** (h, a, b, rm): a − b, which is a + (−b) in every respect. */
export function softSubtract<V extends BitsType>(kit: Kit<V>, add: Callable<V>): Callable<V> {
  const f = kit.operation(2, true);
  const negated = f.local(I64, i64.xor(kit.operand(f, 1), bit(kit.format.width - 1)));
  const b = kit.format.width === 64 ? negated : i32.wrap(negated);
  f.return(call(add, f.param(I32, 0), f.params[1], b, f.param(I32, 3)));
  return f;
}
