/**
 * What the core is told of accesses that the TLB does not know, packed into one constant: translated code
 * has a great many such calls, and each argument is one more value for the host's compiler to look after.
 *
 *   slow access    bits 0–1 log2 of the bytes; bits 2–31 instructions behind it in its block
 *   reach          bits 0–9 bytes; bit 10 the first access is a store; bit 11 some access is;
 *                  bit 12 the region is not to be made anew when it is refused; bits 13–31 instructions
 */
import { i32, type ExprI32 } from '../wasm/expr.js';
import type { Width } from './context.js';
import { ACCESS_WRITE } from './tlb.js';

export const slowAccess = (width: Width, behind: number): ExprI32 => i32.const(width | (behind << 2));
export const widthOf = (slow: ExprI32): ExprI32 => i32.and(slow, i32.const(3));
export const behindOf = (slow: ExprI32): ExprI32 => i32.shrU(slow, i32.const(2));
/** The same for one of its bytes. */
export const byteOf = (slow: ExprI32): ExprI32 => i32.and(slow, i32.const(~3));

/** Most bytes that a reach can tell. */
export const MAX_REACH = 1023;

/** What is to be done if a reach cannot be had. */
export interface Refusal {
  /** Instructions from its first access to the end of its block. */
  readonly behind: number;
  /** The region is good as it is, however often this happens. */
  readonly isFinal: boolean;
}

export const reachAccess = (span: number, first: number, writes: boolean, { behind, isFinal }: Refusal): ExprI32 =>
  i32.const(
    span | (first === ACCESS_WRITE ? 1 << 10 : 0) | (writes ? 1 << 11 : 0) | (isFinal ? 1 << 12 : 0) | (behind << 13),
  );
const bit = (reach: ExprI32, at: number): ExprI32 => i32.and(i32.shrU(reach, i32.const(at)), i32.const(1));
export const spanOf = (reach: ExprI32): ExprI32 => i32.and(reach, i32.const(MAX_REACH));
/** ACCESS_READ or ACCESS_WRITE. */
export const firstOf = (reach: ExprI32): ExprI32 => bit(reach, 10);
export const writesOf = (reach: ExprI32): ExprI32 => bit(reach, 11);
export const isFinalOf = (reach: ExprI32): ExprI32 => bit(reach, 12);
export const behindReach = (reach: ExprI32): ExprI32 => i32.shrU(reach, i32.const(13));
