/**
 * WebAssembly expressions as trees.
 *
 * An expression is typed by the value it leaves, so that a 32-bit value where a
 * 64-bit one is meant does not compile. A tree is emitted where a statement of a
 * `FunctionBuilder` takes it, once for each use: what is to be computed once goes
 * into a local. Opcodes are those of the core specification 5.4, threads proposal
 * for the atomics.
 */
export const I32 = 0x7f;
/** A 64-bit integer. */
export const I64 = 0x7e;
/** A 32-bit floating-point number. */
export const F32 = 0x7d;
/** A 64-bit floating-point number. */
export const F64 = 0x7c;
/** A type of WebAssembly's values. */
export type ValueType = typeof I32 | typeof I64 | typeof F32 | typeof F64;

export const enum Kind {
  Const,
  Local,
  Operation,
  Load,
  Atomic,
  Call,
  CallIndirect,
  Select,
  If,
}

/** What can be called: a function of the module under construction. */
export interface Callable<R extends ValueType | undefined = ValueType | undefined> {
  /** Function index. */
  readonly index: number;
  readonly result: R;
}

/** One node; all kinds share this shape so that the emitter stays monomorphic. */
export class Expr<T extends ValueType = ValueType> {
  constructor(
    readonly type: T,
    readonly kind: Kind,
    /** Opcode; of a local, its index; of a call, the function. */
    readonly op: number,
    /** Low and high half of a constant; offset and log2 of the alignment of an access. */
    readonly lo: number,
    readonly hi: number,
    readonly args: readonly Expr[],
  ) {}

  /** The value if this is a 32-bit constant. */
  get constant(): number | undefined {
    return this.kind === Kind.Const && this.type === I32 ? this.lo : undefined;
  }
}

export type ExprI32 = Expr<typeof I32>;
export type ExprI64 = Expr<typeof I64>;
export type ExprF32 = Expr<typeof F32>;
export type ExprF64 = Expr<typeof F64>;
export type Local<T extends ValueType = ValueType> = Expr<T>;

const none: readonly Expr[] = [];

const isZero = (e: Expr): boolean =>
  e.kind === Kind.Const && (e.type === I32 || e.type === I64) && e.lo === 0 && e.hi === 0;

function unary<A extends ValueType, T extends ValueType>(type: T, op: number) {
  return (a: Expr<A>): Expr<T> => new Expr(type, Kind.Operation, op, 0, 0, [a]);
}
function binary<A extends ValueType, T extends ValueType>(type: T, op: number) {
  return (a: Expr<A>, b: Expr<A>): Expr<T> => new Expr(type, Kind.Operation, op, 0, 0, [a, b]);
}
/** An operation whose right operand 0 changes nothing. */
function neutral<T extends ValueType>(type: T, op: number) {
  return (a: Expr<T>, b: Expr<T>): Expr<T> => (isZero(b) ? a : new Expr(type, Kind.Operation, op, 0, 0, [a, b]));
}
/** The same where either may be that operand. */
function commutes<T extends ValueType>(type: T, op: number) {
  const operation = neutral(type, op);
  return (a: Expr<T>, b: Expr<T>): Expr<T> => (isZero(a) ? b : operation(a, b));
}
/** A comparison for equality; with 0 it is an operation of its own, shorter. */
function equal<A extends ValueType>(op: number, opZero: number) {
  return (a: Expr<A>, b: Expr<A>): ExprI32 =>
    isZero(b) ? new Expr(I32, Kind.Operation, opZero, 0, 0, [a]) : new Expr(I32, Kind.Operation, op, 0, 0, [a, b]);
}
/** What `a` was made from, if it was made by the operation that the next one would undo. */
const undo = <T extends ValueType>(a: Expr, type: T, op: number): Expr<T> | undefined =>
  a.kind === Kind.Operation && a.op === op && a.args[0].type === type ? (a.args[0] as Expr<T>) : undefined;
function load<T extends ValueType>(type: T, op: number) {
  return (address: ExprI32, offset = 0): Expr<T> => new Expr(type, Kind.Load, op, offset, 0, [address]);
}
/** Atomic accesses must state their natural alignment: `align` is its log2. */
function atomic<T extends ValueType>(type: T, op: number, align: number) {
  return (address: ExprI32, ...values: Expr[]): Expr<T> =>
    new Expr(type, Kind.Atomic, op, 0, align, [address, ...values]);
}

export const i32 = {
  const: (value: number): ExprI32 => new Expr(I32, Kind.Const, 0x41, value | 0, 0, none),
  eqz: unary<typeof I32, typeof I32>(I32, 0x45),
  eq: equal<typeof I32>(0x46, 0x45),
  ne: binary<typeof I32, typeof I32>(I32, 0x47),
  ltS: binary<typeof I32, typeof I32>(I32, 0x48),
  ltU: binary<typeof I32, typeof I32>(I32, 0x49),
  gtS: binary<typeof I32, typeof I32>(I32, 0x4a),
  gtU: binary<typeof I32, typeof I32>(I32, 0x4b),
  leS: binary<typeof I32, typeof I32>(I32, 0x4c),
  leU: binary<typeof I32, typeof I32>(I32, 0x4d),
  geS: binary<typeof I32, typeof I32>(I32, 0x4e),
  geU: binary<typeof I32, typeof I32>(I32, 0x4f),
  clz: unary<typeof I32, typeof I32>(I32, 0x67),
  ctz: unary<typeof I32, typeof I32>(I32, 0x68),
  popcnt: unary<typeof I32, typeof I32>(I32, 0x69),
  add: commutes(I32, 0x6a),
  sub: neutral(I32, 0x6b),
  mul: binary<typeof I32, typeof I32>(I32, 0x6c),
  divS: binary<typeof I32, typeof I32>(I32, 0x6d),
  divU: binary<typeof I32, typeof I32>(I32, 0x6e),
  remS: binary<typeof I32, typeof I32>(I32, 0x6f),
  remU: binary<typeof I32, typeof I32>(I32, 0x70),
  and: binary<typeof I32, typeof I32>(I32, 0x71),
  or: commutes(I32, 0x72),
  xor: commutes(I32, 0x73),
  shl: neutral(I32, 0x74),
  shrS: neutral(I32, 0x75),
  shrU: neutral(I32, 0x76),
  rotl: neutral(I32, 0x77),
  rotr: neutral(I32, 0x78),
  wrap: (a: ExprI64): ExprI32 =>
    a.kind === Kind.Const ? i32.const(a.lo) : new Expr(I32, Kind.Operation, 0xa7, 0, 0, [a]),
  truncSatF32S: unary<typeof F32, typeof I32>(I32, 0xfc00),
  truncSatF64S: unary<typeof F64, typeof I32>(I32, 0xfc02),
  truncSatF64U: unary<typeof F64, typeof I32>(I32, 0xfc03),
  reinterpretF32: (a: ExprF32): ExprI32 => undo(a, I32, 0xbe) ?? new Expr(I32, Kind.Operation, 0xbc, 0, 0, [a]),
  extend8: unary<typeof I32, typeof I32>(I32, 0xc0),
  extend16: unary<typeof I32, typeof I32>(I32, 0xc1),
  load: load(I32, 0x28),
  load8S: load(I32, 0x2c),
  load8U: load(I32, 0x2d),
  load16S: load(I32, 0x2e),
  load16U: load(I32, 0x2f),
  atomicLoad: atomic(I32, 0xfe10, 2),
  atomicAdd: atomic(I32, 0xfe1e, 2),
  atomicAnd: atomic(I32, 0xfe2c, 2),
  atomicOr: atomic(I32, 0xfe33, 2),
  atomicXor: atomic(I32, 0xfe3a, 2),
  atomicExchange: atomic(I32, 0xfe41, 2),
  atomicCompareExchange: atomic(I32, 0xfe48, 2),
  /** f32.eq and its kind leave an i32. */
  f32Eq: binary<typeof F32, typeof I32>(I32, 0x5b),
  f32Ne: binary<typeof F32, typeof I32>(I32, 0x5c),
  f32Lt: binary<typeof F32, typeof I32>(I32, 0x5d),
  f32Gt: binary<typeof F32, typeof I32>(I32, 0x5e),
  f32Le: binary<typeof F32, typeof I32>(I32, 0x5f),
  f32Ge: binary<typeof F32, typeof I32>(I32, 0x60),
  f64Eq: binary<typeof F64, typeof I32>(I32, 0x61),
  f64Ne: binary<typeof F64, typeof I32>(I32, 0x62),
  f64Lt: binary<typeof F64, typeof I32>(I32, 0x63),
  f64Gt: binary<typeof F64, typeof I32>(I32, 0x64),
  f64Le: binary<typeof F64, typeof I32>(I32, 0x65),
  f64Ge: binary<typeof F64, typeof I32>(I32, 0x66),
};

export const i64 = {
  /** A constant that fits a JavaScript integer of at most 53 bits. */
  const: (value: number): ExprI64 =>
    new Expr(I64, Kind.Const, 0x42, value | 0, Math.floor(value / 0x1_0000_0000) | 0, none),
  /** A constant in two halves. */
  pair: (hi: number, lo: number): ExprI64 => new Expr(I64, Kind.Const, 0x42, lo | 0, hi | 0, none),
  eqz: unary<typeof I64, typeof I32>(I32, 0x50),
  eq: equal<typeof I64>(0x51, 0x50),
  ne: binary<typeof I64, typeof I32>(I32, 0x52),
  ltS: binary<typeof I64, typeof I32>(I32, 0x53),
  ltU: binary<typeof I64, typeof I32>(I32, 0x54),
  gtS: binary<typeof I64, typeof I32>(I32, 0x55),
  gtU: binary<typeof I64, typeof I32>(I32, 0x56),
  leS: binary<typeof I64, typeof I32>(I32, 0x57),
  leU: binary<typeof I64, typeof I32>(I32, 0x58),
  geS: binary<typeof I64, typeof I32>(I32, 0x59),
  geU: binary<typeof I64, typeof I32>(I32, 0x5a),
  clz: unary<typeof I64, typeof I64>(I64, 0x79),
  ctz: unary<typeof I64, typeof I64>(I64, 0x7a),
  popcnt: unary<typeof I64, typeof I64>(I64, 0x7b),
  add: commutes(I64, 0x7c),
  sub: neutral(I64, 0x7d),
  mul: binary<typeof I64, typeof I64>(I64, 0x7e),
  divS: binary<typeof I64, typeof I64>(I64, 0x7f),
  divU: binary<typeof I64, typeof I64>(I64, 0x80),
  remS: binary<typeof I64, typeof I64>(I64, 0x81),
  remU: binary<typeof I64, typeof I64>(I64, 0x82),
  and: binary<typeof I64, typeof I64>(I64, 0x83),
  or: commutes(I64, 0x84),
  xor: commutes(I64, 0x85),
  shl: neutral(I64, 0x86),
  shrS: neutral(I64, 0x87),
  shrU: neutral(I64, 0x88),
  rotl: neutral(I64, 0x89),
  rotr: neutral(I64, 0x8a),
  extendS: unary<typeof I32, typeof I64>(I64, 0xac),
  extendU: unary<typeof I32, typeof I64>(I64, 0xad),
  extend8: unary<typeof I64, typeof I64>(I64, 0xc2),
  extend16: unary<typeof I64, typeof I64>(I64, 0xc3),
  extend32: unary<typeof I64, typeof I64>(I64, 0xc4),
  truncSatF64S: unary<typeof F64, typeof I64>(I64, 0xfc06),
  truncSatF64U: unary<typeof F64, typeof I64>(I64, 0xfc07),
  reinterpretF64: (a: ExprF64): ExprI64 => undo(a, I64, 0xbf) ?? new Expr(I64, Kind.Operation, 0xbd, 0, 0, [a]),
  load: load(I64, 0x29),
  load8S: load(I64, 0x30),
  load8U: load(I64, 0x31),
  load16S: load(I64, 0x32),
  load16U: load(I64, 0x33),
  load32S: load(I64, 0x34),
  load32U: load(I64, 0x35),
  atomicLoad: atomic(I64, 0xfe11, 3),
  atomicAdd: atomic(I64, 0xfe1f, 3),
  atomicAnd: atomic(I64, 0xfe2d, 3),
  atomicOr: atomic(I64, 0xfe34, 3),
  atomicXor: atomic(I64, 0xfe3b, 3),
  atomicExchange: atomic(I64, 0xfe42, 3),
  atomicCompareExchange: atomic(I64, 0xfe49, 3),
};

export const f32 = {
  abs: unary<typeof F32, typeof F32>(F32, 0x8b),
  neg: unary<typeof F32, typeof F32>(F32, 0x8c),
  sqrt: unary<typeof F32, typeof F32>(F32, 0x91),
  add: binary<typeof F32, typeof F32>(F32, 0x92),
  sub: binary<typeof F32, typeof F32>(F32, 0x93),
  mul: binary<typeof F32, typeof F32>(F32, 0x94),
  div: binary<typeof F32, typeof F32>(F32, 0x95),
  copysign: binary<typeof F32, typeof F32>(F32, 0x98),
  convertI32S: unary<typeof I32, typeof F32>(F32, 0xb2),
  convertI64S: unary<typeof I64, typeof F32>(F32, 0xb4),
  convertI64U: unary<typeof I64, typeof F32>(F32, 0xb5),
  demote: unary<typeof F64, typeof F32>(F32, 0xb6),
  reinterpretI32: (a: ExprI32): ExprF32 => undo(a, F32, 0xbc) ?? new Expr(F32, Kind.Operation, 0xbe, 0, 0, [a]),
  load: load(F32, 0x2a),
};

export const f64 = {
  /** Use only for values that are exact in decimal notation. */
  const: (value: number): ExprF64 => {
    const words = new DataView(new ArrayBuffer(8));
    words.setFloat64(0, value);
    return f64.reinterpretI64(i64.pair(words.getInt32(0), words.getInt32(4)));
  },
  abs: unary<typeof F64, typeof F64>(F64, 0x99),
  neg: unary<typeof F64, typeof F64>(F64, 0x9a),
  ceil: unary<typeof F64, typeof F64>(F64, 0x9b),
  floor: unary<typeof F64, typeof F64>(F64, 0x9c),
  trunc: unary<typeof F64, typeof F64>(F64, 0x9d),
  nearest: unary<typeof F64, typeof F64>(F64, 0x9e),
  sqrt: unary<typeof F64, typeof F64>(F64, 0x9f),
  add: binary<typeof F64, typeof F64>(F64, 0xa0),
  sub: binary<typeof F64, typeof F64>(F64, 0xa1),
  mul: binary<typeof F64, typeof F64>(F64, 0xa2),
  div: binary<typeof F64, typeof F64>(F64, 0xa3),
  copysign: binary<typeof F64, typeof F64>(F64, 0xa6),
  convertI32S: unary<typeof I32, typeof F64>(F64, 0xb7),
  convertI32U: unary<typeof I32, typeof F64>(F64, 0xb8),
  convertI64S: unary<typeof I64, typeof F64>(F64, 0xb9),
  convertI64U: unary<typeof I64, typeof F64>(F64, 0xba),
  promote: unary<typeof F32, typeof F64>(F64, 0xbb),
  reinterpretI64: (a: ExprI64): ExprF64 => undo(a, F64, 0xbd) ?? new Expr(F64, Kind.Operation, 0xbf, 0, 0, [a]),
  load: load(F64, 0x2b),
};

/** `cond ? a : b`, both evaluated. */
export function select<T extends ValueType>(cond: ExprI32, a: Expr<T>, b: Expr<T>): Expr<T> {
  return new Expr(a.type, Kind.Select, 0x1b, 0, 0, [a, b, cond]);
}

/** `cond ? a : b`, only one evaluated. */
export function choose<T extends ValueType>(cond: ExprI32, a: Expr<T>, b: Expr<T>): Expr<T> {
  return new Expr(a.type, Kind.If, 0x04, 0, 0, [cond, a, b]);
}

/** The result of a call. */
export function call<T extends ValueType>(target: Callable<T>, ...args: Expr[]): Expr<T> {
  return new Expr(target.result, Kind.Call, target.index, 0, 0, args);
}

/** The result of a call through the module's table 0; `type` is an index given by `ModuleBuilder.type`. */
export function callIndirect<T extends ValueType>(result: T, type: number, slot: ExprI32, ...args: Expr[]): Expr<T> {
  return new Expr(result, Kind.CallIndirect, type, 0, 0, [...args, slot]);
}

/** A place for a value; made by `FunctionBuilder.local`. */
export const localExpr = <T extends ValueType>(type: T, index: number): Local<T> =>
  new Expr(type, Kind.Local, index, 0, 0, none);

/** Whether evaluating an expression may do more than leave a value. */
export function hasEffects(e: Expr): boolean {
  return (
    e.kind === Kind.Atomic ||
    e.kind === Kind.Call ||
    e.kind === Kind.CallIndirect ||
    e.args.some((arg) => hasEffects(arg))
  );
}
