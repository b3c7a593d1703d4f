import {
  I32,
  I64,
  call,
  choose,
  f64,
  i32,
  i64,
  select,
  type Callable,
  type ExprF64,
  type ExprI32,
  type ExprI64,
} from '../../wasm/expr.js';
import type { FunctionBuilder } from '../../wasm/function.js';
import type { ModuleBuilder } from '../../wasm/module.js';
import {
  CAUSE_ILLEGAL,
  CAUSE_LOAD_ACCESS,
  CAUSE_LOAD_MISALIGNED,
  CAUSE_LOAD_PAGE,
  CAUSE_STORE_ACCESS,
  CAUSE_STORE_MISALIGNED,
  CAUSE_STORE_PAGE,
} from '../isa/causes.js';
import { REGION_REFUSES, REGION_STRADDLES } from '../exits.js';
import { behindOf, behindReach, byteOf, firstOf, isFinalOf, spanOf, widthOf, writesOf } from '../slow-access.js';
import { EXIT_A, EXIT_B, PC, PRIVILEGE, REGION_REASON, SENVCFG, TLB_BASE, UNCOUNTED } from '../state.js';
import { tlbEntry } from '../tlb-entry.js';
import { ACCESS_CLEAR, ACCESS_READ, ACCESS_WRITE, TLB_HOST_PAGE, TLB_READ_TAG, TLB_WRITE_TAG } from '../tlb.js';
import type { Imports } from './imports.js';
import {
  REFILL_ACCESS_FAULT,
  REFILL_CLEAR,
  REFILL_AGAIN,
  REFILL_MMIO,
  REFILL_OTHER,
  REFILL_PAGE_FAULT,
  type MmuFunctions,
} from './mmu.js';
import type { TrapFunctions } from './traps.js';
import { ENVCFG_CBZE } from './csr.js';

export interface AccessFunctions {
  readonly loadSlow: Callable<typeof I32>;
  readonly storeSlow: Callable<typeof I32>;
  readonly reach: Callable<typeof I32>;
  readonly atomicHost: Callable<typeof I32>;
  readonly cboZero: Callable<typeof I32>;
}

interface Parts {
  readonly imports: Imports;
  readonly mmu: MmuFunctions;
  readonly traps: TrapFunctions;
}

/** Everything a load or store can be when its TLB entry does not match. */
export function buildAccess(module: ModuleBuilder, parts: Parts): AccessFunctions {
  const lookUp = buildLookUp(module, parts);
  return {
    loadSlow: buildLoadSlow(module, parts),
    storeSlow: buildStoreSlow(module, parts),
    reach: buildReach(module, parts),
    atomicHost: buildAtomicHost(module, parts, lookUp),
    cboZero: buildCboZero(module, parts),
  };
}

const crosses = (va: ExprI64, size: ExprI32): ExprI32 =>
  i32.gtU(i32.add(i32.and(i32.wrap(va), i32.const(0xfff)), size), i32.const(4096));

const pageOffset = (va: ExprI64): ExprI32 => i32.and(i32.wrap(va), i32.const(0xfff));

/** Entry of the present mode's data TLB for `va`. */
const entryOf = (h: ExprI32, va: ExprI64): ExprI32 => tlbEntry(i32.add(h, i32.load(h, TLB_BASE)), va);

/** (h, va, ACCESS_READ or ACCESS_WRITE): host page of va out of the data TLB, or as `refill` answers. */
function buildLookUp(module: ModuleBuilder, { mmu }: Parts): Callable<typeof I32> {
  const f = module.function([I32, I64, I32], I32);
  const h = f.param(I32, 0);
  const va = f.param(I64, 1);
  const access = f.param(I32, 2);
  const entry = f.local(I32, entryOf(h, va));
  // The write tag stands behind the read tag.
  const tag = i64.load(i32.add(entry, i32.shl(access, i32.const(3))), TLB_READ_TAG);
  f.if(i64.eq(tag, i64.and(va, i64.const(-4096))), () => f.return(i32.load(entry, TLB_HOST_PAGE)));
  f.return(call(mmu.refill, h, va, access));
  return f;
}

/** For a REFILL_* answer other than MMIO it traps, or has the instruction begun again, and leaves; nothing for the rest. */
function trapOnFault(
  f: FunctionBuilder,
  { traps }: Parts,
  h: ExprI32,
  pc: ExprI64,
  va: ExprI64,
  host: ExprI32,
  pageCause: number,
  accessCause: number,
  leave: () => void,
): void {
  const fault = (cause: number) => (): void => {
    f.call(traps.trap, h, pc, i64.const(cause), va);
    leave();
  };
  f.if(i32.and(host, i32.const(REFILL_OTHER)), () => {
    f.if(i32.eq(host, i32.const(REFILL_PAGE_FAULT)), fault(pageCause));
    f.if(i32.eq(host, i32.const(REFILL_ACCESS_FAULT)), fault(accessCause));
    f.if(i32.eq(host, i32.const(REFILL_AGAIN)), () => {
      f.call(traps.again, h, pc);
      leave();
    });
  });
}

/** What a `loadSlow` or `storeSlow` does when it has taken a trap. */
const trappedIn = (f: FunctionBuilder, h: ExprI32, what: ExprI32) => (): void => {
  f.store32(h, behindOf(what), UNCOUNTED);
  f.return(i32.const(0));
};

const passedIn = (h: ExprI32): ExprI32 => i32.add(h, i32.const(EXIT_A));

function buildLoadSlow(module: ModuleBuilder, parts: Parts): Callable<typeof I32> {
  const f = module.function([I32, I64, I64, I32], I32, 'loadSlow');
  const h = f.param(I32, 0);
  const pc = f.param(I64, 1);
  const va = f.param(I64, 2);
  const what = f.param(I32, 3);
  const width = f.local(I32, widthOf(what));
  const size = f.local(I32, i32.shl(i32.const(1), width));
  const host = f.local(I32);
  const trapped = trappedIn(f, h, what);

  f.if(crosses(va, size), () => {
    // Byte by byte: a fault then names the first byte of the page that is missing.
    const i = f.local(I32, i32.const(0));
    const value = f.local(I64, i64.const(0));
    f.loop((again) => {
      f.set(host, call(f as Callable<typeof I32>, h, pc, i64.add(va, i64.extendU(i)), byteOf(what)));
      f.if(i32.eqz(host), () => f.return(i32.const(0)));
      f.set(value, i64.or(value, i64.shl(i64.load8U(host), i64.extendU(i32.shl(i, i32.const(3))))));
      f.set(i, i32.add(i, i32.const(1)));
      f.brIf(again, i32.ltU(i, size));
    });
    f.store64(h, value, EXIT_A);
    f.return(passedIn(h));
  });

  f.set(host, call(parts.mmu.refill, h, va, i32.const(ACCESS_READ)));
  trapOnFault(f, parts, h, pc, va, host, CAUSE_LOAD_PAGE, CAUSE_LOAD_ACCESS, trapped);
  f.if(i32.eq(host, i32.const(REFILL_MMIO)), () => {
    f.if(call(parts.imports.mmioLoad, h, i64ToF64(i64.load(h, EXIT_B)), width), () => {
      f.call(parts.traps.trap, h, pc, i64.const(CAUSE_LOAD_ACCESS), va);
      trapped();
    });
    f.return(passedIn(h));
  });
  f.return(i32.or(host, pageOffset(va)));
  return f;
}

function buildStoreSlow(module: ModuleBuilder, parts: Parts): Callable<typeof I32> {
  const f = module.function([I32, I64, I64, I64, I32], I32, 'storeSlow');
  const h = f.param(I32, 0);
  const pc = f.param(I64, 1);
  const va = f.param(I64, 2);
  const value = f.param(I64, 3);
  const what = f.param(I32, 4);
  const width = f.local(I32, widthOf(what));
  const size = f.local(I32, i32.shl(i32.const(1), width));
  const host = f.local(I32);
  const trapped = trappedIn(f, h, what);

  f.if(crosses(va, size), () => {
    // A fault must leave memory as it was: both pages are looked up before a byte is written, and a byte that does not go
    // to memory, where there may be nothing, is written before those that do.
    const next = f.local(I64, i64.and(i64.add(va, i64.const(4095)), i64.const(-4096)));
    const second = f.local(I32);
    for (const [part, found] of [
      [va, host],
      [next, second],
    ] as const) {
      f.set(found, call(parts.mmu.refill, h, part, i32.const(ACCESS_WRITE)));
      trapOnFault(f, parts, h, pc, part, found, CAUSE_STORE_PAGE, CAUSE_STORE_ACCESS, trapped);
    }
    const notMemory = (found: ExprI32): ExprI32 => i32.eq(found, i32.const(REFILL_MMIO));
    f.if(i32.and(notMemory(host), notMemory(second)), () => {
      f.call(parts.traps.trap, h, pc, i64.const(CAUSE_STORE_ACCESS), va);
      trapped();
    });
    const inFirst = f.local(I32, i32.sub(i32.const(4096), pageOffset(va)));
    const i = f.local(I32);
    const page = f.local(I32);
    const place = f.local(I32);
    for (const toMemory of [false, true]) {
      f.set(i, i32.const(0));
      f.loop((again) => {
        const byte = f.local(I64, i64.shrU(value, i64.extendU(i32.shl(i, i32.const(3)))));
        const at = f.local(I64, i64.add(va, i64.extendU(i)));
        f.set(page, choose(i32.ltU(i, inFirst), host, second));
        if (toMemory) {
          f.if(i32.eqz(notMemory(page)), () => f.store64Low(8, i32.or(page, pageOffset(at)), byte));
        } else {
          f.if(notMemory(page), () => {
            f.set(place, call(f as Callable<typeof I32>, h, pc, at, byte, byteOf(what)));
            f.if(i32.eqz(place), () => f.return(i32.const(0)));
            f.store64Low(8, place, byte);
          });
        }
        f.set(i, i32.add(i, i32.const(1)));
        f.brIf(again, i32.ltU(i, size));
      });
    }
    f.return(passedIn(h));
  });

  f.set(host, call(parts.mmu.refill, h, va, i32.const(ACCESS_WRITE)));
  trapOnFault(f, parts, h, pc, va, host, CAUSE_STORE_PAGE, CAUSE_STORE_ACCESS, trapped);
  f.if(i32.eq(host, i32.const(REFILL_MMIO)), () => {
    f.store64(h, value, EXIT_A);
    f.if(call(parts.imports.mmioStore, h, i64ToF64(i64.load(h, EXIT_B)), width), () => {
      f.call(parts.traps.trap, h, pc, i64.const(CAUSE_STORE_ACCESS), va);
      trapped();
    });
    f.return(passedIn(h));
  });
  f.return(i32.or(host, pageOffset(va)));
  return f;
}

/** For several accesses to one page at once; what it refuses is done one by one. */
function buildReach(module: ModuleBuilder, { mmu }: Parts): Callable<typeof I32> {
  const f = module.function([I32, I64, I64, I32], I32, 'reach');
  const h = f.param(I32, 0);
  const va = f.param(I64, 2);
  const what = f.param(I32, 3);
  const refuse = (): void => {
    f.store64(h, f.param(I64, 1), PC);
    f.store32(h, behindReach(what), UNCOUNTED);
    f.store32(h, select(isFinalOf(what), i32.const(REGION_REFUSES), i32.const(REGION_STRADDLES)), REGION_REASON);
    f.return(i32.const(1));
  };
  f.if(crosses(va, spanOf(what)), refuse);
  f.if(i32.and(call(mmu.refill, h, va, firstOf(what)), i32.const(0xfff)), refuse);
  const tag = i64.load(i32.add(entryOf(h, va), i32.shl(writesOf(what), i32.const(3))), TLB_READ_TAG);
  f.if(i64.ne(tag, i64.and(va, i64.const(-4096))), refuse);
  f.return(i32.const(0));
  return f;
}

/** Atomics must be aligned, and work on memory only. */
function buildAtomicHost(module: ModuleBuilder, parts: Parts, lookUp: Callable<typeof I32>): Callable<typeof I32> {
  const f = module.function([I32, I64, I64, I32, I32], I32, 'atomicHost');
  const h = f.param(I32, 0);
  const pc = f.param(I64, 1);
  const va = f.param(I64, 2);
  const isWrite = i32.eq(f.param(I32, 4), i32.const(ACCESS_WRITE));
  const trap = (load: number, store: number) => (): void => {
    f.call(parts.traps.trap, h, pc, choose(isWrite, i64.const(store), i64.const(load)), va);
    f.return(i32.const(-1));
  };
  const misaligned = i32.and(i32.wrap(va), i32.sub(i32.shl(i32.const(1), f.param(I32, 3)), i32.const(1)));
  f.if(misaligned, trap(CAUSE_LOAD_MISALIGNED, CAUSE_STORE_MISALIGNED));
  const host = f.local(I32, call(lookUp, h, va, f.param(I32, 4)));
  f.if(i32.and(host, i32.const(REFILL_OTHER)), () => {
    f.if(i32.eq(host, i32.const(REFILL_AGAIN)), () => {
      f.call(parts.traps.again, h, pc);
      f.return(i32.const(-1));
    });
    f.if(i32.eq(host, i32.const(REFILL_PAGE_FAULT)), trap(CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE));
    trap(CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS)();
  });
  f.return(i32.or(host, pageOffset(va)));
  return f;
}

/** Zicboz (CMO specification 2.7): blocks of 64 bytes. */
function buildCboZero(module: ModuleBuilder, parts: Parts): Callable<typeof I32> {
  const f = module.function([I32, I64, I64], I32, 'cboZero');
  const h = f.param(I32, 0);
  const pc = f.param(I64, 1);
  const va = f.param(I64, 2);
  const enabled = i32.or(i32.load(h, PRIVILEGE), i32.and(i32.load(h, SENVCFG), i32.const(ENVCFG_CBZE)));
  f.if(i32.eqz(enabled), () => {
    f.call(parts.traps.trap, h, pc, i64.const(CAUSE_ILLEGAL), i64.const(0));
    f.return(i32.const(1));
  });
  const entry = f.local(I32, entryOf(h, va));
  const isKnown = i64.eq(i64.load(entry, TLB_WRITE_TAG), i64.and(va, i64.const(-4096)));
  const host = f.local(I32);
  f.if(
    isKnown,
    () => f.set(host, i32.load(entry, TLB_HOST_PAGE)),
    () => f.set(host, call(parts.mmu.refill, h, va, i32.const(ACCESS_CLEAR))),
  );
  f.if(i32.eq(host, i32.const(REFILL_CLEAR)), () => f.return(i32.const(0)));
  trapOnFault(f, parts, h, pc, va, host, CAUSE_STORE_PAGE, CAUSE_STORE_ACCESS, () => f.return(i32.const(1)));
  f.if(i32.eq(host, i32.const(REFILL_MMIO)), () => {
    f.call(parts.traps.trap, h, pc, i64.const(CAUSE_STORE_ACCESS), va);
    f.return(i32.const(1));
  });
  const block = i32.and(pageOffset(va), i32.const(~63));
  // Eight stores: a bulk operation costs a call of the host's.
  const at = f.local(I32, i32.or(host, block));
  for (let i = 0; i < 64; i += 8) f.store64(at, i64.const(0), i);
  f.return(i32.const(0));
  return f;
}

/** Guest-physical addresses have at most 56 bits; beyond 2^53 nothing is there and rounding does not matter. */
function i64ToF64(value: ExprI64): ExprF64 {
  return f64.convertI64U(value);
}
