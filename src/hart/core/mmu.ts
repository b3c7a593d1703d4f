/**
 * Address translation: Sv39 page-table walks (privileged specification 12.3, 12.4),
 * the logical address space below them, and the refill of the TLBs.
 *
 * The walker sets A and D bits itself. The VMM's page map comes after the guest's
 * page tables: guest-physical page to frame.
 */
import {
  I32,
  I64,
  call,
  choose,
  i32,
  i64,
  type Callable,
  type ExprI32,
  type ExprI64,
  type Local,
} from '../../wasm/expr.js';
import type { FunctionBuilder } from '../../wasm/function.js';
import type { ModuleBuilder } from '../../wasm/module.js';
import type { Imports } from './imports.js';
import {
  EXIT_B,
  FRAME_CODE,
  FRAME_WORDS,
  PAGE_ABSENT,
  PAGE_MAP,
  PAGE_PRESENT,
  PAGE_WRITABLE,
  PRIVILEGE,
  RAM_BASE,
  RAM_PAGES,
  SATP,
  SSTATUS,
  TLB_BASE,
  TLB_FILLED,
  TLB_GENERATIONS,
  TLB_LOCAL,
  TLB_SUPERPAGES,
} from '../state.js';
import {
  ACCESS_CLEAR,
  ACCESS_FETCH,
  ACCESS_WRITE,
  MODES,
  SECOND_HOST_PAGE,
  SECOND_READ,
  SECOND_TAG,
  SECOND_TLB,
  SECOND_WRITE,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_ENTRY_SIZE,
  TLB_HOST_PAGE,
  TLB_READ_TAG,
  TLB_SIZE,
  TLB_START,
  TLB_WRITE_TAG,
} from '../tlb.js';
import { tlbEntry } from '../tlb-entry.js';
import { buildSpaces, secondEntry, type SpaceFunctions } from './spaces.js';
import { SSTATUS_MXR, SSTATUS_SUM } from './sstatus.js';

/** Answers of `refill` that are not a host page. Host pages are page-aligned, so these cannot be one. */
export const REFILL_PAGE_FAULT = -1;
export const REFILL_ACCESS_FAULT = -2;
/** Not memory: the guest-physical address is in EXIT_B. */
export const REFILL_MMIO = -3;
/** Memory without a frame, and there is none now: the instruction is to be begun again (`TrapFunctions.again`). */
export const REFILL_AGAIN = -4;
/** To a block that is to be cleared: it lies in memory without a frame, which is clear. */
export const REFILL_CLEAR = -5;
/** Bits that only such answers have. */
export const REFILL_OTHER = 0xfff;

/** Answers of `hostOf` that are not a host offset; these have bit 0 set, and no place of a doubleword has. */
const NO_MEMORY = -1;
const ABSENT = -3;

/** Bits of a page-table entry (12.4.1). */
const V = 1;
const R = 2;
const W = 4;
const X = 8;
const U = 16;
const G = 32;
const A = 64;
const D = 128;

export interface MmuFunctions extends SpaceFunctions {
  /** (h, va, ACCESS_*): host page of va after filling the data TLB (not for fetches), or REFILL_*. */
  readonly refill: Callable<typeof I32>;
  /** (h, host page): makes writes to that page take the slow path. */
  readonly forbidWrites: Callable<undefined>;
}

export function buildMmu(module: ModuleBuilder, imports: Imports): MmuFunctions {
  return {
    ...buildSpaces(module),
    refill: buildRefill(module, imports, buildHostOf(module)),
    forbidWrites: buildForbidWrites(module),
  };
}

/** (h, guest-physical address): host offset, NO_MEMORY, or ABSENT. */
function buildHostOf(module: ModuleBuilder): Callable<typeof I32> {
  const f = module.function([I32, I64], I32, 'hostOf');
  const h = f.param(I32, 0);
  const address = f.param(I64, 1);
  const offset = f.local(I64, i64.sub(address, i64.load(h, RAM_BASE)));
  const page = f.local(I64, i64.shrU(offset, i64.const(12)));
  f.if(i64.ltU(page, i64.load32U(h, RAM_PAGES)), () => {
    const entry = f.local(I32, i32.load(i32.add(i32.load(h, PAGE_MAP), i32.shl(i32.wrap(page), i32.const(2)))));
    f.if(i32.and(entry, i32.const(PAGE_PRESENT)), () =>
      f.return(i32.or(hostPageOf(entry), i32.and(i32.wrap(address), i32.const(0xfff)))),
    );
    f.if(i32.and(entry, i32.const(PAGE_ABSENT)), () => f.return(i32.const(ABSENT)));
  });
  f.return(i32.const(NO_MEMORY));
  return f;
}

/** Page map entries keep the frame number in bits 31:8. */
const hostPageOf = (entry: ExprI32): ExprI32 => i32.shl(i32.shrU(entry, i32.const(8)), i32.const(12));

function buildRefill(module: ModuleBuilder, imports: Imports, hostOf: Callable<typeof I32>): Callable<typeof I32> {
  const insert = buildInsert(module);
  const f = module.function([I32, I64, I32], I32, 'refill');
  const h = f.param(I32, 0);
  const va = f.param(I64, 1);
  const asked = f.param(I32, 2);
  const clears = i32.eq(asked, i32.const(ACCESS_CLEAR));
  /** What is to be allowed is the same for clearing as for any write. */
  const access = f.local(I32, choose(clears, i32.const(ACCESS_WRITE), asked));
  const isFetch = i32.eq(access, i32.const(ACCESS_FETCH));
  /** Guest-physical address of the byte at va. */
  const physical = f.local(I64, va);
  /** What the leaf allows: PTE bits; without translation everything but keeping D clean. */
  const leaf = f.local(I64, i64.const(R | W | X | D));
  const second = f.local(I32);
  const tag = f.local(I64);

  f.if(i32.wrap(i64.shrU(i64.load(h, SATP), i64.const(60))), () => {
    f.set(second, secondEntry(h, va));
    f.set(tag, secondTag(h, va));
    f.if(i32.and(i64.eq(i64.load(second, SECOND_TLB + SECOND_TAG), tag), i32.eqz(isFetch)), () => {
      const known = f.local(I32, i32.load(second, SECOND_TLB + SECOND_HOST_PAGE));
      f.if(i32.and(known, i32.shl(i32.const(1), access)), () => f.return(call(insert, h, va, access, known)));
    });
    walk(f, h, va, access, physical, leaf, hostOf);
  });

  const page = f.local(I64, i64.shrU(i64.sub(physical, i64.load(h, RAM_BASE)), i64.const(12)));
  const notMemory = (): void => {
    f.store64(h, physical, EXIT_B);
    f.return(i32.const(REFILL_MMIO));
  };
  f.if(i64.geU(page, i64.load32U(h, RAM_PAGES)), notMemory);
  const entry = f.local(I32, i32.load(i32.add(i32.load(h, PAGE_MAP), i32.shl(i32.wrap(page), i32.const(2)))));
  f.if(i32.eqz(i32.and(entry, i32.const(PAGE_PRESENT))), () => {
    f.if(i32.eqz(i32.and(entry, i32.const(PAGE_ABSENT))), notMemory);
    f.if(clears, () => f.return(i32.const(REFILL_CLEAR)));
    f.set(entry, call(imports.fillPage, h, i32.wrap(page)));
    f.if(i32.eqz(i32.and(entry, i32.const(PAGE_PRESENT))), () =>
      f.return(choose(entry, i32.const(REFILL_ACCESS_FAULT), i32.const(REFILL_AGAIN))),
    );
  });
  const hostPage = f.local(I32, hostPageOf(entry));
  f.if(isFetch, () => f.return(hostPage));
  const isWrite = i32.eq(access, i32.const(ACCESS_WRITE));
  f.if(i32.and(isWrite, i32.eqz(i32.and(entry, i32.const(PAGE_WRITABLE)))), notMemory);

  const bits = f.local(I32, i32.wrap(leaf));
  // MXR makes executable pages readable; the walk has already refused what may not be read.
  const readable = i32.and(
    bits,
    choose(i32.and(i32.load(h, SSTATUS), i32.const(SSTATUS_MXR)), i32.const(R | X), i32.const(R)),
  );
  const writable = i32.and(
    i32.eq(i32.and(bits, i32.const(W | D)), i32.const(W | D)),
    i32.ne(i32.and(entry, i32.const(PAGE_WRITABLE)), i32.const(0)),
  );
  f.if(readable, () => f.set(hostPage, i32.or(hostPage, i32.const(SECOND_READ))));
  f.if(writable, () => f.set(hostPage, i32.or(hostPage, i32.const(SECOND_WRITE))));
  f.if(second, () => {
    f.store64(second, tag, SECOND_TLB + SECOND_TAG);
    f.store32(second, hostPage, SECOND_TLB + SECOND_HOST_PAGE);
  });
  f.return(call(insert, h, va, access, hostPage));
  return f;
}

/** What an entry of the second data TLB for `va` must have as its tag in the present mode. */
const secondTag = (h: ExprI32, va: ExprI64): ExprI64 => {
  const mode = i32.shrU(i32.sub(i32.load(h, TLB_BASE), i32.const(TLB_START)), i32.const(Math.log2(TLB_SIZE)));
  const low = i32.or(i32.load(i32.add(h, i32.shl(mode, i32.const(2))), TLB_GENERATIONS), mode);
  return i64.or(i64.and(va, i64.const(-4096)), i64.extendU(low));
};

/** (h, va, ACCESS_*, host page | SECOND_*): fills the data TLB of the present mode; the host page of va. */
function buildInsert(module: ModuleBuilder): Callable<typeof I32> {
  const f = module.function([I32, I64, I32, I32], I32);
  const h = f.param(I32, 0);
  const va = f.param(I64, 1);
  const allowed = f.param(I32, 3);
  const hostPage = f.local(I32, i32.and(allowed, i32.const(-4096)));

  // A write makes code of that frame stale; see `fetch.ts` for the other half.
  const word = f.local(
    I32,
    i32.add(i32.load(h, FRAME_WORDS), i32.shl(i32.shrU(hostPage, i32.const(12)), i32.const(2))),
  );
  const hasCode = f.local(I32, i32.and(i32.atomicLoad(word), i32.const(FRAME_CODE)));
  f.if(i32.and(hasCode, i32.eq(f.param(I32, 2), i32.const(ACCESS_WRITE))), () => {
    f.drop(i32.atomicAnd(word, i32.const(~FRAME_CODE)));
    f.drop(i32.atomicAdd(word, i32.const(2)));
    f.set(hasCode, i32.const(0));
  });

  const vpage = f.local(I64, i64.and(va, i64.const(-4096)));
  const at = f.local(I32, tlbEntry(i32.add(h, i32.load(h, TLB_BASE)), va));
  const readable = i32.and(allowed, i32.const(SECOND_READ));
  const writable = i32.and(i32.shrU(i32.and(allowed, i32.const(SECOND_WRITE)), i32.const(1)), i32.eqz(hasCode));
  f.store64(at, choose(readable, vpage, i64.const(-1)), TLB_READ_TAG);
  f.store64(at, choose(writable, vpage, i64.const(-1)), TLB_WRITE_TAG);
  f.store32(at, i32.sub(hostPage, i32.wrap(vpage)), TLB_ADDEND);
  f.store32(at, hostPage, TLB_HOST_PAGE);
  f.store32(h, i32.const(1), TLB_FILLED);
  f.return(hostPage);
  return f;
}

function walk(
  f: FunctionBuilder,
  h: ExprI32,
  va: ExprI64,
  access: ExprI32,
  physical: Local<typeof I64>,
  leaf: Local<typeof I64>,
  hostOf: Callable<typeof I32>,
): void {
  const pageFault = (): void => f.return(i32.const(REFILL_PAGE_FAULT));
  const isWrite = i32.eq(access, i32.const(ACCESS_WRITE));
  const isFetch = i32.eq(access, i32.const(ACCESS_FETCH));

  // Bits 63:39 must all equal bit 38.
  f.if(i64.ne(i64.shrS(i64.shl(va, i64.const(25)), i64.const(25)), va), pageFault);

  const table = f.local(I64);
  const shift = f.local(I64);
  const host = f.local(I32);
  const pte = f.local(I64);
  const bits = f.local(I32);
  const updated = f.local(I64);
  f.loop((restart) => {
    f.set(table, i64.shl(i64.and(i64.load(h, SATP), i64.pair(0xfff, -1)), i64.const(12)));
    f.set(shift, i64.const(30));
    f.block((found) => {
      f.loop((down) => {
        const index = i64.and(i64.shrU(va, shift), i64.const(511));
        f.set(host, call(hostOf, h, i64.add(table, i64.shl(index, i64.const(3)))));
        f.if(i32.and(host, i32.const(1)), () => {
          // A page that nobody has touched holds no valid entry, and needs no frame to be looked at.
          f.if(i32.eq(host, i32.const(ABSENT)), pageFault);
          f.return(i32.const(REFILL_ACCESS_FAULT));
        });
        f.set(pte, i64.load(host));
        f.set(bits, i32.wrap(pte));
        // Invalid, writable but not readable, or with reserved bits (Svnapot and Svpbmt are not there).
        f.if(i32.eqz(i32.and(bits, i32.const(V))), pageFault);
        f.if(i32.eq(i32.and(bits, i32.const(R | W)), i32.const(W)), pageFault);
        f.if(i32.wrap(i64.shrU(pte, i64.const(54))), pageFault);
        f.brIf(found, i32.and(bits, i32.const(R | X)));
        // A pointer to the next level must have A, D and U clear.
        f.if(i32.and(bits, i32.const(A | D | U)), pageFault);
        f.set(shift, i64.sub(shift, i64.const(9)));
        f.if(i64.ltS(shift, i64.const(12)), pageFault);
        f.set(table, i64.shl(i64.shrU(pte, i64.const(10)), i64.const(12)));
        f.br(down);
      });
    });

    f.if(
      i32.load(h, PRIVILEGE),
      () =>
        f.if(i32.and(bits, i32.const(U)), () => {
          f.if(isFetch, pageFault);
          f.if(i32.eqz(i32.and(i32.load(h, SSTATUS), i32.const(SSTATUS_SUM))), pageFault);
        }),
      () => f.if(i32.eqz(i32.and(bits, i32.const(U))), pageFault),
    );
    const mxr = i32.and(i32.load(h, SSTATUS), i32.const(SSTATUS_MXR));
    const needed = choose(
      isFetch,
      i32.const(X),
      choose(isWrite, i32.const(W), choose(mxr, i32.const(R | X), i32.const(R))),
    );
    f.if(i32.eqz(i32.and(bits, needed)), pageFault);
    // A superpage must be aligned to its size.
    const offsetMask = f.local(I64, i64.sub(i64.shl(i64.const(1), shift), i64.const(1)));
    f.set(physical, i64.shl(i64.shrU(pte, i64.const(10)), i64.const(12)));
    f.if(i64.ne(i64.and(physical, offsetMask), i64.const(0)), pageFault);

    f.set(updated, i64.or(pte, choose(isWrite, i64.const(A | D), i64.const(A))));
    f.if(i64.ne(updated, pte), () => {
      f.brIf(restart, i64.ne(i64.atomicCompareExchange(host, pte, updated), pte));
    });
    f.set(leaf, updated);
    const isLocal = i32.eqz(i32.and(bits, i32.const(G | U)));
    f.if(i32.and(i32.load(h, PRIVILEGE), isLocal), () => f.store32(h, i32.const(1), TLB_LOCAL));
    f.set(physical, i64.or(physical, i64.and(va, offsetMask)));
    f.if(i64.ne(shift, i64.const(12)), () => {
      const half = choose(i64.ltS(va, i64.const(0)), i32.const(2), i32.const(1));
      f.store32(h, i32.or(i32.load(h, TLB_SUPERPAGES), half), TLB_SUPERPAGES);
    });
  });
}

function buildForbidWrites(module: ModuleBuilder): Callable<undefined> {
  const f = module.function([I32, I32], undefined, 'forbidWrites');
  const at = f.local(I32, i32.add(f.param(I32, 0), i32.const(TLB_START)));
  const end = f.local(I32, i32.add(at, i32.const(MODES * TLB_ENTRIES * TLB_ENTRY_SIZE)));
  f.loop((again) => {
    f.if(i32.eq(i32.load(at, TLB_HOST_PAGE), f.param(I32, 1)), () => f.store64(at, i64.const(-1), TLB_WRITE_TAG));
    f.set(at, i32.add(at, i32.const(TLB_ENTRY_SIZE)));
    f.brIf(again, i32.ltU(at, end));
  });
  return f;
}
