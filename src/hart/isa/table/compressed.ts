/**
 * C: compressed instructions (unprivileged specification 26), each the short form of an
 * instruction of the table. Immediates are given as lists of [lowest bit in the encoding,
 * width, lowest bit in the immediate].
 */
import type { Operands } from './format.js';

type Field = readonly [from: number, width: number, to: number];

export interface Compressed {
  readonly name: string;
  readonly match: number;
  readonly mask: number;
  /** Name of the instruction it stands for. */
  readonly expandsTo: string;
  readonly operands: (bits: number) => Operands;
  /** Refuses encodings of this shape that are reserved or mean something else. */
  readonly valid?: (bits: number) => boolean;
}

const gather = (bits: number, fields: readonly Field[]): number => {
  let value = 0;
  for (const [from, width, to] of fields) value |= ((bits >>> from) & ((1 << width) - 1)) << to;
  return value;
};
const signed = (value: number, width: number): number => (value << (32 - width)) >> (32 - width);

/** Full-size register fields, and the 3-bit ones that name x8–x15. */
const full7 = (bits: number): number => (bits >>> 7) & 31;
const full2 = (bits: number): number => (bits >>> 2) & 31;
const short7 = (bits: number): number => 8 + ((bits >>> 7) & 7);
const short2 = (bits: number): number => 8 + ((bits >>> 2) & 7);

const LW: readonly Field[] = [[10, 3, 3], [6, 1, 2], [5, 1, 6]]; // prettier-ignore
const LD: readonly Field[] = [[10, 3, 3], [5, 2, 6]]; // prettier-ignore
const LWSP: readonly Field[] = [[12, 1, 5], [4, 3, 2], [2, 2, 6]]; // prettier-ignore
const LDSP: readonly Field[] = [[12, 1, 5], [5, 2, 3], [2, 3, 6]]; // prettier-ignore
const SWSP: readonly Field[] = [[9, 4, 2], [7, 2, 6]]; // prettier-ignore
const SDSP: readonly Field[] = [[10, 3, 3], [7, 3, 6]]; // prettier-ignore
const IMM6: readonly Field[] = [[12, 1, 5], [2, 5, 0]]; // prettier-ignore
const ADDI4SPN: readonly Field[] = [[11, 2, 4], [7, 4, 6], [6, 1, 2], [5, 1, 3]]; // prettier-ignore
const ADDI16SP: readonly Field[] = [[12, 1, 9], [6, 1, 4], [5, 1, 6], [3, 2, 7], [2, 1, 5]]; // prettier-ignore
const JUMP: readonly Field[] = [[12, 1, 11], [11, 1, 4], [9, 2, 8], [8, 1, 10], [7, 1, 6], [6, 1, 7], [3, 3, 1], [2, 1, 5]]; // prettier-ignore
const BRANCH: readonly Field[] = [[12, 1, 8], [10, 2, 3], [5, 2, 6], [3, 2, 1], [2, 1, 5]]; // prettier-ignore

const op = (rd: number, rs1: number, rs2: number, imm: number): Operands => ({ rd, rs1, rs2, imm, rm: 0 });
const imm6 = (bits: number): number => signed(gather(bits, IMM6), 6);
const shamt = (bits: number): number => gather(bits, IMM6);

const QUADRANT_FUNCT3 = 0xe003;
const c = (
  name: string,
  quadrant: number,
  funct3: number,
  expandsTo: string,
  operands: (bits: number) => Operands,
  valid?: (bits: number) => boolean,
): Compressed => ({
  name,
  match: quadrant | (funct3 << 13),
  mask: QUADRANT_FUNCT3,
  expandsTo,
  operands,
  ...(valid && { valid }),
});
const fixed = (
  name: string,
  match: number,
  mask: number,
  expandsTo: string,
  operands: (bits: number) => Operands,
  valid?: (bits: number) => boolean,
): Compressed => ({ name, match, mask, expandsTo, operands, ...(valid && { valid }) });

const shortLoad = (name: string, funct3: number, expandsTo: string, fields: readonly Field[]): Compressed =>
  c(name, 0, funct3, expandsTo, (b) => op(short2(b), short7(b), 0, gather(b, fields)));
const shortStore = (name: string, funct3: number, expandsTo: string, fields: readonly Field[]): Compressed =>
  c(name, 0, funct3, expandsTo, (b) => op(0, short7(b), short2(b), gather(b, fields)));
const arithmetic = (name: string, match: number, expandsTo: string): Compressed =>
  fixed(name, match, 0xfc63, expandsTo, (b) => op(short7(b), short7(b), short2(b), 0));

export const compressed: readonly Compressed[] = [
  c(
    'c.addi4spn',
    0,
    0,
    'addi',
    (b) => op(short2(b), 2, 0, gather(b, ADDI4SPN)),
    (b) => gather(b, ADDI4SPN) !== 0,
  ),
  shortLoad('c.fld', 1, 'fld', LD),
  shortLoad('c.lw', 2, 'lw', LW),
  shortLoad('c.ld', 3, 'ld', LD),
  shortStore('c.fsd', 5, 'fsd', LD),
  shortStore('c.sw', 6, 'sw', LW),
  shortStore('c.sd', 7, 'sd', LD),

  c('c.addi', 1, 0, 'addi', (b) => op(full7(b), full7(b), 0, imm6(b))),
  c(
    'c.addiw',
    1,
    1,
    'addiw',
    (b) => op(full7(b), full7(b), 0, imm6(b)),
    (b) => full7(b) !== 0,
  ),
  c('c.li', 1, 2, 'addi', (b) => op(full7(b), 0, 0, imm6(b))),
  fixed(
    'c.addi16sp',
    0x6101,
    0xef83,
    'addi',
    (b) => op(2, 2, 0, signed(gather(b, ADDI16SP), 10)),
    (b) => gather(b, ADDI16SP) !== 0,
  ),
  c(
    'c.lui',
    1,
    3,
    'lui',
    (b) => op(full7(b), 0, 0, imm6(b) << 12),
    (b) => full7(b) !== 2 && imm6(b) !== 0,
  ),
  fixed('c.srli', 0x8001, 0xec03, 'srli', (b) => op(short7(b), short7(b), 0, shamt(b))),
  fixed('c.srai', 0x8401, 0xec03, 'srai', (b) => op(short7(b), short7(b), 0, shamt(b))),
  fixed('c.andi', 0x8801, 0xec03, 'andi', (b) => op(short7(b), short7(b), 0, imm6(b))),
  arithmetic('c.sub', 0x8c01, 'sub'),
  arithmetic('c.xor', 0x8c21, 'xor'),
  arithmetic('c.or', 0x8c41, 'or'),
  arithmetic('c.and', 0x8c61, 'and'),
  arithmetic('c.subw', 0x9c01, 'subw'),
  arithmetic('c.addw', 0x9c21, 'addw'),
  c('c.j', 1, 5, 'jal', (b) => op(0, 0, 0, signed(gather(b, JUMP), 12))),
  c('c.beqz', 1, 6, 'beq', (b) => op(0, short7(b), 0, signed(gather(b, BRANCH), 9))),
  c('c.bnez', 1, 7, 'bne', (b) => op(0, short7(b), 0, signed(gather(b, BRANCH), 9))),

  c('c.slli', 2, 0, 'slli', (b) => op(full7(b), full7(b), 0, shamt(b))),
  c('c.fldsp', 2, 1, 'fld', (b) => op(full7(b), 2, 0, gather(b, LDSP))),
  c(
    'c.lwsp',
    2,
    2,
    'lw',
    (b) => op(full7(b), 2, 0, gather(b, LWSP)),
    (b) => full7(b) !== 0,
  ),
  c(
    'c.ldsp',
    2,
    3,
    'ld',
    (b) => op(full7(b), 2, 0, gather(b, LDSP)),
    (b) => full7(b) !== 0,
  ),
  fixed(
    'c.jr',
    0x8002,
    0xf07f,
    'jalr',
    (b) => op(0, full7(b), 0, 0),
    (b) => full7(b) !== 0,
  ),
  fixed(
    'c.mv',
    0x8002,
    0xf003,
    'add',
    (b) => op(full7(b), 0, full2(b), 0),
    (b) => full2(b) !== 0,
  ),
  fixed('c.ebreak', 0x9002, 0xffff, 'ebreak', () => op(0, 0, 0, 0)),
  fixed(
    'c.jalr',
    0x9002,
    0xf07f,
    'jalr',
    (b) => op(1, full7(b), 0, 0),
    (b) => full7(b) !== 0,
  ),
  fixed(
    'c.add',
    0x9002,
    0xf003,
    'add',
    (b) => op(full7(b), full7(b), full2(b), 0),
    (b) => full2(b) !== 0,
  ),
  c('c.fsdsp', 2, 5, 'fsd', (b) => op(0, 2, full2(b), gather(b, SDSP))),
  c('c.swsp', 2, 6, 'sw', (b) => op(0, 2, full2(b), gather(b, SWSP))),
  c('c.sdsp', 2, 7, 'sd', (b) => op(0, 2, full2(b), gather(b, SDSP))),
];
