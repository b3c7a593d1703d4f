/**
 * What sfence.vma with an address looks for: the pages that entries of the jump cache were made from since the last
 * epoch began. An entry says where the code at a pc is translated, and holds while each page that the answer was taken
 * from is mapped where it was: the pc's own and all others that the region has code of. Who fills an entry notes them all,
 * whether they had to be looked up or not (layout: tlb.ts). Fetch TLB and data TLBs need no such notes: their entries
 * stand for one page each.
 */
import { I32, i32, i64, type ExprI32, type ExprI64 } from '../../wasm/expr.js';
import type { FunctionBuilder } from '../../wasm/function.js';
import { CODE_PAGES, CODE_PAGES_SIZE } from '../tlb.js';

const byteOf = (h: ExprI32, va: ExprI64): ExprI32 =>
  i32.add(h, i32.and(i32.wrap(i64.shrU(va, i64.const(12))), i32.const(CODE_PAGES_SIZE - 1)));

/** Bits 25:24 of the address and its sign: what the user maps is seldom taken for code of the kernel. */
const bitOf = (va: ExprI64): ExprI32 =>
  i32.shl(
    i32.const(1),
    i32.or(
      i32.and(i32.wrap(i64.shrU(va, i64.const(24))), i32.const(3)),
      i32.and(i32.wrap(i64.shrU(va, i64.const(61))), i32.const(4)),
    ),
  );

/** Notes the page of `va`. */
export function noteCodePage(f: FunctionBuilder, h: ExprI32, va: ExprI64): void {
  const at = f.local(I32, byteOf(h, va));
  f.store8(at, i32.or(i32.load8U(at, CODE_PAGES), bitOf(va)), CODE_PAGES);
}

/** Non-zero if the page of `va` has been noted, or one that shares its place. */
export const isCodePage = (h: ExprI32, va: ExprI64): ExprI32 =>
  i32.and(i32.load8U(byteOf(h, va), CODE_PAGES), bitOf(va));

export function forgetCodePages(f: FunctionBuilder, h: ExprI32): void {
  f.fill(i32.add(h, i32.const(CODE_PAGES)), i32.const(0), i32.const(CODE_PAGES_SIZE));
}
