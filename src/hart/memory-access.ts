/**
 * Emission of loads and stores: an inline look-up in the data TLB, the access itself,
 * and a cold call for everything else (a refill, device registers, page crossings, faults).
 */
import { I32, I64, call, i32, i64, type ExprI32, type ExprI64 } from '../wasm/expr.js';
import type { Context, Width } from './context.js';
import { reachAccess, slowAccess, type Refusal } from './slow-access.js';
import { tlbEntry } from './tlb-entry.js';
import { ACCESS_READ, ACCESS_WRITE, TLB_ADDEND, TLB_READ_TAG, TLB_WRITE_TAG } from './tlb.js';

/**
 * Page of the access's last byte. An access that crosses into the next page compares
 * unequal to the tag, because neighbouring pages never share an entry.
 */
const lastPage = (address: ExprI64, width: Width): ExprI64 =>
  i64.and(i64.add(address, i64.const((1 << width) - 1)), i64.const(-4096));

/**
 * Makes sure that `span` bytes from `address` lie in one page whose TLB entry allows what is needed,
 * or has `refuses` leave where that cannot be had. Returns the bytes' host offset.
 */
export function emitReach(
  c: Context,
  address: ExprI64,
  span: number,
  first: 'load' | 'store',
  writes: boolean,
  refuses: (refused: (pc: ExprI64, refusal: Refusal) => ExprI32) => void,
): ExprI32 {
  const { f } = c;
  const va = f.held(I64, address);
  const entry = f.local(I32, tlbEntry(c.tlb(), va));
  const lastByte = i64.and(i64.add(va, i64.const(span - 1)), i64.const(-4096));
  f.ifUnlikely(i64.ne(i64.load(entry, writes ? TLB_WRITE_TAG : TLB_READ_TAG), lastByte), () => {
    const access = first === 'load' ? ACCESS_READ : ACCESS_WRITE;
    refuses((pc, refusal) => call(c.core.reach, c.h, pc, va, reachAccess(span, access, writes, refusal)));
  });
  return i32.add(i32.wrap(va), i32.load(entry, TLB_ADDEND));
}

/** Loads 2^width bytes: `read` does from a host offset and a distance from it. */
export function emitLoad(
  c: Context,
  width: Width,
  address: ExprI64,
  read: (host: ExprI32, offset?: number) => ExprI64,
): ExprI64 {
  const reached = c.reached();
  if (reached !== undefined) return read(reached.host, reached.distance);
  const { f } = c;
  const va = f.held(I64, address);
  const entry = f.local(I32, tlbEntry(c.tlb(), va));
  const host = f.local(I32, i32.add(i32.wrap(va), i32.load(entry, TLB_ADDEND)));
  f.ifUnlikely(i64.ne(i64.load(entry, TLB_READ_TAG), lastPage(va, width)), () =>
    c.findPlace(host, (pc, behind) => call(c.core.loadSlow, c.h, pc, va, slowAccess(width, behind))),
  );
  return read(host);
}

/** Stores the low 2^width bytes of `value`. */
export function emitStore(c: Context, width: Width, address: ExprI64, value: ExprI64): void {
  const { f } = c;
  const bits = (8 << width) as 8 | 16 | 32 | 64;
  const reached = c.reached();
  if (reached !== undefined) return f.store64Low(bits, reached.host, value, reached.distance);
  const va = f.held(I64, address);
  const entry = f.local(I32, tlbEntry(c.tlb(), va));
  const host = f.local(I32, i32.add(i32.wrap(va), i32.load(entry, TLB_ADDEND)));
  f.ifUnlikely(i64.ne(i64.load(entry, TLB_WRITE_TAG), lastPage(va, width)), () =>
    c.findPlace(host, (pc, behind) => call(c.core.storeSlow, c.h, pc, va, value, slowAccess(width, behind))),
  );
  f.store64Low(bits, host, value);
}
