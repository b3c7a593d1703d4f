/** F and D: floating point (unprivileged specification 21, 22). What the operations compute is in `float/`. */
import { I32, I64, call, choose, i32, i64, select, type Expr, type ExprI32, type ExprI64 } from '../../wasm/expr.js';
import { CAUSE_ILLEGAL } from '../causes.js';
import type { Context } from '../context.js';
import type { FormatFunctions } from '../float/index.js';
import { emitLoad, emitStore } from '../memory-access.js';
import { FRM } from '../state.js';
import { funct7, instruction, type Instruction } from './instruction.js';
import type { FormatName } from './format.js';

const OP_FP = 0x53;
const DYNAMIC = 7;

type Bits = typeof I32 | typeof I64;

/** What differs between single and double precision. */
interface Precision<V extends Bits> {
  readonly suffix: 's' | 'd';
  /** fmt field, bits 26:25. */
  readonly fmt: number;
  readonly width: 2 | 3;
  readonly functions: (c: Context) => FormatFunctions<V>;
  /** Raw bits of a register; a single that is not NaN-boxed reads as the canonical NaN (21.2). */
  readonly unbox: (c: Context, register: ExprI64) => Expr<V>;
  readonly box: (bits: Expr<V>) => ExprI64;
  readonly signBit: () => Expr<V>;
  readonly xor: (a: Expr<V>, b: Expr<V>) => Expr<V>;
  readonly and: (a: Expr<V>, b: Expr<V>) => Expr<V>;
  readonly or: (a: Expr<V>, b: Expr<V>) => Expr<V>;
  readonly not: (a: Expr<V>) => Expr<V>;
  readonly local: (c: Context, value: Expr<V>) => Expr<V>;
}

const boxed = (bits: ExprI32): ExprI64 => i64.or(i64.extendU(bits), i64.pair(-1, 0));

const single: Precision<typeof I32> = {
  suffix: 's',
  fmt: 0,
  width: 2,
  functions: (c) => c.core.float.single,
  unbox: (c, register) => {
    const value = c.f.local(I64, register);
    return select(i64.geU(value, i64.pair(-1, 0)), i32.wrap(value), i32.const(0x7fc00000));
  },
  box: boxed,
  signBit: () => i32.const(-0x80000000),
  xor: i32.xor,
  and: i32.and,
  or: i32.or,
  not: (a) => i32.xor(a, i32.const(-1)),
  local: (c, value) => c.f.local(I32, value),
};

const double: Precision<typeof I64> = {
  suffix: 'd',
  fmt: 1,
  width: 3,
  functions: (c) => c.core.float.double,
  unbox: (_, register) => register,
  box: (bits) => bits,
  signBit: () => i64.pair(-0x80000000, 0),
  xor: i64.xor,
  and: i64.and,
  or: i64.or,
  not: (a) => i64.xor(a, i64.const(-1)),
  local: (c, value) => c.f.local(I64, value),
};

/** The rounding mode in force; traps if the instruction or frm names a reserved one (21.2). */
function roundingMode(c: Context): ExprI32 {
  const field = c.rmField();
  const illegal = (): void => c.trap(CAUSE_ILLEGAL, i64.const(0));
  const known = field.constant;
  if (known !== undefined && known < 5) return field;
  const dynamic = i32.load(c.h, FRM);
  const mode = c.f.local(I32, known === DYNAMIC ? dynamic : choose(i32.eq(field, i32.const(DYNAMIC)), dynamic, field));
  c.f.if(i32.gtU(mode, i32.const(4)), illegal);
  return mode;
}

/** An instruction that needs the floating-point unit switched on. */
const unit = (
  name: string,
  format: FormatName,
  opcode: number,
  funct3: number,
  high: number,
  emit: (c: Context) => void,
): Instruction =>
  instruction(name, format, opcode, funct3, high, (c) => {
    c.requireFloat();
    emit(c);
  });

function forPrecision<V extends Bits>(p: Precision<V>): Instruction[] {
  const s = p.suffix;
  const a = (c: Context): Expr<V> => p.unbox(c, c.fs1());
  const b = (c: Context): Expr<V> => p.unbox(c, c.fs2());
  const op = (funct5: number): number => funct7((funct5 << 2) | p.fmt);
  const rs2 = (field: number): number => field << 20;

  const arithmetic = (name: 'add' | 'sub' | 'mul' | 'div', funct5: number): Instruction =>
    unit(`f${name}.${s}`, 'floatRounded', OP_FP, 0, op(funct5), (c) => {
      const rm = roundingMode(c);
      c.fd(p.box(call(p.functions(c)[name], c.h, a(c), b(c), rm)));
    });
  const minMax = (name: 'min' | 'max', funct3: number): Instruction =>
    unit(`f${name}.${s}`, 'floatR', OP_FP, funct3, op(0x05), (c) =>
      c.fd(p.box(call(p.functions(c)[name], c.h, a(c), b(c)))),
    );
  const compare = (name: 'eq' | 'lt' | 'le', funct3: number): Instruction =>
    unit(`f${name}.${s}`, 'floatCompare', OP_FP, funct3, op(0x14), (c) =>
      c.rd(c.f.local(I64, i64.extendU(call(p.functions(c)[name], c.h, a(c), b(c))))),
    );
  /** Sign injection works on the bits; NaNs pass. */
  const sign = (name: string, funct3: number, combine: (a: Expr<V>, b: Expr<V>) => Expr<V>): Instruction =>
    unit(`f${name}.${s}`, 'floatR', OP_FP, funct3, op(0x04), (c) => {
      const x = p.local(c, a(c));
      const injected = p.and(combine(x, b(c)), p.signBit());
      c.fd(p.box(p.or(p.and(x, p.not(p.signBit())), injected)));
    });
  /** The four fused operations differ in the signs of product and addend only. */
  const fused = (name: string, opcode: number, negateProduct: boolean, negateAddend: boolean): Instruction =>
    unit(`${name}.${s}`, 'floatR4', opcode, 0, p.fmt << 25, (c) => {
      const rm = roundingMode(c);
      const flip = (value: Expr<V>, negate: boolean): Expr<V> => (negate ? p.xor(value, p.signBit()) : value);
      const addend = p.unbox(c, c.fs3());
      c.fd(p.box(call(p.functions(c).fma, c.h, flip(a(c), negateProduct), b(c), flip(addend, negateAddend), rm)));
    });

  const integers = ['w', 'wu', 'l', 'lu'] as const;
  return [
    unit(`fl${s === 's' ? 'w' : 'd'}`, 'floatLoad', 0x07, p.width, 0, (c) => {
      const address = i64.add(c.rs1(), c.imm());
      const raw = emitLoad(
        c,
        p.width,
        address,
        (host) => (s === 's' ? i64.load32U(host) : i64.load(host)),
        (value) => value,
      );
      c.fd(s === 's' ? i64.or(raw, i64.pair(-1, 0)) : raw);
    }),
    unit(`fs${s === 's' ? 'w' : 'd'}`, 'floatStore', 0x27, p.width, 0, (c) =>
      emitStore(c, p.width, i64.add(c.rs1(), c.imm()), c.fs2()),
    ),
    fused('fmadd', 0x43, false, false),
    fused('fmsub', 0x47, false, true),
    fused('fnmsub', 0x4b, true, false),
    fused('fnmadd', 0x4f, true, true),
    arithmetic('add', 0x00),
    arithmetic('sub', 0x01),
    arithmetic('mul', 0x02),
    arithmetic('div', 0x03),
    unit(`fsqrt.${s}`, 'floatUnaryRounded', OP_FP, 0, op(0x0b), (c) => {
      const rm = roundingMode(c);
      c.fd(p.box(call(p.functions(c).sqrt, c.h, a(c), rm)));
    }),
    sign('sgnj', 0, (_, y) => y),
    sign('sgnjn', 1, (_, y) => p.not(y)),
    sign('sgnjx', 2, (x, y) => p.xor(x, y)),
    minMax('min', 0),
    minMax('max', 1),
    compare('le', 0),
    compare('lt', 1),
    compare('eq', 2),
    unit(`fclass.${s}`, 'floatToInteger', OP_FP, 1, op(0x1c), (c) =>
      c.rd(i64.extendU(call(p.functions(c).classify, c.h, a(c)))),
    ),
    ...integers.map((type, i) =>
      unit(`fcvt.${type}.${s}`, 'floatToIntegerRounded', OP_FP, 0, op(0x18) | rs2(i), (c) => {
        const rm = roundingMode(c);
        c.rd(c.f.local(I64, call(p.functions(c).toInteger[type], c.h, a(c), rm)));
      }),
    ),
    ...integers.map((type, i) =>
      unit(`fcvt.${s}.${type}`, 'integerToFloatRounded', OP_FP, 0, op(0x1a) | rs2(i), (c) => {
        const rm = roundingMode(c);
        c.fd(p.box(call(p.functions(c).fromInteger[type], c.h, c.rs1(), rm)));
      }),
    ),
  ];
}

export const float: readonly Instruction[] = [
  ...forPrecision(single),
  ...forPrecision(double),
  unit('fcvt.s.d', 'floatUnaryRounded', OP_FP, 0, funct7(0x20) | (1 << 20), (c) => {
    const rm = roundingMode(c);
    c.fd(boxed(call(c.core.float.narrow, c.h, c.fs1(), rm)));
  }),
  // Widening is exact; a reserved rounding mode traps all the same.
  unit('fcvt.d.s', 'floatUnaryRounded', OP_FP, 0, funct7(0x21), (c) => {
    roundingMode(c);
    c.fd(call(c.core.float.widen, c.h, single.unbox(c, c.fs1())));
  }),
  unit('fmv.x.w', 'floatToInteger', OP_FP, 0, funct7(0x70), (c) => c.rd(i64.extend32(c.fs1()))),
  unit('fmv.w.x', 'integerToFloat', OP_FP, 0, funct7(0x78), (c) =>
    c.fd(i64.or(i64.and(c.rs1(), i64.pair(0, -1)), i64.pair(-1, 0))),
  ),
  unit('fmv.x.d', 'floatToInteger', OP_FP, 0, funct7(0x71), (c) => c.rd(c.fs1())),
  unit('fmv.d.x', 'integerToFloat', OP_FP, 0, funct7(0x79), (c) => c.fd(c.rs1())),
];
