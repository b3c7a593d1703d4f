/**
 * Predecoded instructions, "slots": one per halfword of a code page.
 *
 *   word 0   bits  0–8   operation: OP_* below, else OP_FIRST + index in the instruction table
 *            bits  9–14  rd; 32 where the instruction names x0 (writes go to the sink)
 *            bits 15–19  rs1
 *            bits 20–24  rs2
 *            bits 25–27  rm
 *            bits 28–29  halfwords of the instruction (1 or 2)
 *   word 1   immediate; third source of R4; raw bits of CSR and illegal instructions
 *
 * The engine reads register numbers as byte offsets (number × 8) with one shift and one mask.
 */
import type { Operands } from './table/format.js';

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

export const OP_MASK = 0x1ff;
/** Shifts that bring a register field to bit 3, and the masks that keep number × 8. */
export const RD_SHIFT = 9 - 3;
export const RD_MASK = 0x1f8;
export const RS1_SHIFT = 15 - 3;
export const RS2_SHIFT = 20 - 3;
export const RS_MASK = 0xf8;
export const RM_SHIFT = 25;
/** Brings the length to bytes of slots (8 or 16). */
export const LENGTH_SHIFT = 28 - 3;
export const LENGTH_MASK = 0x18;

export function packSlot(operation: number, o: Operands, integerRd: boolean, halfwords: 1 | 2): number {
  const rd = integerRd && o.rd === 0 ? 32 : o.rd;
  return operation | (rd << 9) | (o.rs1 << 15) | (o.rs2 << 20) | (o.rm << 25) | (halfwords << 28);
}
