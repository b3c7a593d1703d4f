/**
 * Instruction fetch: from the hart's pc to predecoded slots.
 *
 * Predecoded code is kept per frame, not per address, and is valid while the frame's
 * word in the frame table is unchanged and has FRAME_CODE set. A write to such a frame
 * takes the slow path once (its TLB write tags are withheld), clears FRAME_CODE and
 * changes the count; fetches notice after the fence.i that the architecture demands,
 * which empties the fetch TLB.
 */
import { I32, I64, call, i32, i64, select, type Callable, type ExprI32, type ExprI64 } from '../../wasm/expr.js';
import type { ModuleBuilder } from '../../wasm/module.js';
import { CAUSE_FETCH_ACCESS, CAUSE_FETCH_PAGE } from '../isa/causes.js';
import { GOLDEN } from '../golden.js';
import { OP_PAGE_END } from '../slots.js';
import { EPOCHS, FRAME_CODE, FRAME_WORDS, PC, PREDECODE_HAND, PRIVILEGE, TLB_FILLED } from '../state.js';
import {
  ACCESS_FETCH,
  COUNTERS,
  DIRECTORY_ENTRY_SIZE,
  DIRECTORY_FRAME,
  DIRECTORY_USED,
  DIRECTORY_WORD,
  FETCH_HOST_PAGE,
  FETCH_INDEX_MASK,
  FETCH_INDEX_SHIFT,
  FETCH_SLOTS,
  FETCH_TAG,
  FETCH_TLB,
  FETCH_TLB_SIZE,
  JUMP_CACHE,
  JUMP_EPOCH,
  JUMP_INDEX_MASK,
  JUMP_REGION,
  JUMP_TAG,
  PREDECODED,
  PREDECODED_OF_FRAME,
  PREDECODED_SIZE,
  PREDECODED_STRIDE,
  PREDECODE_DIRECTORY,
  REGIONS,
  REGION_DESCRIPTORS,
  REGION_DESCRIPTOR_SIZE,
  REGION_EXTRA_PAGES,
  REGION_PAGE_SIZE,
  REGION_USED,
  STRADDLE_BITS,
  STRADDLE_ENTRIES,
  STRADDLE_ENTRY_SIZE,
  STRADDLE_SLOTS,
} from '../tlb.js';
import { noteCodePage } from './code-pages.js';
import type { Imports } from './imports.js';
import { REFILL_AGAIN, REFILL_OTHER, REFILL_PAGE_FAULT, type MmuFunctions } from './mmu.js';
import type { TrapFunctions } from './traps.js';

export interface FetchFunctions {
  /** (h): entry of the fetch TLB for the hart's pc, filled; or 0 after taking a trap. */
  readonly fetch: Callable<typeof I32>;
  /** (h, host page of the first half): decodes the instruction at the last halfword of a page into the straddle slots; 1 after taking a trap. */
  readonly fetchStraddle: Callable<typeof I32>;
  readonly fenceI: Callable<undefined>;
  /** (h): the region that starts at the hart's pc, -1 if there is none, -2 after taking a trap. Fills the jump cache. */
  readonly regionAtPc: Callable<typeof I32>;
}

interface Parts {
  readonly imports: Imports;
  readonly mmu: MmuFunctions;
  readonly traps: TrapFunctions;
}

/** `predecodePages`: how many a hart block has room for, a power of two. */
export function buildFetch(module: ModuleBuilder, parts: Parts, predecodePages: number): FetchFunctions {
  const flushFetch = buildFlushFetch(module);
  const predecoded = buildPredecodedPage(module, parts, flushFetch, predecodePages);
  const fetch = buildFetchEntry(module, parts, predecoded);
  return {
    fetch,
    fetchStraddle: buildFetchStraddle(module, parts),
    fenceI: buildFenceI(module, parts, flushFetch),
    regionAtPc: buildRegionAtPc(module, parts, fetch),
  };
}

function buildFlushFetch(module: ModuleBuilder): Callable<undefined> {
  const f = module.function([I32], undefined);
  f.fill(i32.add(f.param(I32, 0), i32.const(FETCH_TLB)), i32.const(0xff), i32.const(2 * FETCH_TLB_SIZE));
  return f;
}

function buildFenceI(module: ModuleBuilder, { mmu }: Parts, flushFetch: Callable<undefined>): Callable<undefined> {
  const f = module.function([I32], undefined, 'fenceI');
  f.call(flushFetch, f.param(I32, 0));
  f.call(mmu.newEpoch, f.param(I32, 0));
  return f;
}

/** (h, host page): its predecoded page, emptied if it was stale. */
function buildPredecodedPage(
  module: ModuleBuilder,
  { imports, mmu }: Parts,
  flushFetch: Callable<undefined>,
  predecodePages: number,
): Callable<typeof I32> {
  const allocate = buildAllocate(module, flushFetch, predecodePages);
  const f = module.function([I32, I32], I32, 'predecodedPage');
  const h = f.param(I32, 0);
  const hostPage = f.param(I32, 1);
  const frame = f.local(I32, i32.shrU(hostPage, i32.const(12)));
  const wordAt = f.local(I32, i32.add(i32.load(h, FRAME_WORDS), i32.shl(frame, i32.const(2))));
  const word = f.local(I32, i32.atomicLoad(wordAt));
  const known = i32.load16U(i32.add(h, i32.shl(frame, i32.const(1))), PREDECODED_OF_FRAME);
  const index = f.local(I32, i32.sub(known, i32.const(1)));
  const isNew = f.local(I32, i32.ltS(index, i32.const(0)));
  f.if(isNew, () => f.set(index, call(allocate, h, frame)));
  const directory = f.local(I32, directoryEntry(h, index));
  f.store32(directory, i32.const(1), PREDECODE_DIRECTORY + DIRECTORY_USED);
  const slots = f.local(I32, i32.add(i32.add(h, i32.const(PREDECODED)), i32.mul(index, i32.const(PREDECODED_STRIDE))));
  const same = i32.and(i32.eqz(isNew), i32.eq(i32.load(directory, PREDECODE_DIRECTORY + DIRECTORY_WORD), word));
  f.if(i32.and(same, i32.and(word, i32.const(FRAME_CODE))), () => f.return(slots));

  // First forbid unnoticed writes, then read: what is decoded cannot be older than the word.
  f.if(i32.eqz(i32.and(word, i32.const(FRAME_CODE))), () => {
    f.set(word, i32.or(i32.atomicOr(wordAt, i32.const(FRAME_CODE)), i32.const(FRAME_CODE)));
    f.call(mmu.forbidWrites, h, hostPage);
    f.call(imports.shootDownWrites, h, frame);
  });
  f.fill(slots, i32.const(0), i32.const(PREDECODED_STRIDE));
  f.store64(slots, i64.const(OP_PAGE_END), PREDECODED_SIZE);
  f.store32(directory, word, PREDECODE_DIRECTORY + DIRECTORY_WORD);
  f.call(imports.predecoded, hostPage);
  f.return(slots);
  return f;
}

const directoryEntry = (h: ExprI32, index: ExprI32): ExprI32 =>
  i32.add(h, i32.mul(index, i32.const(DIRECTORY_ENTRY_SIZE)));

/**
 * (h, frame): index of the predecoded page that is the frame's from now on. One that has not
 * been used for a while makes room: the clock algorithm, F. Corbató, "A Paging Experiment
 * with the Multics System" (1968).
 */
function buildAllocate(
  module: ModuleBuilder,
  flushFetch: Callable<undefined>,
  predecodePages: number,
): Callable<typeof I32> {
  const f = module.function([I32, I32], I32);
  const h = f.param(I32, 0);
  const frame = f.param(I32, 1);
  const index = f.local(I32);
  const directory = f.local(I32);
  f.loop((again) => {
    f.set(index, i32.load(h, PREDECODE_HAND));
    f.store32(h, i32.and(i32.add(index, i32.const(1)), i32.const(predecodePages - 1)), PREDECODE_HAND);
    f.set(directory, directoryEntry(h, index));
    f.if(i32.load(directory, PREDECODE_DIRECTORY + DIRECTORY_USED), () => {
      f.store32(directory, i32.const(0), PREDECODE_DIRECTORY + DIRECTORY_USED);
      f.br(again);
    });
  });
  const evicted = f.local(I32, i32.load(directory, PREDECODE_DIRECTORY + DIRECTORY_FRAME));
  const entryOf = (of: ExprI32): ExprI32 => i32.add(h, i32.shl(of, i32.const(1)));
  f.if(evicted, () => {
    f.store16(entryOf(evicted), i32.const(0), PREDECODED_OF_FRAME);
    // No fetch entry may lead to its code any more.
    f.call(flushFetch, h);
  });
  f.store32(directory, frame, PREDECODE_DIRECTORY + DIRECTORY_FRAME);
  f.store16(entryOf(frame), i32.add(index, i32.const(1)), PREDECODED_OF_FRAME);
  f.return(index);
  return f;
}

/** Entry for `pc` in the fetch TLB of the present privilege. */
export function fetchEntry(h: ExprI32, pc: ExprI64): ExprI32 {
  const table = select(i32.load(h, PRIVILEGE), i32.const(FETCH_TLB + FETCH_TLB_SIZE), i32.const(FETCH_TLB));
  const index = i32.and(i32.shrU(i32.wrap(pc), i32.const(FETCH_INDEX_SHIFT)), i32.const(FETCH_INDEX_MASK));
  return i32.add(i32.add(h, table), index);
}

function buildFetchEntry(
  module: ModuleBuilder,
  { mmu, traps }: Parts,
  predecoded: Callable<typeof I32>,
): Callable<typeof I32> {
  const f = module.function([I32], I32, 'fetch');
  const h = f.param(I32, 0);
  const pc = f.local(I64, i64.load(h, PC));
  const page = f.local(I64, i64.and(pc, i64.const(-4096)));
  const entry = f.local(I32, fetchEntry(h, pc));
  f.if(i64.eq(i64.load(entry, FETCH_TAG), page), () => f.return(entry));

  const hostPage = f.local(I32);
  const slots = f.local(I32);
  f.loop((again) => {
    f.set(hostPage, call(mmu.refill, h, pc, i32.const(ACCESS_FETCH)));
    trapOnFault(hostPage);
    f.store32(h, i32.const(1), TLB_FILLED);
    f.set(slots, call(predecoded, h, hostPage));
    // Other harts may have been asked to forget something; who waits for them does what they ask meanwhile. What has
    // been looked up before a flush must not outlive it.
    f.brIf(again, i32.eqz(i32.load(h, TLB_FILLED)));
  });
  f.store64(entry, page, FETCH_TAG);
  f.store32(entry, slots, FETCH_SLOTS);
  f.store32(entry, hostPage, FETCH_HOST_PAGE);
  f.return(entry);
  return f;

  /** Negative small answers are REFILL_*; fetching from device registers is an access fault. */
  function trapOnFault(host: ExprI32): void {
    f.if(i32.and(host, i32.const(REFILL_OTHER)), () => {
      f.if(i32.eq(host, i32.const(REFILL_AGAIN)), () => {
        f.call(traps.again, h, pc);
        f.return(i32.const(0));
      });
      const cause = select(
        i32.eq(host, i32.const(REFILL_PAGE_FAULT)),
        i64.const(CAUSE_FETCH_PAGE),
        i64.const(CAUSE_FETCH_ACCESS),
      );
      f.call(traps.trap, h, pc, cause, pc);
      f.return(i32.const(0));
    });
  }
}

function buildFetchStraddle(module: ModuleBuilder, { imports, mmu, traps }: Parts): Callable<typeof I32> {
  const f = module.function([I32, I32], I32, 'fetchStraddle');
  const h = f.param(I32, 0);
  const pc = f.local(I64, i64.load(h, PC));
  const next = f.local(I64, i64.add(pc, i64.const(2)));
  const host = f.local(I32, call(mmu.refill, h, next, i32.const(ACCESS_FETCH)));
  f.if(i32.and(host, i32.const(REFILL_OTHER)), () => {
    f.if(i32.eq(host, i32.const(REFILL_AGAIN)), () => {
      f.call(traps.again, h, pc);
      f.return(i32.const(0));
    });
    const cause = select(
      i32.eq(host, i32.const(REFILL_PAGE_FAULT)),
      i64.const(CAUSE_FETCH_PAGE),
      i64.const(CAUSE_FETCH_ACCESS),
    );
    // stval is the address of the part that is missing, sepc that of the instruction (12.1.9).
    f.call(traps.trap, h, pc, cause, next);
    f.return(i32.const(0));
  });
  const low = f.local(I32, i32.or(f.param(I32, 1), i32.const(0xffe)));
  const bits = f.local(I32, i32.or(i32.load16U(low), i32.shl(i32.load16U(host), i32.const(16))));
  const index = i32.shrU(i32.mul(bits, i32.const(GOLDEN)), i32.const(32 - Math.log2(STRADDLE_ENTRIES)));
  const entry = f.local(I32, i32.add(h, i32.shl(index, i32.const(Math.log2(STRADDLE_ENTRY_SIZE)))));
  const slots = f.local(I32, i32.add(entry, i32.const(STRADDLE_SLOTS)));
  f.if(i32.ne(i32.load(slots, STRADDLE_BITS), bits), () => {
    f.call(imports.decodeStraddle, slots, low, host);
    f.store64(slots, i64.const(OP_PAGE_END), 16);
    f.store32(slots, bits, STRADDLE_BITS);
  });
  f.return(slots);
  return f;
}

/**
 * Looks for a region at the hart's pc and remembers the answer in the jump cache, for this
 * epoch. A region that reaches into other pages counts only if those are still mapped where
 * they were and unchanged. The jump cache is filled here and nowhere else, so this is where
 * the pages that an answer was taken from are noted.
 */
function buildRegionAtPc(module: ModuleBuilder, { mmu }: Parts, fetch: Callable<typeof I32>): Callable<typeof I32> {
  const f = module.function([I32], I32, 'regionAtPc');
  const h = f.param(I32, 0);
  const entry = f.local(I32, call(fetch, h));
  f.if(i32.eqz(entry), () => f.return(i32.const(-2)));
  const pc = f.local(I64, i64.load(h, PC));
  const low = i32.wrap(pc);
  noteCodePage(f, h, pc);
  const slots = f.local(I32, i32.load(entry, FETCH_SLOTS));
  const inPage = f.local(I32, i32.and(low, i32.const(0xffe)));
  const at = f.local(I32, i32.add(slots, inPage));
  const region = f.local(I32, i32.sub(i32.load16U(at, REGIONS), i32.const(1)));
  f.if(i32.geS(region, i32.const(0)), () => {
    const descriptor = f.local(I32, i32.add(h, i32.mul(region, i32.const(REGION_DESCRIPTOR_SIZE))));
    const page = f.local(I64, i64.and(pc, i64.const(-4096)));
    const expected = f.local(I32);
    f.store32(descriptor, i32.const(1), REGION_DESCRIPTORS + REGION_USED);
    for (let k = 0; k < REGION_EXTRA_PAGES; k++) {
      const field = REGION_DESCRIPTORS + k * REGION_PAGE_SIZE;
      f.set(expected, i32.load(descriptor, field + 4));
      f.if(expected, () => {
        const va = f.local(I64, i64.add(page, i64.load32S(descriptor, field)));
        noteCodePage(f, h, va);
        const host = call(mmu.refill, h, va, i32.const(ACCESS_FETCH));
        const word = i32.atomicLoad(
          i32.add(i32.load(h, FRAME_WORDS), i32.shl(i32.shrU(expected, i32.const(12)), i32.const(2))),
        );
        f.if(i32.or(i32.ne(host, expected), i32.ne(word, i32.load(descriptor, field + 8))), () => {
          // Forgotten: it may become hot again and be translated for what is there now.
          f.store16(at, i32.const(0), REGIONS);
          f.store16(at, i32.const(0), COUNTERS);
          f.set(region, i32.const(-1));
        });
      });
    }
  });
  const jump = f.local(I32, i32.add(h, i32.and(i32.shl(low, i32.const(3)), i32.const(JUMP_INDEX_MASK))));
  f.store64(jump, i64.or(pc, i64.load32U(h, PRIVILEGE)), JUMP_CACHE + JUMP_TAG);
  f.store32(jump, i32.load(i32.add(h, i32.shl(i32.load(h, PRIVILEGE), i32.const(2))), EPOCHS), JUMP_CACHE + JUMP_EPOCH);
  f.store32(jump, region, JUMP_CACHE + JUMP_REGION);
  f.return(region);
  return f;
}
