/** RV64I computation and control transfer (unprivileged specification 2, 4). */
import { I64, i32, i64, type ExprI32, type ExprI64 } from '../../../wasm/expr.js';
import type { Context } from '../../context.js';
import { funct7, instruction, type Instruction } from './instruction.js';

const OP = 0x33;
const OP_32 = 0x3b;
const OP_IMM = 0x13;
const OP_IMM_32 = 0x1b;

const flag = (cond: ExprI32): ExprI64 => i64.extendU(cond);
const word = (value: ExprI64): ExprI64 => i64.extend32(value);
/** Shift amounts: WebAssembly takes them modulo the width, as RISC-V does. */
const shamt32 = (value: ExprI64): ExprI32 => i32.wrap(value);

type Binary = (a: ExprI64, b: ExprI64) => ExprI64;

const shiftW =
  (op: (a: ExprI32, b: ExprI32) => ExprI32): Binary =>
  (a, b) =>
    i64.extendS(op(i32.wrap(a), shamt32(b)));

const add: Binary = i64.add;
const slt: Binary = (a, b) => flag(i64.ltS(a, b));
const sltu: Binary = (a, b) => flag(i64.ltU(a, b));
const addw: Binary = (a, b) => word(i64.add(a, b));
const subw: Binary = (a, b) => word(i64.sub(a, b));

const register = (name: string, funct3: number, high: number, op: Binary, opcode = OP): Instruction =>
  instruction(name, 'R', opcode, funct3, funct7(high), (c) => c.rd(op(c.rs1(), c.rs2())));
const immediate = (name: string, funct3: number, op: Binary, opcode = OP_IMM): Instruction =>
  instruction(name, 'I', opcode, funct3, 0, (c) => c.rd(op(c.rs1(), c.imm())));
const shift = (name: string, funct3: number, high: number, op: Binary): Instruction =>
  instruction(name, 'shift64', OP_IMM, funct3, funct7(high), (c) => c.rd(op(c.rs1(), c.imm())));
const shiftWord = (name: string, funct3: number, high: number, op: Binary): Instruction =>
  instruction(name, 'shift32', OP_IMM_32, funct3, funct7(high), (c) => c.rd(op(c.rs1(), c.imm())));

const branch = (name: string, funct3: number, cond: (a: ExprI64, b: ExprI64) => ExprI32): Instruction =>
  instruction(name, 'B', 0x63, funct3, 0, (c) => c.branchIf(cond(c.rs1(), c.rs2())), 'branch');

function jalr(c: Context): void {
  const target = c.f.local(I64, i64.and(i64.add(c.rs1(), c.imm()), i64.const(-2)));
  c.rd(c.nextPc());
  c.jumpTo(target);
}

export const integer: readonly Instruction[] = [
  instruction('lui', 'U', 0x37, 0, 0, (c) => c.rd(c.imm())),
  instruction('auipc', 'U', 0x17, 0, 0, (c) => c.rd(i64.add(c.pc(), c.imm()))),
  instruction(
    'jal',
    'J',
    0x6f,
    0,
    0,
    (c) => {
      c.rd(c.nextPc());
      c.jumpRelative();
    },
    'jump',
  ),
  instruction('jalr', 'load', 0x67, 0, 0, jalr, 'indirect'),

  branch('beq', 0, i64.eq),
  branch('bne', 1, i64.ne),
  branch('blt', 4, i64.ltS),
  branch('bge', 5, i64.geS),
  branch('bltu', 6, i64.ltU),
  branch('bgeu', 7, i64.geU),

  immediate('addi', 0, add),
  immediate('slti', 2, slt),
  immediate('sltiu', 3, sltu),
  immediate('xori', 4, i64.xor),
  immediate('ori', 6, i64.or),
  immediate('andi', 7, i64.and),
  shift('slli', 1, 0x00, i64.shl),
  shift('srli', 5, 0x00, i64.shrU),
  shift('srai', 5, 0x20, i64.shrS),

  register('add', 0, 0x00, add),
  register('sub', 0, 0x20, i64.sub),
  register('sll', 1, 0x00, i64.shl),
  register('slt', 2, 0x00, slt),
  register('sltu', 3, 0x00, sltu),
  register('xor', 4, 0x00, i64.xor),
  register('srl', 5, 0x00, i64.shrU),
  register('sra', 5, 0x20, i64.shrS),
  register('or', 6, 0x00, i64.or),
  register('and', 7, 0x00, i64.and),

  immediate('addiw', 0, addw, OP_IMM_32),
  shiftWord('slliw', 1, 0x00, shiftW(i32.shl)),
  shiftWord('srliw', 5, 0x00, shiftW(i32.shrU)),
  shiftWord('sraiw', 5, 0x20, shiftW(i32.shrS)),
  register('addw', 0, 0x00, addw, OP_32),
  register('subw', 0, 0x20, subw, OP_32),
  register('sllw', 1, 0x00, shiftW(i32.shl), OP_32),
  register('srlw', 5, 0x00, shiftW(i32.shrU), OP_32),
  register('sraw', 5, 0x20, shiftW(i32.shrS), OP_32),
];
