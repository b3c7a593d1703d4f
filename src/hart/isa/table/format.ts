/**
 * Instruction formats (unprivileged specification 2.2, 2.3): where the operands of
 * an instruction lie in its 32 bits, both ways. The decoder, the assembler and the
 * disassembler all read this.
 */

/** Operands in the form all engines use. Register numbers 0–31; `imm` is a signed 32-bit value. */
export interface Operands {
  rd: number;
  rs1: number;
  rs2: number;
  /** Immediate; of R4 the third source; of CSR instructions and of illegal ones the raw bits. */
  imm: number;
  /** Rounding mode field, or aq/rl of atomics. */
  rm: number;
}

export type FormatName =
  | 'R'
  | 'I'
  | 'S'
  | 'B'
  | 'U'
  | 'J'
  | 'shift64'
  | 'shift32'
  | 'load'
  | 'unary'
  | 'none'
  | 'csr'
  | 'csrImmediate'
  | 'atomic'
  | 'loadReserved'
  | 'sfence'
  | 'cbo'
  | 'fence'
  | 'floatR'
  | 'floatRounded'
  | 'floatUnary'
  | 'floatUnaryRounded'
  | 'floatR4'
  | 'floatLoad'
  | 'floatStore'
  | 'floatCompare'
  | 'floatToInteger'
  | 'floatToIntegerRounded'
  | 'integerToFloat'
  | 'integerToFloatRounded';

/** Which register file an operand names. */
type RegisterFile = 'x' | 'f';

export interface Format {
  /** Assembler operands in order; `rs1!` is a bare memory base, `offset` is `imm(rs1)`. */
  readonly syntax: readonly (
    'rd' | 'rs1' | 'rs2' | 'rs3' | 'imm' | 'offset' | 'base' | 'csr' | 'uimm' | 'rm' | 'target'
  )[];
  /** Bits that are operand, not opcode. */
  readonly operandMask: number;
  /** Bits 26:25 are aq and rl. */
  readonly ordering?: true;
  readonly files: { readonly rd: RegisterFile; readonly rs1: RegisterFile; readonly rs2: RegisterFile };
  immediate(bits: number): number;
  encodeImmediate(imm: number): number;
  /** Inclusive range and step of a valid immediate. */
  readonly range?: { readonly min: number; readonly max: number; readonly step: number };
}

const RD = 0x1f << 7;
const RS1 = 0x1f << 15;
const RS2 = 0x1f << 20;
const RM = 7 << 12;
const NONE = (): number => 0;
const raw = (bits: number): number => bits | 0;

const iImmediate = (bits: number): number => bits >> 20;
const iEncode = (imm: number): number => (imm & 0xfff) << 20;
const sImmediate = (bits: number): number => ((bits >> 25) << 5) | ((bits >>> 7) & 31);
const sEncode = (imm: number): number => (((imm >> 5) & 0x7f) << 25) | ((imm & 31) << 7);
const bImmediate = (bits: number): number =>
  ((bits >> 31) << 12) | (((bits >>> 7) & 1) << 11) | (((bits >>> 25) & 0x3f) << 5) | (((bits >>> 8) & 15) << 1);
const bEncode = (imm: number): number =>
  (((imm >> 12) & 1) << 31) | (((imm >> 11) & 1) << 7) | (((imm >> 5) & 0x3f) << 25) | (((imm >> 1) & 15) << 8);
const uImmediate = (bits: number): number => bits & ~0xfff;
const jImmediate = (bits: number): number =>
  ((bits >> 31) << 20) | (bits & 0xff000) | (((bits >>> 20) & 1) << 11) | (((bits >>> 21) & 0x3ff) << 1);
const jEncode = (imm: number): number =>
  (((imm >> 20) & 1) << 31) | (imm & 0xff000) | (((imm >> 11) & 1) << 20) | (((imm >> 1) & 0x3ff) << 21);

const x = { rd: 'x', rs1: 'x', rs2: 'x' } as const;
const f = { rd: 'f', rs1: 'f', rs2: 'f' } as const;
const none = { immediate: NONE, encodeImmediate: NONE };
const i = { immediate: iImmediate, encodeImmediate: iEncode, range: { min: -2048, max: 2047, step: 1 } };
const s = { immediate: sImmediate, encodeImmediate: sEncode, range: { min: -2048, max: 2047, step: 1 } };
const csr = { immediate: raw, encodeImmediate: iEncode };

export const formats: Readonly<Record<FormatName, Format>> = {
  R: { syntax: ['rd', 'rs1', 'rs2'], operandMask: RD | RS1 | RS2, files: x, ...none },
  I: { syntax: ['rd', 'rs1', 'imm'], operandMask: RD | RS1 | (-1 << 20), files: x, ...i },
  load: { syntax: ['rd', 'offset'], operandMask: RD | RS1 | (-1 << 20), files: x, ...i },
  S: { syntax: ['rs2', 'offset'], operandMask: RD | RS1 | RS2 | (0x7f << 25), files: x, ...s },
  B: {
    syntax: ['rs1', 'rs2', 'target'],
    operandMask: RD | RS1 | RS2 | (0x7f << 25),
    files: x,
    immediate: bImmediate,
    encodeImmediate: bEncode,
    range: { min: -4096, max: 4094, step: 2 },
  },
  U: {
    syntax: ['rd', 'imm'],
    operandMask: RD | (-1 << 12),
    files: x,
    immediate: uImmediate,
    encodeImmediate: uImmediate,
    range: { min: -0x80000000, max: 0x7ffff000, step: 0x1000 },
  },
  J: {
    syntax: ['rd', 'target'],
    operandMask: RD | (-1 << 12),
    files: x,
    immediate: jImmediate,
    encodeImmediate: jEncode,
    range: { min: -0x100000, max: 0xffffe, step: 2 },
  },
  shift64: {
    syntax: ['rd', 'rs1', 'imm'],
    operandMask: RD | RS1 | (0x3f << 20),
    files: x,
    immediate: (bits) => (bits >>> 20) & 0x3f,
    encodeImmediate: (imm) => (imm & 0x3f) << 20,
    range: { min: 0, max: 63, step: 1 },
  },
  shift32: {
    syntax: ['rd', 'rs1', 'imm'],
    operandMask: RD | RS1 | (0x1f << 20),
    files: x,
    immediate: (bits) => (bits >>> 20) & 0x1f,
    encodeImmediate: (imm) => (imm & 0x1f) << 20,
    range: { min: 0, max: 31, step: 1 },
  },
  unary: { syntax: ['rd', 'rs1'], operandMask: RD | RS1, files: x, ...none },
  none: { syntax: [], operandMask: 0, files: x, ...none },
  csr: { syntax: ['rd', 'csr', 'rs1'], operandMask: RD | RS1 | (-1 << 20), files: x, ...csr },
  csrImmediate: { syntax: ['rd', 'csr', 'uimm'], operandMask: RD | RS1 | (-1 << 20), files: x, ...csr },
  atomic: { syntax: ['rd', 'rs2', 'base'], operandMask: RD | RS1 | RS2 | (3 << 25), ordering: true, files: x, ...none },
  loadReserved: { syntax: ['rd', 'base'], operandMask: RD | RS1 | (3 << 25), ordering: true, files: x, ...none },
  sfence: { syntax: ['rs1', 'rs2'], operandMask: RS1 | RS2, files: x, ...none },
  cbo: { syntax: ['base'], operandMask: RS1, files: x, ...none },
  // The fields of a fence are hints: any value is a fence.
  fence: { syntax: [], operandMask: RD | RS1 | (-1 << 20), files: x, ...none },
  floatR: { syntax: ['rd', 'rs1', 'rs2'], operandMask: RD | RS1 | RS2, files: f, ...none },
  floatRounded: { syntax: ['rd', 'rs1', 'rs2', 'rm'], operandMask: RD | RS1 | RS2 | RM, files: f, ...none },
  floatUnary: { syntax: ['rd', 'rs1'], operandMask: RD | RS1, files: f, ...none },
  floatUnaryRounded: { syntax: ['rd', 'rs1', 'rm'], operandMask: RD | RS1 | RM, files: f, ...none },
  floatR4: {
    syntax: ['rd', 'rs1', 'rs2', 'rs3', 'rm'],
    operandMask: RD | RS1 | RS2 | RM | (0x1f << 27),
    files: f,
    immediate: (bits) => bits >>> 27,
    encodeImmediate: (imm) => (imm & 31) << 27,
    range: { min: 0, max: 31, step: 1 },
  },
  floatLoad: {
    syntax: ['rd', 'offset'],
    operandMask: RD | RS1 | (-1 << 20),
    files: { rd: 'f', rs1: 'x', rs2: 'x' },
    ...i,
  },
  floatStore: {
    syntax: ['rs2', 'offset'],
    operandMask: RD | RS1 | RS2 | (0x7f << 25),
    files: { rd: 'x', rs1: 'x', rs2: 'f' },
    ...s,
  },
  floatCompare: {
    syntax: ['rd', 'rs1', 'rs2'],
    operandMask: RD | RS1 | RS2,
    files: { rd: 'x', rs1: 'f', rs2: 'f' },
    ...none,
  },
  floatToInteger: { syntax: ['rd', 'rs1'], operandMask: RD | RS1, files: { rd: 'x', rs1: 'f', rs2: 'f' }, ...none },
  floatToIntegerRounded: {
    syntax: ['rd', 'rs1', 'rm'],
    operandMask: RD | RS1 | RM,
    files: { rd: 'x', rs1: 'f', rs2: 'f' },
    ...none,
  },
  integerToFloat: { syntax: ['rd', 'rs1'], operandMask: RD | RS1, files: { rd: 'f', rs1: 'x', rs2: 'x' }, ...none },
  integerToFloatRounded: {
    syntax: ['rd', 'rs1', 'rm'],
    operandMask: RD | RS1 | RM,
    files: { rd: 'f', rs1: 'x', rs2: 'x' },
    ...none,
  },
};

/** Fields that lie in the same place in every format that has them. */
export const rdOf = (bits: number): number => (bits >>> 7) & 31;
export const rs1Of = (bits: number): number => (bits >>> 15) & 31;
export const rs2Of = (bits: number): number => (bits >>> 20) & 31;
export const rmOf = (bits: number): number => (bits >>> 12) & 7;

/** The operands of `bits`, an instruction of format `format`. */
export function decodeOperands(format: Format, bits: number): Operands {
  return {
    rd: rdOf(bits),
    rs1: rs1Of(bits),
    rs2: rs2Of(bits),
    imm: format.immediate(bits),
    rm: format.ordering === true ? (bits >>> 25) & 3 : rmOf(bits),
  };
}
