/**
 * Predecoded instructions, "slots": one per halfword of a code page.
 *
 *   byte 0   operation: OP_* below, or one of operations.ts
 *   byte 1   rd; 32 where the instruction names x0 (writes go to the sink)
 *   byte 2   rs1
 *   byte 3   bits 0–4 rs2
 *            bits 5–7 rm, of instructions that round
 *   word 1   immediate; third source of R4; raw bits of CSR and illegal instructions
 *
 * A byte for each, so that the interpreter takes an operand out with one load.
 */
/** Not yet decoded: all zero. */
export const OP_UNDECODED = 0;
/** After the last slot of a page. */
export const OP_PAGE_END = 1;
/** The instruction's second half lies in the next page. */
export const OP_STRADDLE = 2;
export const OP_ILLEGAL = 3;
export const OP_FIRST = 4;

export const SLOT_SIZE = 8;
export const SLOTS_PER_PAGE = 2048;

/** Operations there can be. */
export const OPERATIONS = 256;

export const SLOT_OP = 0;
export const SLOT_RD = 1;
export const SLOT_RS1 = 2;
export const SLOT_RS2 = 3;
export const SLOT_IMM = 4;
/** Of SLOT_RS2, where there may be an rm. */
export const RS2_MASK = 0x1f;
export const RM_SHIFT = 5;

/** The first word of a slot; `rm` where the format has none is 0. */
export function packSlot(
  operation: number,
  rd: number,
  rs1: number,
  rs2: number,
  integerRd: boolean,
  rm: number,
): number {
  const target = integerRd && rd === 0 ? 32 : rd;
  return operation | (target << 8) | (rs1 << 16) | ((rs2 | (rm << RM_SHIFT)) << 24);
}
