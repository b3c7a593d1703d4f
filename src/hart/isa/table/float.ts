/** F and D: floating point (unprivileged specification 21, 22). What the operations compute is in `float/`. */
import { I32, I64, choose, i32, i64, type Expr, type ExprI32 } from '../../../wasm/expr.js';
import { CAUSE_ILLEGAL } from '../causes.js';
import type { Context } from '../../context.js';
import type { FormatOperations } from '../../float/operations.js';
import { emitLoad, emitStore } from '../../memory-access.js';
import { FRM } from '../../state.js';
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
  readonly operations: (c: Context) => FormatOperations<V>;
  /** Source register 1, 2 or 3, and the destination. */
  readonly read: (c: Context, source: 1 | 2 | 3) => Expr<V>;
  readonly write: (c: Context, bits: Expr<V>) => void;
  readonly signBit: () => Expr<V>;
  readonly xor: (a: Expr<V>, b: Expr<V>) => Expr<V>;
  readonly and: (a: Expr<V>, b: Expr<V>) => Expr<V>;
  readonly or: (a: Expr<V>, b: Expr<V>) => Expr<V>;
  readonly not: (a: Expr<V>) => Expr<V>;
  readonly local: (c: Context, value: Expr<V>) => Expr<V>;
}

const single: Precision<typeof I32> = {
  suffix: 's',
  fmt: 0,
  width: 2,
  operations: (c) => c.floats.single,
  read: (c, source) => c.single(source),
  write: (c, bits) => c.fdSingle(bits),
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
  operations: (c) => c.floats.double,
  read: (c, source) => (source === 1 ? c.fs1() : source === 2 ? c.fs2() : c.fs3()),
  write: (c, bits) => c.fd(bits),
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
  const a = (c: Context): Expr<V> => p.read(c, 1);
  const b = (c: Context): Expr<V> => p.read(c, 2);
  const op = (funct5: number): number => funct7((funct5 << 2) | p.fmt);
  const rs2 = (field: number): number => field << 20;

  const arithmetic = (name: 'add' | 'sub' | 'mul' | 'div', funct5: number): Instruction =>
    unit(`f${name}.${s}`, 'floatRounded', OP_FP, 0, op(funct5), (c) => {
      const rm = roundingMode(c);
      p.write(c, p.operations(c).arithmetic(name, a(c), b(c), rm));
    });
  const minMax = (name: 'min' | 'max', funct3: number): Instruction =>
    unit(`f${name}.${s}`, 'floatR', OP_FP, funct3, op(0x05), (c) =>
      p.write(c, p.operations(c).minMax(name, a(c), b(c))),
    );
  const compare = (name: 'eq' | 'lt' | 'le', funct3: number): Instruction =>
    unit(`f${name}.${s}`, 'floatCompare', OP_FP, funct3, op(0x14), (c) =>
      c.rd(c.f.local(I64, i64.extendU(p.operations(c).compare(name, a(c), b(c))))),
    );
  /** Sign injection works on the bits; NaNs pass. */
  const sign = (name: string, funct3: number, combine: (a: Expr<V>, b: Expr<V>) => Expr<V>): Instruction =>
    unit(`f${name}.${s}`, 'floatR', OP_FP, funct3, op(0x04), (c) => {
      const x = p.local(c, a(c));
      const injected = p.and(combine(x, b(c)), p.signBit());
      p.write(c, p.or(p.and(x, p.not(p.signBit())), injected));
    });
  /** The four fused operations differ in the signs of product and addend only. */
  const fused = (name: string, opcode: number, negateProduct: boolean, negateAddend: boolean): Instruction =>
    unit(`${name}.${s}`, 'floatR4', opcode, 0, p.fmt << 25, (c) => {
      const rm = roundingMode(c);
      const flip = (value: Expr<V>, negate: boolean): Expr<V> => (negate ? p.xor(value, p.signBit()) : value);
      const addend = p.read(c, 3);
      p.write(c, p.operations(c).fma(flip(a(c), negateProduct), b(c), flip(addend, negateAddend), rm));
    });

  const integers = ['w', 'wu', 'l', 'lu'] as const;
  return [
    {
      ...unit(`fl${s === 's' ? 'w' : 'd'}`, 'floatLoad', 0x07, p.width, 0, (c) => {
        const address = i64.add(c.rs1(), c.imm());
        const raw = emitLoad(c, p.width, address, s === 's' ? i64.load32U : i64.load);
        c.fd(s === 's' ? i64.or(raw, i64.pair(-1, 0)) : raw);
      }),
      access: { kind: 'load', width: p.width },
    },
    {
      ...unit(`fs${s === 's' ? 'w' : 'd'}`, 'floatStore', 0x27, p.width, 0, (c) =>
        emitStore(c, p.width, i64.add(c.rs1(), c.imm()), c.fs2()),
      ),
      access: { kind: 'store', width: p.width },
    },
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
      p.write(c, p.operations(c).sqrt(a(c), rm));
    }),
    sign('sgnj', 0, (_, y) => y),
    sign('sgnjn', 1, (_, y) => p.not(y)),
    sign('sgnjx', 2, (x, y) => p.xor(x, y)),
    minMax('min', 0),
    minMax('max', 1),
    compare('le', 0),
    compare('lt', 1),
    compare('eq', 2),
    unit(`fclass.${s}`, 'floatToInteger', OP_FP, 1, op(0x1c), (c) => c.rd(i64.extendU(p.operations(c).classify(a(c))))),
    ...integers.map((type, i) =>
      unit(`fcvt.${type}.${s}`, 'floatToIntegerRounded', OP_FP, 0, op(0x18) | rs2(i), (c) => {
        const rm = roundingMode(c);
        c.rd(c.f.local(I64, p.operations(c).toInteger(type, a(c), rm)));
      }),
    ),
    ...integers.map((type, i) =>
      unit(`fcvt.${s}.${type}`, 'integerToFloatRounded', OP_FP, 0, op(0x1a) | rs2(i), (c) => {
        const rm = roundingMode(c);
        p.write(c, p.operations(c).fromInteger(type, c.rs1(), rm));
      }),
    ),
  ];
}

export const float: readonly Instruction[] = [
  ...forPrecision(single),
  ...forPrecision(double),
  unit('fcvt.s.d', 'floatUnaryRounded', OP_FP, 0, funct7(0x20) | (1 << 20), (c) => {
    const rm = roundingMode(c);
    c.fdSingle(c.floats.narrow(c.fs1(), rm));
  }),
  // Widening is exact; a reserved rounding mode traps all the same.
  unit('fcvt.d.s', 'floatUnaryRounded', OP_FP, 0, funct7(0x21), (c) => {
    roundingMode(c);
    c.fd(c.floats.widen(c.single(1)));
  }),
  unit('fmv.x.w', 'floatToInteger', OP_FP, 0, funct7(0x70), (c) => c.rd(i64.extend32(c.fs1()))),
  unit('fmv.w.x', 'integerToFloat', OP_FP, 0, funct7(0x78), (c) =>
    c.fd(i64.or(i64.and(c.rs1(), i64.pair(0, -1)), i64.pair(-1, 0))),
  ),
  unit('fmv.x.d', 'floatToInteger', OP_FP, 0, funct7(0x71), (c) => c.rd(c.fs1())),
  unit('fmv.d.x', 'integerToFloat', OP_FP, 0, funct7(0x79), (c) => c.fd(c.rs1())),
];
