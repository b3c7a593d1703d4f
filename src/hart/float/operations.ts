/**
 * The floating-point operations as an instruction's meaning uses them: on raw bits,
 * whoever computes them. The interpreter calls functions, translated code has the
 * host's operations in line.
 */
import { call, type Expr, type ExprI32, type ExprI64 } from '../../wasm/expr.js';
import type { I32, I64 } from '../../wasm/expr.js';
import { double, single, type FloatType, type Host } from './fast/host.js';
import type { InlineFloat } from './fast/inline.js';
import type { BitsType } from './format.js';
import type { IntegerType } from './soft/convert.js';
import type { FormatFunctions, SoftFloat } from './soft/index.js';

export interface FormatOperations<V extends BitsType> {
  arithmetic(op: 'add' | 'sub' | 'mul' | 'div', a: Expr<V>, b: Expr<V>, rm: ExprI32): Expr<V>;
  sqrt(a: Expr<V>, rm: ExprI32): Expr<V>;
  /** a × b + c. */
  fma(a: Expr<V>, b: Expr<V>, c: Expr<V>, rm: ExprI32): Expr<V>;
  minMax(which: 'min' | 'max', a: Expr<V>, b: Expr<V>): Expr<V>;
  compare(relation: 'eq' | 'lt' | 'le', a: Expr<V>, b: Expr<V>): ExprI32;
  classify(a: Expr<V>): ExprI32;
  toInteger(type: IntegerType, a: Expr<V>, rm: ExprI32): ExprI64;
  fromInteger(type: IntegerType, x: ExprI64, rm: ExprI32): Expr<V>;
}

export interface FloatOperations {
  readonly single: FormatOperations<typeof I32>;
  readonly double: FormatOperations<typeof I64>;
  narrow(a: ExprI64, rm: ExprI32): ExprI32;
  widen(a: ExprI32): ExprI64;
}

/** Every operation a call. */
export function calledOperations(float: SoftFloat, h: ExprI32): FloatOperations {
  const format = <V extends BitsType>(functions: FormatFunctions<V>): FormatOperations<V> => ({
    arithmetic: (op, a, b, rm) => call(functions[op], h, a, b, rm),
    sqrt: (a, rm) => call(functions.sqrt, h, a, rm),
    fma: (a, b, c, rm) => call(functions.fma, h, a, b, c, rm),
    minMax: (which, a, b) => call(functions[which], h, a, b),
    compare: (relation, a, b) => call(functions[relation], h, a, b),
    classify: (a) => call(functions.classify, h, a),
    toInteger: (type, a, rm) => call(functions.toInteger[type], h, a, rm),
    fromInteger: (type, x, rm) => call(functions.fromInteger[type], h, x, rm),
  });
  return {
    single: format(float.single),
    double: format(float.double),
    narrow: (a, rm) => call(float.narrow, h, a, rm),
    widen: (a) => call(float.widen, h, a),
  };
}

/** The host's operations in line, a call where they are not certain. */
export function inlineOperations(float: SoftFloat, h: ExprI32, inline: InlineFloat): FloatOperations {
  const called = calledOperations(float, h);
  const format = <T extends FloatType, V extends BitsType>(
    host: Host<T, V>,
    { classify }: FormatOperations<V>,
  ): FormatOperations<V> => ({
    classify,
    arithmetic: (op, a, b, rm) => host.toBits(inline.arithmetic(host, op, host.fromBits(a), host.fromBits(b), rm)),
    sqrt: (a, rm) => host.toBits(inline.sqrt(host, host.fromBits(a), rm)),
    fma: (a, b, c, rm) => host.toBits(inline.fma(host, host.fromBits(a), host.fromBits(b), host.fromBits(c), rm)),
    minMax: (which, a, b) => host.toBits(inline.minMax(host, which, host.fromBits(a), host.fromBits(b))),
    compare: (relation, a, b) => inline.compare(host, relation, host.fromBits(a), host.fromBits(b)),
    toInteger: (type, a, rm) => inline.toInteger(host, type, host.fromBits(a), rm),
    fromInteger: (type, x, rm) => host.toBits(inline.fromInteger(host, type, x, rm)),
  });
  return {
    single: format(single, called.single),
    double: format(double, called.double),
    narrow: (a, rm) => single.toBits(inline.narrow(double.fromBits(a), rm)),
    widen: (a) => double.toBits(inline.widen(single.fromBits(a))),
  };
}
