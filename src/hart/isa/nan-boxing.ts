/** Singles in 64-bit registers are NaN-boxed: the upper half all ones (unprivileged specification 21.2). */
import { I64, i32, i64, select, type ExprI32, type ExprI64 } from '../../wasm/expr.js';
import type { FunctionBuilder } from '../../wasm/function.js';

export const boxed = (bits: ExprI32): ExprI64 => i64.or(i64.extendU(bits), i64.pair(-1, 0));

/** The single in a register; what is not boxed reads as the canonical NaN. */
export function unboxed(f: FunctionBuilder, register: ExprI64): ExprI32 {
  const value = f.local(I64, register);
  return select(i64.geU(value, i64.pair(-1, 0)), i32.wrap(value), i32.const(0x7fc00000));
}
