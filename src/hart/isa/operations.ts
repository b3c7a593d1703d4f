/**
 * What the interpreter can be told to do by a slot, and the number of each: an instruction of
 * the table in its full length, in its compressed form, or two instructions that often follow
 * each other. A number says how long its instructions are, so that the interpreter need not
 * look: where the next slot is would otherwise wait for a load in each instruction.
 */
import { OPERATIONS, OP_FIRST } from '../slots.js';
import { compressed } from './table/compressed.js';
import { instructions } from './table/index.js';
import type { Instruction } from './table/instruction.js';

/** One instruction of an operation. */
export interface Part {
  readonly instruction: Instruction;
  readonly halfwords: 1 | 2;
}

const short = new Set(compressed.map(({ expandsTo }) => expandsTo));
const full: readonly Part[] = instructions.map((instruction) => ({ instruction, halfwords: 2 }));
const abridged: readonly Part[] = instructions
  .filter(({ name }) => short.has(name))
  .map((instruction) => ({ instruction, halfwords: 1 }));
const single: readonly Part[] = [...full, ...abridged];

const spell = ({ instruction, halfwords }: Part): string => (halfwords === 1 ? 'c.' : '') + instruction.name;
const named = new Map(single.map((part, index) => [spell(part), index]));

/**
 * Pairs, by how much of what runs they are in boots, python3, sqlite3, redis, gzip and starts
 * of processes together. "c." is the compressed form of the table's instruction, so "c.add" is
 * c.mv, too.
 */
const PAIRS = [
  'c.ld c.ld',
  'c.sd c.sd',
  'c.add c.add',
  'lbu c.addi',
  'c.addi c.addi',
  'sd sd',
  'c.ld c.addi',
  'lbu c.beq',
  'c.addi c.sd',
  'c.addi beq',
  'c.addi c.jalr',
  'c.sd c.addi',
  'c.add c.ld',
  'c.add lbu',
  'addi addi',
  'add lbu',
  'slli srli',
  'auipc jalr',
  'c.addi c.add',
  'ld ld',
  'c.ld c.add',
  'c.slli c.add',
  'auipc ld',
  'auipc addi',
  'slli c.srli',
  'addi c.addi',
].map((pair) => pair.split(' ').map((name) => named.get(name) ?? -1));

/** Operations from OP_FIRST on. */
export const operations: readonly (readonly Part[])[] = [
  ...single.map((part) => [part]),
  ...PAIRS.map((pair) => pair.map((index) => single[index])),
];
if (OP_FIRST + operations.length > OPERATIONS) throw new Error('more operations than a slot can tell');

const fullNumbers: readonly number[] = full.map((_, index) => OP_FIRST + index);
const shortNumbers: readonly number[] = instructions.map(
  (instruction) => OP_FIRST + single.findIndex((o) => o.instruction === instruction && o.halfwords === 1),
);

/** Number of the operation for entry `index` of the instruction table; only what has a compressed form is one halfword long. */
export const operationNumber = (index: number, halfwords: 1 | 2): number =>
  (halfwords === 1 ? shortNumbers : fullNumbers)[index];

/** Of each operation, by its number, the first instruction's own. */
export const firstOf = new Uint8Array(OPERATIONS);
/** Halfwords of the first instruction, 0 where there is none. */
export const lengthOfFirst = new Uint8Array(OPERATIONS);
/** By first << 8 | second: the operation that does both, or 0. */
export const pairOf = new Uint8Array(OPERATIONS * OPERATIONS);
operations.forEach((parts, index) => {
  const first = single.indexOf(parts[0]);
  firstOf[OP_FIRST + index] = OP_FIRST + first;
  lengthOfFirst[OP_FIRST + index] = parts[0].halfwords;
  if (parts.length === 2) pairOf[((OP_FIRST + first) << 8) | (OP_FIRST + single.indexOf(parts[1]))] = OP_FIRST + index;
});
