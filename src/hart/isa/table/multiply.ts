/** M: multiplication and division (unprivileged specification 12). */
import { I32, I64, call, choose, i32, i64, type ExprI32, type ExprI64 } from '../../../wasm/expr.js';
import type { Context } from '../../context.js';
import { funct7, instruction, type Instruction } from './instruction.js';

const OP = 0x33;
const OP_32 = 0x3b;

const register = (name: string, funct3: number, emit: (c: Context) => void, opcode = OP): Instruction =>
  instruction(name, 'R', opcode, funct3, funct7(1), emit);

/** mulhsu and mulh differ from mulhu by the operands' signs: subtract the other operand where one is negative. */
const ifNegative = (sign: ExprI64, value: ExprI64): ExprI64 => i64.and(i64.shrS(sign, i64.const(63)), value);

function high(c: Context, signed1: boolean, signed2: boolean): void {
  const a = c.f.local(I64, c.rs1());
  const b = c.f.local(I64, c.rs2());
  let result = call(c.core.mulhu, a, b);
  if (signed1) result = i64.sub(result, ifNegative(a, b));
  if (signed2) result = i64.sub(result, ifNegative(b, a));
  c.rd(result);
}

/** Division never traps: by zero gives -1 or the dividend, overflow the dividend or 0 (table 11 of the specification). */
function divide64(c: Context, signed: boolean, remainder: boolean): void {
  const a = c.f.local(I64, c.rs1());
  const b = c.f.local(I64, c.rs2());
  const plain: ExprI64 = remainder
    ? signed
      ? i64.remS(a, b)
      : i64.remU(a, b)
    : signed
      ? i64.divS(a, b)
      : i64.divU(a, b);
  const byZero = remainder ? a : i64.const(-1);
  // WebAssembly's rem_s of the smallest value by -1 is 0, its div_s traps.
  const guarded = signed && !remainder ? choose(i64.eq(b, i64.const(-1)), i64.sub(i64.const(0), a), plain) : plain;
  c.rd(choose(i64.eqz(b), byZero, guarded));
}

function divide32(c: Context, signed: boolean, remainder: boolean): void {
  const a = c.f.local(I32, i32.wrap(c.rs1()));
  const b = c.f.local(I32, i32.wrap(c.rs2()));
  const plain: ExprI32 = remainder
    ? signed
      ? i32.remS(a, b)
      : i32.remU(a, b)
    : signed
      ? i32.divS(a, b)
      : i32.divU(a, b);
  const byZero = remainder ? a : i32.const(-1);
  const guarded = signed && !remainder ? choose(i32.eq(b, i32.const(-1)), i32.sub(i32.const(0), a), plain) : plain;
  c.rd(i64.extendS(choose(i32.eqz(b), byZero, guarded)));
}

export const multiply: readonly Instruction[] = [
  register('mul', 0, (c) => c.rd(i64.mul(c.rs1(), c.rs2()))),
  register('mulh', 1, (c) => high(c, true, true)),
  register('mulhsu', 2, (c) => high(c, true, false)),
  register('mulhu', 3, (c) => high(c, false, false)),
  register('div', 4, (c) => divide64(c, true, false)),
  register('divu', 5, (c) => divide64(c, false, false)),
  register('rem', 6, (c) => divide64(c, true, true)),
  register('remu', 7, (c) => divide64(c, false, true)),
  register('mulw', 0, (c) => c.rd(i64.extend32(i64.mul(c.rs1(), c.rs2()))), OP_32),
  register('divw', 4, (c) => divide32(c, true, false), OP_32),
  register('divuw', 5, (c) => divide32(c, false, false), OP_32),
  register('remw', 6, (c) => divide32(c, true, true), OP_32),
  register('remuw', 7, (c) => divide32(c, false, true), OP_32),
];
