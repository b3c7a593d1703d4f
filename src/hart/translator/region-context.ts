import {
  F32,
  F64,
  I32,
  I64,
  f32,
  f64,
  hasEffects,
  i32,
  i64,
  type ExprI32,
  type ExprI64,
  type Local,
} from '../../wasm/expr.js';
import type { FunctionBuilder } from '../../wasm/function.js';
import type { Context, HostPlace } from '../context.js';
import type { CoreFunctions } from '../core/functions.js';
import { SSTATUS_FS } from '../core/sstatus.js';
import { REGION_REFUSES } from '../exits.js';
import { InlineFloat } from '../float/index.js';
import { inlineOperations, type FloatOperations } from '../float/operations.js';
import { emitReach } from '../memory-access.js';
import { CSR } from '../isa/csr-numbers.js';
import { boxed, unboxed } from '../isa/nan-boxing.js';
import type { Operands } from '../isa/table/format.js';
import {
  BUDGET,
  F,
  FRM,
  PC,
  REGION_END,
  REGION_PAGE,
  REGION_REASON,
  SSTATUS,
  TLB_BASE,
  UNCOUNTED,
  X,
} from '../state.js';
import { instructions } from '../isa/table/index.js';
import type { FloatGuard } from './effects.js';
import type { Masks, Node, Step } from './graph.js';
import type { Reach, Reached } from './reach.js';

/** What the emitter of a region does with control flow; see emit.ts. */
export interface RegionFlow {
  /** Follows the taken edge of the node. */
  taken(): void;
  /** A jump to an address known at run time. */
  indirect(target: ExprI64): void;
  /** Leaves the region; the hart's pc is set already. */
  leave(): void;
  leaveIf(cond: ExprI32): void;
}

const DYNAMIC = 7;
/** CSRs that count instructions. */
const COUNTERS: ReadonlySet<number> = new Set([CSR.cycle, CSR.instret]);

/** Registers live in locals, those used seldom in the hart's state; operands are constants. */
export class RegionContext implements Context {
  readonly h: ExprI32;
  /** Virtual address of the page the region starts in. */
  readonly page: Local<typeof I64>;
  readonly budget: Local<typeof I32>;
  /** What is REGION_END when the region is left. */
  private readonly end: Local<typeof I32>;
  private readonly tlbBase: Local<typeof I32>;
  private readonly x: (Local<typeof I64> | undefined)[] = [];
  private readonly fr: (Local<typeof F64> | undefined)[] = [];
  /** The single in a register, while this node knows that one is boxed there. */
  private readonly singles: (Local<typeof F32> | undefined)[] = [];
  private knownSingles = 0;
  readonly floats: FloatOperations;

  flow!: RegionFlow;
  private step!: Step;
  /** Instructions of the node behind the present one: counted already, taken back by a trap. */
  private behind = 0;
  private node!: Node;
  /** What the present step is looked up with; what has been looked up already, and where that leads. */
  private present: Reached | undefined;
  /** Where `loadFrom` wants the access to go. */
  private given: HostPlace | undefined;
  private readonly lookedUp = new Set<Reach>();
  private readonly hosts: Local<typeof I32>[] = [];
  /** Places that the region may be left before, for the interpreter to go on at. */
  readonly leaves: number[] = [];

  constructor(
    readonly f: FunctionBuilder,
    readonly core: CoreFunctions,
    locals: Masks,
    load: Masks,
    guard: FloatGuard,
    private readonly reaches: ReadonlyMap<Node, readonly (Reached | undefined)[]>,
    /** Blocks of loops that are to be entered at their headers only, also after they have been left. */
    private readonly whole: ReadonlySet<Node>,
  ) {
    const h = f.param(I32, 0);
    this.h = h;
    this.guard(guard);
    this.floats = inlineOperations(core.float, h, new InlineFloat(f, h, core.float));
    this.page = f.local(I64, i64.load(h, REGION_PAGE));
    this.budget = f.local(I32, i32.load(h, BUDGET));
    this.end = f.local(I32);
    this.tlbBase = f.local(I32, i32.add(h, i32.load(h, TLB_BASE)));
    for (let r = 0; r < 32; r++) {
      if (((locals.x >>> r) & 1) !== 0) {
        this.x[r] = f.local(I64, ((load.x >>> r) & 1) !== 0 ? i64.load(h, X + 8 * r) : undefined);
      }
      if (((locals.f >>> r) & 1) !== 0) {
        this.fr[r] = f.local(F64, ((load.f >>> r) & 1) !== 0 ? f64.load(h, F + 8 * r) : undefined);
      }
    }
  }

  /** Stores registers back. */
  spill(masks: Masks): void {
    const { f, h } = this;
    this.x.forEach((local, r) => {
      if (local !== undefined && ((masks.x >>> r) & 1) !== 0) f.store64(h, local, X + 8 * r);
    });
    this.fr.forEach((local, r) => {
      if (local !== undefined && ((masks.f >>> r) & 1) !== 0) f.storeF64(h, local, F + 8 * r);
    });
  }

  /** The hart is to go on at a place when the region has been left. */
  endAt(at: number): void {
    this.f.set(this.end, i32.const(1 + at));
  }

  /** The end of the region. */
  leave(): void {
    const { f, h } = this;
    f.store32(h, this.end, REGION_END);
    f.store32(h, this.budget, BUDGET);
  }

  enterNode(node: Node): void {
    this.knownSingles = 0;
    this.node = node;
    if (node.steps.length > 0) this.f.set(this.budget, i32.sub(this.budget, i32.const(node.steps.length)));
  }

  /** Enters the block's step number `i`. */
  enterStep(i: number): void {
    this.step = this.node.steps[i];
    this.behind = this.node.steps.length - 1 - i;
    this.present = this.reaches.get(this.node)?.[i];
  }

  private get operands(): Operands {
    return this.step.decoded.operands;
  }

  /** Virtual address of a place in the region. */
  address(at: number): ExprI64 {
    return i64.add(this.page, i64.const(at));
  }

  /** An integer register, whichever instruction is being emitted. */
  readX(register: number): ExprI64 {
    if (register === 0) return i64.const(0);
    return this.x[register] ?? i64.load(this.h, X + 8 * register);
  }
  rs1(): ExprI64 {
    return this.readX(this.operands.rs1);
  }
  rs2(): ExprI64 {
    return this.readX(this.operands.rs2);
  }
  rs1IsX0(): ExprI32 {
    return i32.const(this.operands.rs1 === 0 ? 1 : 0);
  }
  rs2IsX0(): ExprI32 {
    return i32.const(this.operands.rs2 === 0 ? 1 : 0);
  }
  rs1Field(): ExprI64 {
    return i64.const(this.operands.rs1);
  }
  writeX(register: number, value: ExprI64): void {
    const local = this.x[register];
    if (local === undefined) this.f.store64(this.h, value, X + 8 * register);
    else this.f.set(local, value);
  }
  rd(value: ExprI64): void {
    const { rd } = this.operands;
    if (rd !== 0) this.writeX(rd, value);
    else if (hasEffects(value)) this.f.drop(value);
  }
  imm(): ExprI64 {
    return i64.const(this.operands.imm);
  }
  imm32(): ExprI32 {
    return i32.const(this.operands.imm);
  }

  /**
   * Translated code takes it that the floating-point unit is on and, where it rounds as frm
   * says, that this is to nearest: neither changes inside a region.
   */
  private guard({ uses, dynamicRounding }: FloatGuard): void {
    if (!uses) return;
    const { f, h } = this;
    const off = i32.eqz(i32.and(i32.load(h, SSTATUS), i32.const(SSTATUS_FS)));
    f.if(dynamicRounding ? i32.or(off, i32.load(h, FRM)) : off, () => {
      f.store32(h, i32.const(REGION_REFUSES), REGION_REASON);
      f.return();
    });
  }
  requireFloat(): void {
    // See `guard`.
  }

  private source(source: 1 | 2 | 3): number {
    return source === 1 ? this.operands.rs1 : source === 2 ? this.operands.rs2 : this.operands.imm;
  }
  private readF(register: number): ExprI64 {
    const local = this.fr[register];
    return local === undefined ? i64.load(this.h, F + 8 * register) : i64.reinterpretF64(local);
  }
  fs1(): ExprI64 {
    return this.readF(this.source(1));
  }
  fs2(): ExprI64 {
    return this.readF(this.source(2));
  }
  fs3(): ExprI64 {
    return this.readF(this.source(3));
  }
  fd(value: ExprI64): void {
    const { rd } = this.operands;
    const local = this.fr[rd];
    if (local === undefined) this.f.store64(this.h, value, F + 8 * rd);
    else this.f.set(local, f64.reinterpretI64(value));
    this.knownSingles &= ~(1 << rd);
  }
  single(source: 1 | 2 | 3): ExprI32 {
    const register = this.source(source);
    const known = this.singles[register];
    if (known !== undefined && ((this.knownSingles >>> register) & 1) !== 0) return i32.reinterpretF32(known);
    return unboxed(this.f, this.readF(register));
  }
  fdSingle(bits: ExprI32): void {
    const { rd } = this.operands;
    const local = (this.singles[rd] ??= this.f.lasting(F32));
    this.f.set(local, f32.reinterpretI32(bits));
    this.fd(boxed(i32.reinterpretF32(local)));
    this.knownSingles |= 1 << rd;
  }
  rmField(): ExprI32 {
    const { rm } = this.operands;
    return i32.const(rm === DYNAMIC ? 0 : rm);
  }

  uncounted(): ExprI32 {
    // Seldom needed, and the bits say whether.
    if (!COUNTERS.has(this.operands.imm >>> 20)) return i32.const(0);
    // In memory the budget is what it was when the region was entered; the instruction itself has been taken from it, and ends its block.
    return i32.sub(i32.sub(i32.load(this.h, BUDGET), this.budget), i32.const(1));
  }

  pc(): ExprI64 {
    return this.address(this.step.at);
  }
  /** What a core function takes for this instruction's address; see linkage.ts. */
  private place(): ExprI64 {
    return i64.const(this.step.at);
  }
  nextPc(): ExprI64 {
    return this.address(this.step.at + this.step.decoded.length);
  }

  jumpRelative(): void {
    this.flow.taken();
  }
  branchIf(cond: ExprI32): void {
    const { f, node } = this;
    const jump = (): void => this.jumpRelative();
    if (node.rare === 'taken') f.ifUnlikely(cond, jump);
    else if (node.rare === 'next') f.ifLikely(cond, jump);
    else f.if(cond, jump);
  }
  jumpTo(target: ExprI64): void {
    this.flow.indirect(target);
  }

  /** Takes back what was counted for instructions that are not executed, when the region is left. */
  private uncount(): void {
    if (this.behind > 0) this.f.store32(this.h, i32.const(this.behind), UNCOUNTED);
  }
  mayTrap(status: (pc: ExprI64) => ExprI32): void {
    this.f.ifUnlikely(status(this.place()), () => {
      this.uncount();
      this.flow.leave();
    });
  }
  findPlace(host: Local<typeof I32>, place: (pc: ExprI64, behind: number) => ExprI32): void {
    this.f.set(host, place(this.place(), this.behind));
    this.flow.leaveIf(i32.eqz(host));
  }
  trap(cause: number, tval: ExprI64): void {
    this.f.call(this.core.trap, this.h, this.place(), i64.const(cause), tval);
    this.uncount();
    this.flow.leave();
  }
  resumeAt(pc: ExprI64): void {
    this.f.store64(this.h, pc, PC);
    this.flow.leave();
  }
  exit(reason: number, pc: ExprI64): void {
    this.f.store32(this.h, i32.const(1 + reason), REGION_REASON);
    this.resumeAt(pc);
  }
  tlb(): ExprI32 {
    return this.tlbBase;
  }
  /** Does a load of the region, from a place that is known to be allowed. */
  loadFrom(step: Step, place: HostPlace): void {
    this.step = step;
    this.given = place;
    instructions[step.decoded.index].emit(this);
    this.given = undefined;
  }
  reached(): HostPlace | undefined {
    const { present, f } = this;
    if (this.given !== undefined) return this.given;
    if (present === undefined) return undefined;
    const { reach, at } = present;
    const host = (this.hosts[reach.depth] ??= f.lasting(I32));
    if (!this.lookedUp.has(reach)) {
      this.lookedUp.add(reach);
      const address = i64.add(this.readX(reach.base), i64.const(reach.low - reach.baseDistance));
      const { span, first, writes } = reach;
      f.set(
        host,
        emitReach(this, address, span, first, writes, (refused) => {
          // In loops that are done many turns at once it is no reason to make them anew.
          const isFinal = this.whole.has(this.node);
          if (!isFinal) this.leaves.push(this.step.at);
          this.flow.leaveIf(refused(this.place(), { behind: this.behind + 1, isFinal }));
        }),
      );
    }
    return { host, distance: at - reach.low };
  }
}
