import type { Context, Width } from '../../context.js';
import type { FormatName } from './format.js';
import { formats } from './format.js';

/** How an instruction changes the flow of control. */
export type Flow =
  /** Goes on with the next instruction, unless it traps. */
  | 'next'
  /** Conditional branch to pc + imm. */
  | 'branch'
  /** Jump to pc + imm. */
  | 'jump'
  /** Jump to an address in a register. */
  | 'indirect'
  /** The engine must look at the hart's state afresh: traps, returns, CSR writes, fences. */
  | 'system';

/** An access to memory at rs1 + imm. */
export interface Access {
  readonly kind: 'load' | 'store';
  readonly width: Width;
}

/** One instruction: its encoding and its meaning, written once for every engine. */
export interface Instruction {
  readonly name: string;
  readonly format: FormatName;
  readonly match: number;
  readonly mask: number;
  readonly flow: Flow;
  /** Of a plain load or store. */
  readonly access?: Access;
  /** Emits the meaning as WebAssembly. */
  readonly emit: (c: Context) => void;
}

/** Encodes the fixed fields of an instruction: opcode [6:0], funct3 [14:12], and what `high` gives for the rest. */
export function instruction(
  name: string,
  format: FormatName,
  opcode: number,
  funct3: number,
  high: number,
  emit: (c: Context) => void,
  flow: Flow = 'next',
): Instruction {
  const mask = ~formats[format].operandMask;
  const match = opcode | (funct3 << 12) | high;
  if ((match & ~mask) !== 0) throw new Error(`${name}: fixed bits lie in operand fields`);
  return { name, format, match, mask, flow, emit };
}

/** funct7, bits 31:25. */
export const funct7 = (value: number): number => value << 25;
/** Bits 31:20 of an instruction without operands there. */
export const funct12 = (value: number): number => value << 20;
