/**
 * The few instructions the hands are made of, encoded by name. Fields as in the unprivileged
 * specification, chapter 2.2 (base formats) and the RV64I listings.
 */
const X = {
  zero: 0,
  ra: 1,
  sp: 2,
  t0: 5,
  t1: 6,
  s0: 8,
  s1: 9,
  a0: 10,
  a1: 11,
  a2: 12,
  a3: 13,
  a4: 14,
  a5: 15,
  a7: 17,
} as const;
export type Reg = keyof typeof X;

const i = (opcode: number, funct3: number, rd: Reg, rs1: Reg, imm: number): number =>
  (((imm & 0xfff) << 20) | (X[rs1] << 15) | (funct3 << 12) | (X[rd] << 7) | opcode) >>> 0;

export const ECALL = 0x00000073;
export const EBREAK = 0x00100073;
/** custom-0, all fields zero: the ring. */
export const RING = 0x0000000b;

export const addi = (rd: Reg, rs1: Reg, imm: number): number => i(0x13, 0, rd, rs1, imm);
export const li = (rd: Reg, imm: number): number => addi(rd, 'zero', imm);
export const ld = (rd: Reg, imm: number, rs1: Reg): number => i(0x03, 3, rd, rs1, imm);
export const sd = (rs2: Reg, imm: number, rs1: Reg): number =>
  (((imm & 0xfe0) << 20) | (X[rs2] << 20) | (X[rs1] << 15) | (3 << 12) | ((imm & 0x1f) << 7) | 0x23) >>> 0;
export const add = (rd: Reg, rs1: Reg, rs2: Reg): number =>
  ((X[rs2] << 20) | (X[rs1] << 15) | (X[rd] << 7) | 0x33) >>> 0;
export const auipc = (rd: Reg, imm20: number): number => (((imm20 & 0xfffff) << 12) | (X[rd] << 7) | 0x17) >>> 0;
export const jalr = (rd: Reg, rs1: Reg, imm: number): number => i(0x67, 0, rd, rs1, imm);

/** A branch or jump by `offset` bytes. */
const branch = (funct3: number, rs1: Reg, rs2: Reg, offset: number): number =>
  ((((offset >> 12) & 1) << 31) |
    (((offset >> 5) & 0x3f) << 25) |
    (X[rs2] << 20) |
    (X[rs1] << 15) |
    (funct3 << 12) |
    (((offset >> 1) & 0xf) << 8) |
    (((offset >> 11) & 1) << 7) |
    0x63) >>>
  0;
export const beqz = (rs1: Reg, offset: number): number => branch(0, rs1, 'zero', offset);
export const bltz = (rs1: Reg, offset: number): number => branch(4, rs1, 'zero', offset);
export const bgez = (rs1: Reg, offset: number): number => branch(5, rs1, 'zero', offset);
export const j = (offset: number): number =>
  ((((offset >> 20) & 1) << 31) |
    (((offset >> 1) & 0x3ff) << 21) |
    (((offset >> 11) & 1) << 20) |
    (((offset >> 12) & 0xff) << 12) |
    0x6f) >>>
  0;

/** Instruction words as bytes. */
export function words(...code: number[]): Uint8Array {
  const bytes = new Uint8Array(4 * code.length);
  const view = new DataView(bytes.buffer);
  code.forEach((w, k) => view.setUint32(4 * k, w, true));
  return bytes;
}
