/** Loads and stores of RV64I (unprivileged specification 2.6, 4.3); misaligned accesses work. */
import { i64, type ExprI32, type ExprI64 } from '../../../wasm/expr.js';
import type { Width } from '../../context.js';
import { emitLoad, emitStore } from '../../memory-access.js';
import { instruction, type Instruction } from './instruction.js';

const load = (
  name: string,
  funct3: number,
  width: Width,
  read: (host: ExprI32, distance?: number) => ExprI64,
): Instruction => ({
  ...instruction(name, 'load', 0x03, funct3, 0, (c) => c.rd(emitLoad(c, width, i64.add(c.rs1(), c.imm()), read))),
  access: { kind: 'load', width },
});

const store = (name: string, width: Width): Instruction => ({
  ...instruction(name, 'S', 0x23, width, 0, (c) => emitStore(c, width, i64.add(c.rs1(), c.imm()), c.rs2())),
  access: { kind: 'store', width },
});

export const loadStore: readonly Instruction[] = [
  load('lb', 0, 0, i64.load8S),
  load('lh', 1, 1, i64.load16S),
  load('lw', 2, 2, i64.load32S),
  load('ld', 3, 3, i64.load),
  load('lbu', 4, 0, i64.load8U),
  load('lhu', 5, 1, i64.load16U),
  load('lwu', 6, 2, i64.load32U),
  store('sb', 0),
  store('sh', 1),
  store('sw', 2),
  store('sd', 3),
];
