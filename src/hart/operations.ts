/**
 * What the interpreter can be told to do by a slot, and the number of each: an instruction of
 * the table in its full length, or in its compressed form. A number says how long its
 * instruction is, so that the interpreter need not look: where the next slot is would
 * otherwise wait for a load in each instruction.
 */
import { OPERATIONS, OP_FIRST } from './slots.js';
import { compressed } from './table/compressed.js';
import { instructions } from './table/index.js';
import type { Instruction } from './table/instruction.js';

export interface Operation {
  readonly instruction: Instruction;
  readonly halfwords: 1 | 2;
}

const short = new Set(compressed.map(({ expandsTo }) => expandsTo));

/** Operations from OP_FIRST on. */
export const operations: readonly Operation[] = [
  ...instructions.map((instruction): Operation => ({ instruction, halfwords: 2 })),
  ...instructions
    .filter(({ name }) => short.has(name))
    .map((instruction): Operation => ({ instruction, halfwords: 1 })),
];
if (OP_FIRST + operations.length > OPERATIONS) throw new Error('more operations than a slot can tell');

const fullNumbers: readonly number[] = instructions.map((_, index) => OP_FIRST + index);
const shortNumbers: readonly number[] = instructions.map(
  (instruction) => OP_FIRST + operations.findIndex((o) => o.instruction === instruction && o.halfwords === 1),
);

/** Number of the operation for entry `index` of the instruction table; only what has a compressed form is one halfword long. */
export const operationNumber = (index: number, halfwords: 1 | 2): number =>
  (halfwords === 1 ? shortNumbers : fullNumbers)[index];
