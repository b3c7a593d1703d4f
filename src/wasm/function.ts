import { ByteWriter } from './bytes.js';
import type { Callable, Expr, ExprI32, ExprI64, Local, ValueType } from './expr.js';
import { I32, Kind, localExpr } from './expr.js';

/** Where a branch goes: a block's end, a loop's start. */
export interface Label {
  readonly depth: number;
}

/** What is known of a conditional branch. */
export interface BranchHint {
  /** Where the instruction lies: bytes from the beginning of the function's body. */
  readonly at: number;
  /** It is taken nearly always, or hardly ever. */
  readonly likely: boolean;
}

const LOCAL_GET = 0x20;
const LOCAL_SET = 0x21;
const LOCAL_TEE = 0x22;
const BLOCK = 0x02;
const LOOP = 0x03;
const IF = 0x04;
const ELSE = 0x05;
const END = 0x0b;
const VOID = 0x40;

/**
 * Builds the body of one WebAssembly function: statements are emitted as they are
 * called, expressions (`expr.ts`) where a statement takes them.
 */
export class FunctionBuilder<R extends ValueType | undefined = ValueType | undefined> implements Callable<R> {
  private readonly code = new ByteWriter();
  private readonly hints: BranchHint[] = [];
  private depth = 0;
  /** The last `local.set`: where it lies, where it ends, which local. */
  private setAt = 0;
  private setEnd = 0;
  private setLocal = -1;
  private readonly localTypes: ValueType[] = [];
  private readonly free = new Map<ValueType, Local[]>();
  private scopeLocals: Local[] | undefined;
  readonly params: readonly Local[];

  constructor(
    /** Index in the module's function space. */
    readonly index: number,
    readonly paramTypes: readonly ValueType[],
    readonly result: R,
  ) {
    this.params = paramTypes.map((type, i) => localExpr(type, i));
  }

  param<T extends ValueType>(type: T, i: number): Local<T> {
    if (this.paramTypes[i] !== type) throw new TypeError(`parameter ${i} has another type`);
    return this.params[i] as Local<T>;
  }

  /** A local of this function; inside `scope` it is given back when the scope ends. */
  local<T extends ValueType>(type: T, init?: Expr<T>): Local<T> {
    const reused = this.free.get(type)?.pop() as Local<T> | undefined;
    const local = reused ?? localExpr(type, this.paramTypes.length + this.localTypes.push(type) - 1);
    this.scopeLocals?.push(local);
    if (init !== undefined) this.set(local, init);
    return local;
  }

  /** A value for several uses: a local it has now, which must not be set before the last of them, or a new one. */
  held<T extends ValueType>(type: T, value: Expr<T>): Local<T> {
    return value.kind === Kind.Local ? value : this.local(type, value);
  }

  /** A local that no scope takes back. */
  lasting<T extends ValueType>(type: T): Local<T> {
    return localExpr(type, this.paramTypes.length + this.localTypes.push(type) - 1);
  }

  /** Locals made inside `body` may be used again after it. A reused local holds its old value, not zero. */
  scope(body: () => void): void {
    const outer = this.scopeLocals;
    const mine: Local[] = [];
    this.scopeLocals = mine;
    body();
    this.scopeLocals = outer;
    for (const local of mine) {
      const list = this.free.get(local.type);
      if (list === undefined) this.free.set(local.type, [local]);
      else list.push(local);
    }
  }

  set<T extends ValueType>(local: Local<T>, value: Expr<T>): void {
    if (value.kind === Kind.Local && value.op === local.op) return;
    this.emit(value);
    this.setAt = this.code.length;
    this.code.u8(LOCAL_SET);
    this.code.u32(local.op);
    this.setEnd = this.code.length;
    this.setLocal = local.op;
  }

  /** A local that has just been set is still at hand: one instruction does both. */
  private get(local: number): void {
    const { code } = this;
    if (this.setLocal === local && this.setEnd === code.length) {
      code.patch(this.setAt, LOCAL_TEE);
      this.setLocal = -1;
    } else {
      code.u8(LOCAL_GET);
      code.u32(local);
    }
  }

  drop(value: Expr): void {
    this.emit(value);
    this.code.u8(0x1a);
  }

  /** A call without a result. */
  call(target: Callable<undefined>, ...args: readonly Expr[]): void {
    for (const arg of args) this.emit(arg);
    this.code.u8(0x10);
    this.code.u32(target.index);
  }

  /** A call through table 0, without a result; `type` is an index given by `ModuleBuilder.type`. */
  callIndirect(type: number, slot: ExprI32, ...args: readonly Expr[]): void {
    for (const arg of args) this.emit(arg);
    this.emit(slot);
    this.code.u8(0x11);
    this.code.u32(type);
    this.code.u8(0);
  }

  return(value?: Expr): void {
    if (value !== undefined) this.emit(value);
    this.code.u8(0x0f);
  }

  unreachable(): void {
    this.code.u8(0x00);
  }

  /** Stores a 32-bit value whole, or its low 8 or 16 bits. */
  store32(address: ExprI32, value: ExprI32, offset = 0): void {
    this.storeOp(0x36, address, value, offset);
  }
  store8(address: ExprI32, value: ExprI32, offset = 0): void {
    this.storeOp(0x3a, address, value, offset);
  }
  store16(address: ExprI32, value: ExprI32, offset = 0): void {
    this.storeOp(0x3b, address, value, offset);
  }
  store64(address: ExprI32, value: ExprI64, offset = 0): void {
    this.storeOp(0x37, address, value, offset);
  }
  /** Stores the low `bits` bits of a 64-bit value. */
  store64Low(bits: 8 | 16 | 32 | 64, address: ExprI32, value: ExprI64, offset = 0): void {
    this.storeOp(bits === 8 ? 0x3c : bits === 16 ? 0x3d : bits === 32 ? 0x3e : 0x37, address, value, offset);
  }
  storeF64(address: ExprI32, value: Expr, offset = 0): void {
    this.storeOp(0x39, address, value, offset);
  }

  private storeOp(op: number, address: ExprI32, value: Expr, offset: number): void {
    this.emit(address);
    this.emit(value);
    this.code.u8(op);
    this.code.u8(0);
    this.code.u32(offset);
  }

  /** Sequentially consistent store. */
  atomicStore32(address: ExprI32, value: ExprI32): void {
    this.emit(address);
    this.emit(value);
    this.code.u8(0xfe);
    this.code.u8(0x17);
    this.code.u8(2);
    this.code.u8(0);
  }

  fence(): void {
    this.code.u8(0xfe);
    this.code.u8(0x03);
    this.code.u8(0);
  }

  /** memory.fill. */
  fill(address: ExprI32, byte: ExprI32, length: ExprI32): void {
    this.emit(address);
    this.emit(byte);
    this.emit(length);
    this.code.u8(0xfc);
    this.code.u8(11);
    this.code.u8(0);
  }

  block(body: (end: Label) => void): void {
    this.structured(BLOCK, body);
  }

  loop(body: (again: Label) => void): void {
    this.structured(LOOP, body);
  }

  if(cond: ExprI32, then: () => void, otherwise?: () => void): void {
    this.emit(cond);
    this.structured(IF, () => {
      then();
      if (otherwise === undefined) return;
      this.code.u8(ELSE);
      otherwise();
    });
  }

  /** An `if` whose condition hardly ever holds: the engine may keep it out of the way of the rest. */
  ifUnlikely(cond: ExprI32, then: () => void): void {
    this.ifHinted(false, cond, then);
  }

  /** An `if` whose condition holds nearly always. */
  ifLikely(cond: ExprI32, then: () => void): void {
    this.ifHinted(true, cond, then);
  }

  private ifHinted(likely: boolean, cond: ExprI32, then: () => void): void {
    this.emit(cond);
    this.hints.push({ at: this.code.length, likely });
    this.structured(IF, then);
  }

  /** Opens a block whose end is placed by hand with `end`; for control flow that does not nest as callbacks. */
  begin(kind: 'block' | 'loop'): Label {
    this.code.u8(kind === 'block' ? BLOCK : LOOP);
    this.code.u8(VOID);
    this.depth++;
    return { depth: this.depth };
  }

  end(): void {
    this.depth--;
    this.code.u8(END);
  }

  private structured(op: number, body: (label: Label) => void): void {
    this.code.u8(op);
    this.code.u8(VOID);
    this.depth++;
    body({ depth: this.depth });
    this.depth--;
    this.code.u8(END);
  }

  br(label: Label): void {
    this.code.u8(0x0c);
    this.code.u32(this.depth - label.depth);
  }

  brIf(label: Label, cond: ExprI32): void {
    this.emit(cond);
    this.branchIf(label);
  }

  /** A `brIf` that is hardly ever taken. */
  brIfUnlikely(label: Label, cond: ExprI32): void {
    this.emit(cond);
    this.hints.push({ at: this.code.length, likely: false });
    this.branchIf(label);
  }

  private branchIf(label: Label): void {
    this.code.u8(0x0d);
    this.code.u32(this.depth - label.depth);
  }

  brTable(selector: ExprI32, labels: readonly Label[], otherwise: Label): void {
    this.emit(selector);
    this.code.u8(0x0e);
    this.code.u32(labels.length);
    for (const label of labels) this.code.u32(this.depth - label.depth);
    this.code.u32(this.depth - otherwise.depth);
  }

  /** Size of the code so far, in bytes. */
  get size(): number {
    return this.code.length;
  }

  private emit(e: Expr): void {
    const code = this.code;
    const args = e.args;
    switch (e.kind) {
      case Kind.Const:
        code.u8(e.op);
        if (e.type === I32) code.s32(e.lo);
        else code.s64(e.hi, e.lo);
        return;
      case Kind.Local:
        this.get(e.op);
        return;
      case Kind.Operation:
        this.emit(args[0]);
        if (args.length > 1) this.emit(args[1]);
        if (e.op > 0xff) {
          code.u8(e.op >>> 8);
          code.u32(e.op & 0xff);
        } else {
          code.u8(e.op);
        }
        return;
      case Kind.Load:
        this.emit(args[0]);
        code.u8(e.op);
        code.u8(0);
        code.u32(e.lo);
        return;
      case Kind.Atomic:
        for (const arg of args) this.emit(arg);
        code.u8(0xfe);
        code.u8(e.op & 0xff);
        code.u8(e.hi);
        code.u32(e.lo);
        return;
      case Kind.Call:
        for (const arg of args) this.emit(arg);
        code.u8(0x10);
        code.u32(e.op);
        return;
      case Kind.CallIndirect:
        for (const arg of args) this.emit(arg);
        code.u8(0x11);
        code.u32(e.op);
        code.u8(0);
        return;
      case Kind.Select:
        for (const arg of args) this.emit(arg);
        code.u8(0x1b);
        return;
      case Kind.If:
        this.emit(args[0]);
        code.u8(IF);
        code.u8(e.type);
        this.emit(args[1]);
        code.u8(ELSE);
        this.emit(args[2]);
        code.u8(END);
        return;
    }
  }

  /** The function's entry in the code section, without its length, and what is known of branches in it. */
  finish(): { readonly code: ByteWriter; readonly hints: readonly BranchHint[] } {
    if (this.depth !== 0) throw new Error(`function ${this.index} ends inside ${this.depth} open blocks`);
    const out = new ByteWriter(this.code.length + 64);
    const runs: [number, ValueType][] = [];
    for (const type of this.localTypes) {
      const last = runs.at(-1);
      if (last?.[1] === type) last[0]++;
      else runs.push([1, type]);
    }
    out.u32(runs.length);
    for (const [count, type] of runs) {
      out.u32(count);
      out.u8(type);
    }
    const start = out.length;
    out.append(this.code.view());
    // A function that leaves a value must not fall off its end: every path returns.
    if (this.result !== undefined) out.u8(0x00);
    out.u8(END);
    return { code: out, hints: this.hints.map(({ at, likely }) => ({ at: start + at, likely })) };
  }
}
