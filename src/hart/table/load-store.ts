/** Loads and stores of RV64I (unprivileged specification 2.6, 4.3); misaligned accesses work. */
import { i64, type ExprI32, type ExprI64 } from '../../wasm/expr.js';
import type { Width } from '../context.js';
import { emitLoad, emitStore } from '../memory-access.js';
import { instruction, type Instruction } from './instruction.js';

const same = (raw: ExprI64): ExprI64 => raw;

const load = (
  name: string,
  funct3: number,
  width: Width,
  fast: (host: ExprI32, distance?: number) => ExprI64,
  slow: (raw: ExprI64) => ExprI64,
): Instruction => ({
  ...instruction(name, 'load', 0x03, funct3, 0, (c) => c.rd(emitLoad(c, width, i64.add(c.rs1(), c.imm()), fast, slow))),
  access: { kind: 'load', width },
});

const store = (name: string, width: Width): Instruction => ({
  ...instruction(name, 'S', 0x23, width, 0, (c) => emitStore(c, width, i64.add(c.rs1(), c.imm()), c.rs2())),
  access: { kind: 'store', width },
});

export const loadStore: readonly Instruction[] = [
  load('lb', 0, 0, i64.load8S, i64.extend8),
  load('lh', 1, 1, i64.load16S, i64.extend16),
  load('lw', 2, 2, i64.load32S, i64.extend32),
  load('ld', 3, 3, i64.load, same),
  load('lbu', 4, 0, i64.load8U, same),
  load('lhu', 5, 1, i64.load16U, same),
  load('lwu', 6, 2, i64.load32U, same),
  store('sb', 0),
  store('sh', 1),
  store('sw', 2),
  store('sd', 3),
];
