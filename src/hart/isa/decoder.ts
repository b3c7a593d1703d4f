/** From instruction bits to an entry of the instruction table and its operands. */
import { compressed, type Compressed } from './table/compressed.js';
import { decodeOperands, formats, type Format, type Operands } from './table/format.js';
import { instructions } from './table/index.js';

export interface Decoded {
  /** Index in the instruction table, or -1: illegal. */
  readonly index: number;
  readonly operands: Readonly<Operands>;
  /** 2 or 4 bytes. */
  readonly length: 2 | 4;
}

/** What decoding needs of an instruction of the table. */
interface Candidate {
  readonly match: number;
  readonly mask: number;
  readonly index: number;
  readonly format: Format;
}

/** Candidates by opcode and funct3 of a full instruction (10 bits). */
const candidates: readonly Candidate[] = instructions.map(({ match, mask, format }, index) => ({
  match,
  mask,
  index,
  format: formats[format],
}));
const full: readonly (readonly Candidate[])[] = Array.from({ length: 1024 }, (_, key) => {
  const keyBits = (key & 0x7f) | ((key >> 7) << 12);
  return candidates.filter(({ match, mask }) => ((keyBits ^ match) & mask & 0x707f) === 0);
});
const byName = new Map(instructions.map((instruction, index) => [instruction.name, index]));

/** Candidates by quadrant and funct3 of a compressed instruction (5 bits). */
const short: readonly (readonly Compressed[])[] = Array.from({ length: 32 }, (_, key) => {
  const keyBits = (key & 3) | ((key >> 2) << 13);
  return compressed.filter(({ match, mask }) => ((keyBits ^ match) & mask & 0xe003) === 0);
});

const illegal = (bits: number, length: 2 | 4): Decoded => ({
  index: -1,
  operands: { rd: 0, rs1: 0, rs2: 0, imm: bits, rm: 0 },
  length,
});

/** Compressed instructions that have been decoded before; a full one is decoded faster than found again. */
const known: (Decoded | undefined)[] = new Array<Decoded | undefined>(0x10000);

/** Decodes the instruction that starts with `bits`; of a compressed one only the low 16 bits count. */
export function decode(bits: number): Decoded {
  if ((bits & 3) !== 3) return (known[bits & 0xffff] ??= decodeCompressed(bits & 0xffff));
  const index = indexOfFull(bits);
  if (index < 0) return illegal(bits, 4);
  return { index, operands: decodeOperands(candidates[index].format, bits), length: 4 };
}

/** Index in the instruction table of a full instruction (bits 1:0 are 3), or -1: illegal. */
export function indexOfFull(bits: number): number {
  for (const { match, mask, index } of full[(bits & 0x7f) | (((bits >>> 12) & 7) << 7)]) {
    if (((bits ^ match) & mask) === 0) return index;
  }
  return -1;
}

function decodeCompressed(low: number): Decoded {
  for (const c of short[(low & 3) | ((low >>> 13) << 2)]) {
    if (((low ^ c.match) & c.mask) === 0 && (c.valid === undefined || c.valid(low))) {
      return { index: byName.get(c.expandsTo)!, operands: c.operands(low), length: 2 };
    }
  }
  return illegal(low, 2);
}
