/** Zba, Zbb, Zbs: bit manipulation (unprivileged specification 29). */
import { I64, i32, i64, select, type ExprI32, type ExprI64 } from '../../../wasm/expr.js';
import type { Context } from '../../context.js';
import { funct12, funct7, instruction, type Instruction } from './instruction.js';

const OP = 0x33;
const OP_32 = 0x3b;
const OP_IMM = 0x13;
const OP_IMM_32 = 0x1b;

type Binary = (a: ExprI64, b: ExprI64) => ExprI64;

const register = (name: string, funct3: number, high: number, op: Binary, opcode = OP): Instruction =>
  instruction(name, 'R', opcode, funct3, funct7(high), (c) => c.rd(op(c.rs1(), c.rs2())));
const unary = (
  name: string,
  funct3: number,
  high: number,
  emit: (c: Context) => ExprI64,
  opcode = OP_IMM,
): Instruction => instruction(name, 'unary', opcode, funct3, funct12(high), (c) => c.rd(emit(c)));
const shift = (name: string, funct3: number, high: number, op: Binary): Instruction =>
  instruction(name, 'shift64', OP_IMM, funct3, high << 25, (c) => c.rd(op(c.rs1(), c.imm())));

const low32 = (value: ExprI64): ExprI64 => i64.and(value, i64.pair(0, -1));
const not = (value: ExprI64): ExprI64 => i64.xor(value, i64.const(-1));
const bit = (position: ExprI64): ExprI64 => i64.shl(i64.const(1), position);
const bclr: Binary = (a, b) => i64.and(a, not(bit(b)));
const bext: Binary = (a, b) => i64.and(i64.shrU(a, b), i64.const(1));
const binv: Binary = (a, b) => i64.xor(a, bit(b));
const bset: Binary = (a, b) => i64.or(a, bit(b));
const rotateW =
  (op: (a: ExprI32, b: ExprI32) => ExprI32): Binary =>
  (a, b) =>
    i64.extendS(op(i32.wrap(a), i32.wrap(b)));
const shadd =
  (n: number, narrow: boolean): Binary =>
  (a, b) =>
    i64.add(b, i64.shl(narrow ? low32(a) : a, i64.const(n)));

function extreme(name: string, funct3: number, better: (a: ExprI64, b: ExprI64) => ExprI32): Instruction {
  return instruction(name, 'R', OP, funct3, funct7(0x05), (c) => {
    const a = c.f.local(I64, c.rs1());
    const b = c.f.local(I64, c.rs2());
    c.rd(select(better(a, b), a, b));
  });
}

/** Swaps neighbouring groups of `bits` bits, `mask` selecting the lower group of each pair. */
const swap = (value: ExprI64, bits: number, mask: ExprI64): ExprI64 =>
  i64.or(i64.shl(i64.and(value, mask), i64.const(bits)), i64.and(i64.shrU(value, i64.const(bits)), mask));

function rev8(c: Context): ExprI64 {
  const v = c.f.local(I64, c.rs1());
  c.f.set(v, swap(v, 8, i64.pair(0x00ff00ff, 0x00ff00ff)));
  c.f.set(v, swap(v, 16, i64.pair(0x0000ffff, 0x0000ffff)));
  return i64.rotl(v, i64.const(32));
}

/** Every non-zero byte becomes 0xff: its bits gather in bit 7, then bit 7 spreads over the byte. */
function orcb(c: Context): ExprI64 {
  const v = c.f.local(I64, c.rs1());
  const low7 = i64.pair(0x7f7f7f7f, 0x7f7f7f7f);
  c.f.set(v, i64.and(i64.or(i64.add(i64.and(v, low7), low7), v), i64.pair(0x80808080, 0x80808080)));
  c.f.set(v, i64.shrU(v, i64.const(7)));
  return i64.mul(v, i64.const(0xff));
}

export const bits: readonly Instruction[] = [
  register('add.uw', 0, 0x04, (a, b) => i64.add(b, low32(a)), OP_32),
  register('sh1add', 2, 0x10, shadd(1, false)),
  register('sh2add', 4, 0x10, shadd(2, false)),
  register('sh3add', 6, 0x10, shadd(3, false)),
  register('sh1add.uw', 2, 0x10, shadd(1, true), OP_32),
  register('sh2add.uw', 4, 0x10, shadd(2, true), OP_32),
  register('sh3add.uw', 6, 0x10, shadd(3, true), OP_32),
  instruction('slli.uw', 'shift64', OP_IMM_32, 1, funct7(0x04), (c) => c.rd(i64.shl(low32(c.rs1()), c.imm()))),

  register('andn', 7, 0x20, (a, b) => i64.and(a, not(b))),
  register('orn', 6, 0x20, (a, b) => i64.or(a, not(b))),
  register('xnor', 4, 0x20, (a, b) => not(i64.xor(a, b))),
  unary('clz', 1, 0x600, (c) => i64.clz(c.rs1())),
  unary('ctz', 1, 0x601, (c) => i64.ctz(c.rs1())),
  unary('cpop', 1, 0x602, (c) => i64.popcnt(c.rs1())),
  unary('sext.b', 1, 0x604, (c) => i64.extend8(c.rs1())),
  unary('sext.h', 1, 0x605, (c) => i64.extend16(c.rs1())),
  unary('clzw', 1, 0x600, (c) => i64.extendU(i32.clz(i32.wrap(c.rs1()))), OP_IMM_32),
  unary('ctzw', 1, 0x601, (c) => i64.extendU(i32.ctz(i32.wrap(c.rs1()))), OP_IMM_32),
  unary('cpopw', 1, 0x602, (c) => i64.extendU(i32.popcnt(i32.wrap(c.rs1()))), OP_IMM_32),
  unary('zext.h', 4, 0x080, (c) => i64.and(c.rs1(), i64.const(0xffff)), OP_32),
  unary('orc.b', 5, 0x287, orcb),
  unary('rev8', 5, 0x6b8, rev8),
  extreme('min', 4, i64.ltS),
  extreme('minu', 5, i64.ltU),
  extreme('max', 6, i64.gtS),
  extreme('maxu', 7, i64.gtU),
  register('rol', 1, 0x30, i64.rotl),
  register('ror', 5, 0x30, i64.rotr),
  shift('rori', 5, 0x30, i64.rotr),
  register('rolw', 1, 0x30, rotateW(i32.rotl), OP_32),
  register('rorw', 5, 0x30, rotateW(i32.rotr), OP_32),
  instruction('roriw', 'shift32', OP_IMM_32, 5, funct7(0x30), (c) => c.rd(rotateW(i32.rotr)(c.rs1(), c.imm()))),

  register('bclr', 1, 0x24, bclr),
  register('bext', 5, 0x24, bext),
  register('binv', 1, 0x34, binv),
  register('bset', 1, 0x14, bset),
  shift('bclri', 1, 0x24, bclr),
  shift('bexti', 5, 0x24, bext),
  shift('binvi', 1, 0x34, binv),
  shift('bseti', 1, 0x14, bset),
];
