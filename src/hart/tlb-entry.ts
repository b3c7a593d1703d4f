/** Where the data TLB keeps an address (layout: tlb.ts). */
import { i32, type ExprI32, type ExprI64 } from '../wasm/expr.js';
import { TLB_INDEX_MASK, TLB_INDEX_SHIFT } from './tlb.js';

/** Entry for `va` in the data TLB that begins at the byte offset `tlb`. */
export const tlbEntry = (tlb: ExprI32, va: ExprI64): ExprI32 =>
  i32.add(tlb, i32.and(i32.shrU(i32.wrap(va), i32.const(TLB_INDEX_SHIFT)), i32.const(TLB_INDEX_MASK)));
