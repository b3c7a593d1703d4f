/**
 * From an instruction's name and operands to its bits, read backwards out of the
 * instruction table. `assembler.ts` puts text on top of this.
 */
import { compressed, type Compressed } from './table/compressed.js';
import { formats, type Operands } from './table/format.js';
import { instructions } from './table/index.js';
import type { Instruction } from './table/instruction.js';

/** Why something cannot be encoded. */
export type AssemblerErrorCode =
  'unknown-instruction' | 'operand-out-of-range' | 'bad-operand' | 'unknown-symbol' | 'duplicate-label';

export class AssemblerError extends Error {
  constructor(
    readonly code: AssemblerErrorCode,
    message: string,
  ) {
    super(message);
    this.name = 'AssemblerError';
  }
}

const byName = new Map(instructions.map((instruction) => [instruction.name, instruction]));

/** The table's entry of that name. Throws `unknown-instruction`. */
export function instructionNamed(name: string): Instruction {
  const found = byName.get(name);
  if (found === undefined) throw new AssemblerError('unknown-instruction', `there is no instruction ${name}`);
  return found;
}

export const hasInstruction = (name: string): boolean => byName.has(name);

const field = (name: string, operand: string, value: number, limit: number): number => {
  if (!Number.isInteger(value) || value < 0 || value >= limit) {
    throw new AssemblerError('operand-out-of-range', `${name}: ${operand} is ${value}, not 0 … ${limit - 1}`);
  }
  return value;
};

/**
 * The 32 bits (as a signed number) of an instruction. Operands that its format does not have are
 * ignored, absent ones are 0. Of CSR instructions `imm` is the CSR's number, of fences
 * predecessor and successor bits (7:0), of atomics `rm` is aq (2) and rl (1).
 * Throws AssemblerError.
 */
export function encode(name: string, operands: Partial<Operands>): number {
  const { match, format: formatName } = instructionNamed(name);
  const format = formats[formatName];
  const { rd = 0, rs1 = 0, rs2 = 0, imm = 0, rm = 0 } = operands;
  const { syntax, range } = format;
  let bits = match;
  const has = (...names: string[]): boolean => syntax.some((s) => names.includes(s));
  if (has('rd')) bits |= field(name, 'rd', rd, 32) << 7;
  if (has('rs1', 'offset', 'base', 'uimm')) bits |= field(name, 'rs1', rs1, 32) << 15;
  if (has('rs2')) bits |= field(name, 'rs2', rs2, 32) << 20;
  if (has('rm')) bits |= field(name, 'rm', rm, 8) << 12;
  if (format.ordering === true) bits |= field(name, 'aq/rl', rm, 4) << 25;
  if (formatName === 'fence') return name === 'fence' ? bits | (field(name, 'fence set', imm, 256) << 20) : bits;
  if (has('csr')) field(name, 'csr', imm, 4096);
  if (range !== undefined && (imm < range.min || imm > range.max || (imm - range.min) % range.step !== 0)) {
    const { min, max, step } = range;
    throw new AssemblerError('operand-out-of-range', `${name}: ${imm} is not in ${min} … ${max}, step ${step}`);
  }
  return bits | format.encodeImmediate(imm);
}

/** What setting one bit of a compressed encoding does to its operands. */
interface BitEffect {
  readonly bit: number;
  readonly operands: Operands;
}

/**
 * Compressed fields are permutations of operand bits, so the effect of every free bit on the
 * operands can be found by trying, and an operand bit says which free bit it comes from.
 */
const effects = new Map<Compressed, readonly BitEffect[]>();
function effectsOf(c: Compressed): readonly BitEffect[] {
  let known = effects.get(c);
  if (known === undefined) {
    const base = c.operands(c.match);
    known = Array.from({ length: 16 }, (_, i) => 1 << i)
      .filter((bit) => (c.mask & bit) === 0)
      .map((bit) => ({ bit, operands: xor(c.operands(c.match | bit), base) }));
    effects.set(c, known);
  }
  return known;
}

const xor = (a: Operands, b: Operands): Operands => ({
  rd: a.rd ^ b.rd,
  rs1: a.rs1 ^ b.rs1,
  rs2: a.rs2 ^ b.rs2,
  imm: a.imm ^ b.imm,
  rm: 0,
});
const same = (a: Operands, b: Operands): boolean =>
  a.rd === b.rd && a.rs1 === b.rs1 && a.rs2 === b.rs2 && a.imm === b.imm;
/** Whether `whole` has the lowest bit that `part` has. */
const lowest = (part: number, whole: number): boolean => (whole & part & -part) !== 0;

/** The 16 bits of one compressed form with these operands (those of the full instruction), or undefined. */
export function encodeForm(c: Compressed, operands: Operands): number | undefined {
  const wanted = xor(operands, c.operands(c.match));
  let bits = c.match;
  for (const { bit, operands: effect } of effectsOf(c)) {
    if (
      lowest(effect.rd, wanted.rd) ||
      lowest(effect.rs1, wanted.rs1) ||
      lowest(effect.rs2, wanted.rs2) ||
      lowest(effect.imm, wanted.imm)
    ) {
      bits |= bit;
    }
  }
  return same(c.operands(bits), operands) && (c.valid === undefined || c.valid(bits)) ? bits : undefined;
}

/** The shortest form's 16 bits if the instruction with these operands has a compressed form. */
export function compress(name: string, operands: Partial<Operands>): number | undefined {
  const full: Operands = { rd: 0, rs1: 0, rs2: 0, imm: 0, rm: 0, ...operands };
  for (const c of compressed) {
    if (c.expandsTo !== name) continue;
    const bits = encodeForm(c, full);
    if (bits !== undefined) return bits;
  }
  return undefined;
}
