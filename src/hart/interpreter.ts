/**
 * The interpreter: one WebAssembly function, generated from the instruction table, that
 * runs predecoded slots. Its registers are the hart's state in memory.
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
} from '../wasm/expr.js';
import type { FunctionBuilder, Label } from '../wasm/function.js';
import type { ModuleBuilder } from '../wasm/module.js';
import { CAUSE_ILLEGAL } from './isa/causes.js';
import type { Context } from './context.js';
import { fetchEntry } from './core/fetch.js';
import type { CoreFunctions } from './core/functions.js';
import type { Imports } from './core/imports.js';
import { SSTATUS_FS } from './core/sstatus.js';
import { EXIT_SIGNAL, REGION_STRADDLES } from './exits.js';
import { calledOperations, type FloatOperations } from './float/operations.js';
import { boxed, unboxed } from './isa/nan-boxing.js';
import { operations } from './isa/operations.js';
import {
  OP_ILLEGAL,
  RM_SHIFT,
  RS2_MASK,
  SLOT_IMM,
  SLOT_OP,
  SLOT_RD,
  SLOT_RS1,
  SLOT_RS2,
  SLOT_SIZE,
  SLOTS_PER_PAGE,
} from './slots.js';
import {
  BUDGET,
  CODE_HOST_PAGE,
  EPOCHS,
  F,
  HOT_THRESHOLD,
  INSTRET,
  PC,
  PRIVILEGE,
  REGION_END,
  REGION_PAGE,
  REGION_REASON,
  SIE,
  SIGNAL,
  SIP,
  SSTATUS,
  TLB_BASE,
  UNCOUNTED,
} from './state.js';
import {
  COUNTERS,
  COUNT_QUEUED,
  FETCH_HOST_PAGE,
  FETCH_TAG,
  FETCH_SLOTS,
  JUMP_CACHE,
  JUMP_EPOCH,
  JUMP_INDEX_MASK,
  JUMP_REGION,
  JUMP_TAG,
  PREDECODED_SIZE,
  REGION_DESCRIPTORS,
  REGION_DESCRIPTOR_SIZE,
  REGION_STRADDLED,
  STRADDLES,
} from './tlb.js';

export interface InterpreterParts {
  readonly core: CoreFunctions;
  readonly imports: Imports;
  readonly fetch: Callable<typeof I32>;
  readonly fetchStraddle: Callable<typeof I32>;
  readonly regionAtPc: Callable<typeof I32>;
  readonly takeInterrupt: Callable<undefined>;
  /** Type of a region's function: (h). */
  readonly regionType: number;
}

/** Locals of the run loop. */
interface Registers {
  readonly h: Local<typeof I32>;
  readonly budget: Local<typeof I32>;
  /** The budget when INSTRET was brought up to date. */
  readonly begun: Local<typeof I32>;
  /** Slot of the instruction being executed. */
  readonly ip: Local<typeof I32>;
  /** First slot of the page; pc is page + (ip - slots) / 4. */
  readonly slots: Local<typeof I32>;
  /** Bytes of slots that a relative jump may land in: the page's, or none for straddling instructions. */
  readonly reach: Local<typeof I32>;
  readonly page: Local<typeof I64>;
  /** Where a jump out of the page leads to. */
  readonly target: Local<typeof I64>;
  readonly tlb: Local<typeof I32>;
  readonly reason: Local<typeof I32>;
}

interface Exits {
  /** Dispatch the slot at ip. */
  next: Label;
  /** Go on at `target`: a jump out of the page. */
  cross: Label;
  /** Look at the hart's state afresh and go on at its pc. */
  enter: Label;
  /** Leave with `reason`; the hart's pc is set. */
  leave: Label;
}

/**
 * Imports are called through functions of the module: what a call of an import needs would
 * lie in machine registers throughout the run loop.
 */
interface Parts extends InterpreterParts {
  /** (h) */
  readonly hot: Callable<undefined>;
  /** (h, region): the region has been left before accesses that lie in two pages. */
  readonly straddled: Callable<undefined>;
  /** (h, ip, slots): decodes what the undecoded slot at ip stands for. */
  readonly decodeHere: Callable<undefined>;
}

function buildHot(module: ModuleBuilder, imports: Imports): Callable<undefined> {
  const f = module.function([I32], undefined, 'hot');
  f.call(imports.hot, f.param(I32, 0));
  return f;
}

function buildStraddled(module: ModuleBuilder, imports: Imports): Callable<undefined> {
  const f = module.function([I32, I32], undefined, 'straddled');
  const h = f.param(I32, 0);
  const descriptor = f.local(I32, i32.add(h, i32.mul(f.param(I32, 1), i32.const(REGION_DESCRIPTOR_SIZE))));
  const times = f.local(I32, i32.add(i32.load(descriptor, REGION_DESCRIPTORS + REGION_STRADDLED), i32.const(1)));
  f.store32(descriptor, times, REGION_DESCRIPTORS + REGION_STRADDLED);
  f.if(i32.eq(times, i32.const(STRADDLES)), () => f.call(imports.straddles, h));
  return f;
}

function buildDecodeHere(module: ModuleBuilder, imports: Imports): Callable<undefined> {
  const f = module.function([I32, I32, I32], undefined, 'decodeHere');
  const ip = f.param(I32, 1);
  const slot = f.local(I32, i32.shrU(i32.sub(ip, f.param(I32, 2)), i32.const(3)));
  const host = i32.add(i32.load(f.param(I32, 0), CODE_HOST_PAGE), i32.shl(slot, i32.const(1)));
  f.call(imports.decode, ip, host, i32.sub(i32.const(SLOTS_PER_PAGE), slot));
  return f;
}

/** Adds `run(h, budget)`: executes about `budget` instructions at most and returns an EXIT_* reason. */
export function buildInterpreter(module: ModuleBuilder, given: InterpreterParts): void {
  const parts: Parts = {
    ...given,
    hot: buildHot(module, given.imports),
    straddled: buildStraddled(module, given.imports),
    decodeHere: buildDecodeHere(module, given.imports),
  };
  const f = module.function([I32, I32], I32, 'run');
  const r: Registers = {
    h: f.param(I32, 0),
    budget: f.param(I32, 1),
    begun: f.local(I32),
    ip: f.local(I32),
    slots: f.local(I32),
    reach: f.local(I32),
    page: f.local(I64),
    target: f.local(I64),
    tlb: f.local(I32),
    reason: f.local(I32),
  };
  f.set(r.begun, r.budget);
  const retire = (): void => {
    const executed = i64.extendS(i32.sub(r.begun, r.budget));
    f.store64(r.h, i64.add(i64.load(r.h, INSTRET), executed), INSTRET);
    f.set(r.begun, r.budget);
  };
  f.block((leave) => {
    f.loop((enter) => {
      retire();
      emitEnter(f, r, parts, enter, leave);
      // A loop for each page, so that what belongs to a page is the same throughout the inner one.
      f.loop((page) => {
        f.block((cross) => {
          f.loop((next) => emitDispatch(f, r, parts, { next, cross, enter, leave }));
        });
        retire();
        emitCross(f, r, page, enter);
      });
    });
  });
  retire();
  f.return(r.reason);
}

function emitEnter(f: FunctionBuilder, r: Registers, parts: Parts, enter: Label, leave: Label): void {
  const { h } = r;
  f.ifUnlikely(i32.and(i32.atomicLoad(i32.add(h, i32.const(SIP))), i32.load(h, SIE)), () =>
    f.call(parts.takeInterrupt, h),
  );
  f.ifUnlikely(i32.leS(r.budget, i32.load(h, SIGNAL)), () => {
    f.set(r.reason, i32.const(EXIT_SIGNAL));
    f.br(leave);
  });
  const pc = f.local(I64, i64.load(h, PC));
  f.set(r.reason, i32.const(0));
  emitRegion(f, r, parts, pc, enter, leave);
  const entry = f.local(I32, call(parts.fetch, h));
  f.if(i32.eqz(entry), () => {
    afterFetchTrap(f, r);
    f.br(enter);
  });
  f.set(r.tlb, i32.add(h, i32.load(h, TLB_BASE)));
  f.set(r.slots, i32.load(entry, FETCH_SLOTS));
  f.store32(h, i32.load(entry, FETCH_HOST_PAGE), CODE_HOST_PAGE);
  f.set(r.page, i64.and(pc, i64.const(-4096)));
  f.set(r.reach, i32.const(PREDECODED_SIZE));
  f.set(r.ip, slotOf(r, i32.wrap(pc)));
  // Where a region has told the interpreter to go on is no place that jumps lead to.
  f.if(i32.eqz(r.reason), () => emitCount(f, r, parts.hot, enter));
}

/**
 * Goes on at `target` if that is code that the fetch TLB knows and that is not translated; all
 * else is for `enter`. Nothing but the pc has changed, so most of what that does is not needed.
 */
function emitCross(f: FunctionBuilder, r: Registers, next: Label, enter: Label): void {
  const { h, target } = r;
  f.store64(h, target, PC);
  f.brIf(enter, i32.leS(r.budget, i32.load(h, SIGNAL)));
  const entry = f.local(I32, fetchEntry(h, target));
  const page = f.local(I64, i64.and(target, i64.const(-4096)));
  f.brIf(enter, i64.ne(i64.load(entry, FETCH_TAG), page));
  f.store32(h, i32.load(entry, FETCH_HOST_PAGE), CODE_HOST_PAGE);
  f.set(r.slots, i32.load(entry, FETCH_SLOTS));
  f.set(r.page, page);
  f.set(r.reach, i32.const(PREDECODED_SIZE));
  f.set(r.ip, slotOf(r, i32.wrap(target)));
  emitArrive(f, r, next);
  f.br(enter);
}

/** Slot of an address in the page. */
const slotOf = (r: Registers, address: ExprI32): ExprI32 =>
  i32.add(r.slots, i32.shl(i32.and(address, i32.const(0xffe)), i32.const(2)));

/** Counts an arrival at ip and goes on there, unless it is for `enter` to do what comes next. */
function emitArrive(f: FunctionBuilder, r: Registers, next: Label): void {
  const at = f.local(I32, i32.add(r.slots, i32.shrU(i32.sub(r.ip, r.slots), i32.const(2))));
  const count = f.local(I32, i32.load16U(at, COUNTERS));
  f.brIf(next, i32.eq(count, i32.const(COUNT_QUEUED)));
  f.if(i32.ltU(i32.add(count, i32.const(1)), i32.load(r.h, HOT_THRESHOLD)), () => {
    f.store16(at, i32.add(count, i32.const(1)), COUNTERS);
    f.br(next);
  });
  // Nothing is counted.
  f.brIf(next, i32.eqz(i32.load(r.h, HOT_THRESHOLD)));
}

/** Runs translated code if there is some at pc, then looks at the state afresh. */
function emitRegion(
  f: FunctionBuilder,
  r: Registers,
  parts: Parts,
  pc: Local<typeof I64>,
  enter: Label,
  leave: Label,
): void {
  const { h } = r;
  const jump = f.local(I32, i32.add(h, i32.and(i32.shl(i32.wrap(pc), i32.const(3)), i32.const(JUMP_INDEX_MASK))));
  const privilege = f.local(I32, i32.load(h, PRIVILEGE));
  const epoch = i32.load(i32.add(h, i32.shl(privilege, i32.const(2))), EPOCHS);
  const known = i32.and(
    i64.eq(i64.load(jump, JUMP_CACHE + JUMP_TAG), i64.or(pc, i64.extendU(privilege))),
    i32.eq(i32.load(jump, JUMP_CACHE + JUMP_EPOCH), epoch),
  );
  const region = f.local(I32, choose(known, i32.load(jump, JUMP_CACHE + JUMP_REGION), call(parts.regionAtPc, h)));
  f.if(i32.geS(region, i32.const(0)), () => {
    f.store32(h, r.budget, BUDGET);
    f.store64(h, i64.and(pc, i64.const(-4096)), REGION_PAGE);
    f.callIndirect(parts.regionType, region, h);
    f.set(r.budget, i32.add(i32.load(h, BUDGET), i32.load(h, UNCOUNTED)));
    f.store32(h, i32.const(0), UNCOUNTED);
    const end = f.local(I32, i32.load(h, REGION_END));
    f.if(end, () => {
      f.store64(h, i64.add(i64.load(h, REGION_PAGE), i64.extendS(i32.sub(end, i32.const(1)))), PC);
      f.store32(h, i32.const(0), REGION_END);
    });
    f.set(r.reason, i32.load(h, REGION_REASON));
    f.brIf(enter, i32.eqz(r.reason));
    f.store32(h, i32.const(0), REGION_REASON);
    f.if(i32.gtS(r.reason, i32.const(0)), () => {
      f.set(r.reason, i32.sub(r.reason, i32.const(1)));
      f.br(leave);
    });
    f.if(i32.eq(r.reason, i32.const(REGION_STRADDLES)), () => f.call(parts.straddled, h, region));
    f.set(pc, i64.load(h, PC));
  });
  f.if(i32.eq(region, i32.const(-2)), () => {
    afterFetchTrap(f, r);
    f.br(enter);
  });
}

/** A handler that cannot be fetched must not keep the hart in the run loop for ever: its traps cost budget. */
function afterFetchTrap(f: FunctionBuilder, r: Registers): void {
  f.set(r.budget, i32.sub(r.budget, i32.const(1)));
}

/** Takes back what dispatching a slot that is no instruction has cost. */
function refund(f: FunctionBuilder, r: Registers): void {
  f.set(r.budget, i32.add(r.budget, i32.const(1)));
}

/** Counts an arrival at ip; a place that has become hot is reported, a translated one is entered. */
function emitCount(f: FunctionBuilder, r: Registers, hot: Callable<undefined>, enter: Label): void {
  const at = f.local(I32, i32.add(r.slots, i32.shrU(i32.sub(r.ip, r.slots), i32.const(2))));
  const count = f.local(I32, i32.load16U(at, COUNTERS));
  f.if(i32.ltU(count, i32.load(r.h, HOT_THRESHOLD)), () => {
    f.set(count, i32.add(count, i32.const(1)));
    f.store16(at, count, COUNTERS);
    f.ifUnlikely(i32.eq(count, i32.load(r.h, HOT_THRESHOLD)), () => {
      f.store64(r.h, pcOf(r), PC);
      f.call(hot, r.h);
      f.br(enter);
    });
  });
}

function emitDispatch(f: FunctionBuilder, r: Registers, parts: Parts, exits: Exits): void {
  f.set(r.budget, i32.sub(r.budget, i32.const(1)));

  const context = (halfwords: 1 | 2, at = 0): InterpreterContext =>
    new InterpreterContext(f, r, parts.core, exits, halfwords, at);
  const cases: (() => void)[] = [
    () => emitUndecoded(f, r, parts.decodeHere, exits),
    () => {
      refund(f, r);
      context(1).resumeAt(pcOf(r));
    },
    () => emitStraddle(f, r, parts, exits),
    () => context(1).trap(CAUSE_ILLEGAL, i64.extendU(context(1).imm32())),
    ...operations.map((operation) => () => {
      let at = 0;
      for (const { instruction, halfwords } of operation) {
        if (at > 0) f.set(r.budget, i32.sub(r.budget, i32.const(1)));
        f.scope(() => instruction.emit(context(halfwords, at)));
        at += halfwords;
      }
      f.set(r.ip, i32.add(r.ip, i32.const(at * SLOT_SIZE)));
      f.br(exits.next);
    }),
  ];
  const labels: Label[] = [];
  for (let i = cases.length - 1; i >= 0; i--) labels[i] = f.begin('block');
  f.brTable(i32.load8U(r.ip, SLOT_OP), labels, labels[OP_ILLEGAL]);
  for (const emit of cases) {
    f.end();
    f.scope(emit);
  }
}

function emitUndecoded(f: FunctionBuilder, r: Registers, decodeHere: Callable<undefined>, exits: Exits): void {
  f.call(decodeHere, r.h, r.ip, r.slots);
  refund(f, r);
  f.br(exits.next);
}

/** Runs the instruction from the straddle slots, as if they were the last slot of the page. */
function emitStraddle(f: FunctionBuilder, r: Registers, parts: Parts, exits: Exits): void {
  f.store64(r.h, pcOf(r), PC);
  const straddle = f.local(I32, call(parts.fetchStraddle, r.h, i32.load(r.h, CODE_HOST_PAGE)));
  f.brIf(exits.enter, i32.eqz(straddle));
  f.set(r.ip, straddle);
  f.set(r.slots, i32.sub(r.ip, i32.const(2047 * 8)));
  f.set(r.reach, i32.const(0));
  refund(f, r);
  f.br(exits.next);
}

const pcOf = (r: Registers): ExprI64 => i64.add(r.page, i64.extendS(i32.shrS(i32.sub(r.ip, r.slots), i32.const(2))));

/** Operands come out of the slot, registers out of the hart's state. */
class InterpreterContext implements Context {
  readonly h: ExprI32;
  readonly floats: FloatOperations;

  constructor(
    readonly f: FunctionBuilder,
    private readonly r: Registers,
    readonly core: CoreFunctions,
    private readonly exits: Exits,
    /** Length of the instruction. */
    private readonly halfwords: 1 | 2,
    /** Halfwords between the slot at ip and the instruction's. */
    private readonly at: number,
  ) {
    this.h = r.h;
    this.floats = calledOperations(core.float, r.h);
  }

  /** Hart block plus the byte offset of a register. */
  private register(number: ExprI32): ExprI32 {
    return i32.add(this.h, i32.shl(number, i32.const(3)));
  }
  private field(at: number): ExprI32 {
    return i32.load8U(this.r.ip, this.at * SLOT_SIZE + at);
  }

  rs1(): ExprI64 {
    return i64.load(this.register(this.field(SLOT_RS1)));
  }
  rs2(): ExprI64 {
    return i64.load(this.register(this.field(SLOT_RS2)));
  }
  rs1IsX0(): ExprI32 {
    return i32.eqz(this.field(SLOT_RS1));
  }
  rs2IsX0(): ExprI32 {
    return i32.eqz(this.field(SLOT_RS2));
  }
  rs1Field(): ExprI64 {
    return i64.extendU(this.field(SLOT_RS1));
  }
  rd(value: ExprI64): void {
    this.f.store64(this.register(this.field(SLOT_RD)), value);
  }
  imm(): ExprI64 {
    return i64.load32S(this.r.ip, this.at * SLOT_SIZE + SLOT_IMM);
  }
  imm32(): ExprI32 {
    return i32.load(this.r.ip, this.at * SLOT_SIZE + SLOT_IMM);
  }

  requireFloat(): void {
    this.f.if(i32.eqz(i32.and(i32.load(this.h, SSTATUS), i32.const(SSTATUS_FS))), () =>
      this.trap(CAUSE_ILLEGAL, i64.const(0)),
    );
  }
  fs1(): ExprI64 {
    return i64.load(this.register(this.field(SLOT_RS1)), F);
  }
  fs2(): ExprI64 {
    return i64.load(this.register(i32.and(this.field(SLOT_RS2), i32.const(RS2_MASK))), F);
  }
  fs3(): ExprI64 {
    return i64.load(this.register(this.imm32()), F);
  }
  fd(value: ExprI64): void {
    this.f.store64(this.register(this.field(SLOT_RD)), value, F);
  }
  single(source: 1 | 2 | 3): ExprI32 {
    return unboxed(this.f, source === 1 ? this.fs1() : source === 2 ? this.fs2() : this.fs3());
  }
  fdSingle(bits: ExprI32): void {
    this.fd(boxed(bits));
  }
  rmField(): ExprI32 {
    return i32.shrU(this.field(SLOT_RS2), i32.const(RM_SHIFT));
  }

  uncounted(): ExprI32 {
    // The instruction itself has been taken from the budget.
    return i32.sub(i32.sub(this.r.begun, this.r.budget), i32.const(1));
  }

  pc(): ExprI64 {
    return i64.add(pcOf(this.r), i64.const(2 * this.at));
  }
  nextPc(): ExprI64 {
    return i64.add(pcOf(this.r), i64.const(2 * (this.at + this.halfwords)));
  }

  jumpRelative(): void {
    const { f, r } = this;
    const ip = i32.add(r.ip, i32.const(this.at * SLOT_SIZE));
    f.set(r.ip, i32.add(ip, i32.shl(this.imm32(), i32.const(2))));
    const inside = i32.ltU(i32.sub(r.ip, r.slots), r.reach);
    this.stayIf(i32.and(inside, i32.gtS(r.budget, i32.load(r.h, SIGNAL))));
    this.crossTo(pcOf(r));
  }
  branchIf(cond: ExprI32): void {
    this.f.if(cond, () => this.jumpRelative());
  }
  /** If `inside`, goes on at ip in this page, unless translated code is there. */
  private stayIf(inside: ExprI32): void {
    const { f, r } = this;
    f.if(inside, () => {
      emitArrive(f, r, this.exits.next);
      this.resumeAt(pcOf(r));
    });
  }
  jumpTo(target: ExprI64): void {
    const { f, r } = this;
    const to = f.local(I64, target);
    const offset = f.local(I64, i64.sub(to, r.page));
    const stays = i32.and(i32.ne(r.reach, i32.const(0)), i32.gtS(r.budget, i32.load(r.h, SIGNAL)));
    const inside = f.local(I32, i32.and(i64.ltU(offset, i64.const(4096)), stays));
    f.if(inside, () => f.set(r.ip, i32.add(r.slots, i32.shl(i32.wrap(offset), i32.const(2)))));
    this.stayIf(inside);
    this.crossTo(to);
  }
  private crossTo(target: ExprI64): void {
    this.f.set(this.r.target, target);
    this.f.br(this.exits.cross);
  }

  mayTrap(status: (pc: ExprI64) => ExprI32): void {
    this.f.brIfUnlikely(this.exits.enter, status(this.pc()));
  }
  findPlace(host: Local<typeof I32>, place: (pc: ExprI64, behind: number) => ExprI32): void {
    this.f.set(host, place(this.pc(), 0));
    this.f.brIfUnlikely(this.exits.enter, i32.eqz(host));
  }
  trap(cause: number, tval: ExprI64): void {
    this.f.call(this.core.trap, this.h, this.pc(), i64.const(cause), tval);
    this.f.br(this.exits.enter);
  }
  resumeAt(pc: ExprI64): void {
    this.f.store64(this.h, pc, PC);
    this.f.br(this.exits.enter);
  }
  exit(reason: number, pc: ExprI64): void {
    this.f.store64(this.h, pc, PC);
    this.f.set(this.r.reason, i32.const(reason));
    this.f.br(this.exits.leave);
  }
  tlb(): ExprI32 {
    return this.r.tlb;
  }
  reached(): undefined {
    return undefined;
  }
}
