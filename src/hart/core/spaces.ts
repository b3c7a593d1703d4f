/**
 * What of a hart's translations is forgotten, and when: flushes, address spaces (ASIDs) and sfence.vma.
 *
 * A change of address space empties the first data TLB of user mode and of SUM, and the fetch TLB of
 * user mode. What the second data TLB and the jump cache know of it stays, under the generation and
 * the epoch that the address space has (SPACES in state.ts), and counts again when it comes back.
 * Supervisor mode has a generation and an epoch that all address spaces share: its mappings are
 * global. Where one is not (TLB_LOCAL), a change of address space forgets everything.
 */
import { I32, I64, call, choose, i32, i64, type Callable, type ExprI32, type ExprI64 } from '../../wasm/expr.js';
import type { FunctionBuilder } from '../../wasm/function.js';
import type { ModuleBuilder } from '../../wasm/module.js';
import {
  EPOCHS,
  LAST_EPOCH,
  LAST_GENERATION,
  SATP,
  SPACES,
  SPACES_SIZE,
  SPACE_EPOCH,
  SPACE_GENERATION,
  SPACE_SIZE,
  SPACE_TAG,
  TLB_FILLED,
  TLB_GENERATIONS,
  TLB_LOCAL,
  TLB_SUPERPAGES,
} from '../state.js';
import { tlbEntry } from '../tlb-entry.js';
import { forgetCodePages, isCodePage } from './code-pages.js';
import {
  FETCH_INDEX_MASK,
  FETCH_INDEX_SHIFT,
  FETCH_TLB,
  FETCH_TLB_SIZE,
  JUMP_CACHE,
  JUMP_CACHE_SIZE,
  MODES,
  MODE_SUPERVISOR_SUM,
  MODE_USER,
  SECOND_GENERATION_MASK,
  SECOND_GENERATION_STEP,
  SECOND_TAG,
  SECOND_TLB,
  SECOND_TLB_ENTRIES,
  SECOND_TLB_SIZE,
  TLB_READ_TAG,
  TLB_SIZE,
  TLB_START,
  TLB_WRITE_TAG,
} from '../tlb.js';

export interface SpaceFunctions {
  /** (h): forgets every translation. */
  readonly flush: Callable<undefined>;
  /** (h): jump cache entries made so far must be looked at afresh. */
  readonly newEpoch: Callable<undefined>;
  /** (h, ASID): satp has changed to another ASID. */
  readonly switchSpace: Callable<undefined>;
  /** (h, va, all addresses, ASID, all ASIDs): sfence.vma. */
  readonly sfenceVma: Callable<undefined>;
}

/** ASIDs have 16 bits, all that there can be (satp, privileged specification 12.1.11). */
export const asidOf = (satp: ExprI64): ExprI32 => i32.and(i32.wrap(i64.shrU(satp, i64.const(44))), i32.const(0xffff));

/** Entry of the second data TLB for `va`, relative to SECOND_TLB. */
export const secondEntry = (h: ExprI32, va: ExprI64): ExprI32 =>
  i32.add(h, i32.and(i32.shrU(i32.wrap(va), i32.const(12 - 4)), i32.const((SECOND_TLB_ENTRIES - 1) << 4)));

export function buildSpaces(module: ModuleBuilder): SpaceFunctions {
  const nextEpoch = buildNextEpoch(module);
  const newEpoch = buildNewEpoch(module, nextEpoch);
  const flush = buildFlush(module, newEpoch);
  const switchSpace = buildSwitchSpace(module, flush, nextEpoch);
  return { flush, newEpoch, switchSpace, sfenceVma: buildSfenceVma(module, flush, newEpoch, switchSpace) };
}

/** Where the generation and the epoch of an address space are, if they are its own. */
const spaceOf = (h: ExprI32, asid: ExprI32): ExprI32 =>
  i32.add(h, i32.shl(i32.and(asid, i32.const(SPACES_SIZE / SPACE_SIZE - 1)), i32.const(Math.log2(SPACE_SIZE))));

const forget = (f: FunctionBuilder, h: ExprI32, start: number, size: number): void =>
  f.fill(i32.add(h, i32.const(start)), i32.const(0xff), i32.const(size));

/** (h): an epoch that no jump cache entry is of. */
function buildNextEpoch(module: ModuleBuilder): Callable<typeof I32> {
  const f = module.function([I32], I32);
  const h = f.param(I32, 0);
  const epoch = f.local(I32, i32.add(i32.load(h, LAST_EPOCH), i32.const(1)));
  // The count starts over: entries of its last round must not be taken for new ones.
  f.if(i32.eqz(epoch), () => {
    forget(f, h, JUMP_CACHE, JUMP_CACHE_SIZE);
    f.fill(i32.add(h, i32.const(SPACES)), i32.const(0), i32.const(SPACES_SIZE));
    f.store64(h, i64.const(0), EPOCHS);
    f.set(epoch, i32.const(1));
  });
  f.store32(h, epoch, LAST_EPOCH);
  f.return(epoch);
  return f;
}

function buildNewEpoch(module: ModuleBuilder, nextEpoch: Callable<typeof I32>): Callable<undefined> {
  const f = module.function([I32], undefined, 'newEpoch');
  const h = f.param(I32, 0);
  const epoch = f.local(I32, call(nextEpoch, h));
  f.store32(h, epoch, EPOCHS);
  f.store32(h, epoch, EPOCHS + 4);
  forgetCodePages(f, h);
  // Other address spaces have theirs renewed when they come back.
  f.fill(i32.add(h, i32.const(SPACES)), i32.const(0), i32.const(SPACES_SIZE));
  const asid = f.local(I32, asidOf(i64.load(h, SATP)));
  const space = f.local(I32, spaceOf(h, asid));
  f.store32(space, i32.add(asid, i32.const(1)), SPACES + SPACE_TAG);
  f.store32(space, i32.load(h, TLB_GENERATIONS), SPACES + SPACE_GENERATION);
  f.store32(space, epoch, SPACES + SPACE_EPOCH);
  return f;
}

function buildFlush(module: ModuleBuilder, newEpoch: Callable<undefined>): Callable<undefined> {
  const f = module.function([I32], undefined, 'flush');
  const h = f.param(I32, 0);
  f.if(i32.eqz(i32.load(h, TLB_FILLED)), () => f.return());
  forget(f, h, TLB_START, MODES * TLB_SIZE + 2 * FETCH_TLB_SIZE);
  const next = i32.add(i32.load(h, LAST_GENERATION), i32.const(SECOND_GENERATION_STEP));
  const generation = f.local(I32, i32.and(next, i32.const(SECOND_GENERATION_MASK)));
  f.if(i32.eqz(generation), () => forget(f, h, SECOND_TLB, SECOND_TLB_SIZE));
  f.store32(h, generation, LAST_GENERATION);
  for (let mode = 0; mode < MODES; mode++) f.store32(h, generation, TLB_GENERATIONS + 4 * mode);
  f.store32(h, i32.const(0), TLB_FILLED);
  f.store32(h, i32.const(0), TLB_SUPERPAGES);
  f.store32(h, i32.const(0), TLB_LOCAL);
  f.call(newEpoch, h);
  return f;
}

function buildSwitchSpace(
  module: ModuleBuilder,
  flush: Callable<undefined>,
  nextEpoch: Callable<typeof I32>,
): Callable<undefined> {
  const f = module.function([I32, I32], undefined, 'switchSpace');
  const h = f.param(I32, 0);
  const asid = f.param(I32, 1);
  const isLast = i32.eq(i32.load(h, LAST_GENERATION), i32.const(SECOND_GENERATION_MASK));
  f.if(i32.or(i32.load(h, TLB_LOCAL), isLast), () => {
    f.store32(h, i32.const(1), TLB_FILLED);
    f.call(flush, h);
    f.return();
  });
  const space = f.local(I32, spaceOf(h, asid));
  const tag = f.local(I32, i32.add(asid, i32.const(1)));
  f.if(i32.ne(i32.load(space, SPACES + SPACE_TAG), tag), () => {
    const epoch = f.local(I32, call(nextEpoch, h));
    const next = f.local(I32, i32.add(i32.load(h, LAST_GENERATION), i32.const(SECOND_GENERATION_STEP)));
    f.store32(h, next, LAST_GENERATION);
    f.store32(space, tag, SPACES + SPACE_TAG);
    f.store32(space, next, SPACES + SPACE_GENERATION);
    f.store32(space, epoch, SPACES + SPACE_EPOCH);
  });
  const generation = f.local(I32, i32.load(space, SPACES + SPACE_GENERATION));
  for (const mode of [MODE_USER, MODE_SUPERVISOR_SUM]) {
    f.store32(h, generation, TLB_GENERATIONS + 4 * mode);
    forget(f, h, TLB_START + mode * TLB_SIZE, TLB_SIZE);
  }
  f.store32(h, i32.load(space, SPACES + SPACE_EPOCH), EPOCHS);
  forget(f, h, FETCH_TLB, FETCH_TLB_SIZE);
  return f;
}

/** sfence.vma (12.2.1). With an address it forgets that for all address spaces. */
function buildSfenceVma(
  module: ModuleBuilder,
  flush: Callable<undefined>,
  newEpoch: Callable<undefined>,
  switchSpace: Callable<undefined>,
): Callable<undefined> {
  const f = module.function([I32, I64, I32, I64, I32], undefined, 'sfenceVma');
  const h = f.param(I32, 0);
  const va = f.param(I64, 1);
  const low = i32.wrap(va);
  f.if(f.param(I32, 2), () => {
    f.if(i32.or(f.param(I32, 4), i32.load(h, TLB_LOCAL)), () => {
      f.call(flush, h);
      f.return();
    });
    // Global mappings stay; the address space gets a new generation and a new epoch, at once or when it comes back.
    const asid = f.local(I32, i32.and(i32.wrap(f.param(I64, 3)), i32.const(0xffff)));
    const space = f.local(I32, spaceOf(h, asid));
    f.if(i32.eq(i32.load(space, SPACES + SPACE_TAG), i32.add(asid, i32.const(1))), () =>
      f.store32(space, i32.const(0), SPACES + SPACE_TAG),
    );
    f.if(i32.eq(asid, asidOf(i64.load(h, SATP))), () => f.call(switchSpace, h, asid));
    f.return();
  });
  const half = choose(i64.ltS(va, i64.const(0)), i32.const(2), i32.const(1));
  f.if(i32.and(i32.load(h, TLB_SUPERPAGES), half), () => {
    // The address may lie in a superpage, whose translations have been cached page by page.
    f.call(flush, h);
    f.return();
  });
  for (let mode = 0; mode < MODES; mode++) {
    const at = tlbEntry(h, va);
    f.store64(at, i64.const(-1), TLB_START + mode * TLB_SIZE + TLB_READ_TAG);
    f.store64(at, i64.const(-1), TLB_START + mode * TLB_SIZE + TLB_WRITE_TAG);
  }
  f.store64(secondEntry(h, va), i64.const(-1), SECOND_TLB + SECOND_TAG);
  for (let table = 0; table < 2; table++) {
    const at = i32.add(h, i32.and(i32.shrU(low, i32.const(FETCH_INDEX_SHIFT)), i32.const(FETCH_INDEX_MASK)));
    f.store64(at, i64.const(-1), FETCH_TLB + table * FETCH_TLB_SIZE);
  }
  // The jump cache has no place for a page: all of it is looked at afresh, if any of it was made from this one.
  f.if(isCodePage(h, va), () => f.call(newEpoch, h));
  return f;
}
