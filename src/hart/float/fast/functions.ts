/**
 * The functions behind the inline code: once more the host's operations when NX is
 * set, then a proof that the result is exact (code that runs with NX clear, such as
 * an interpreter that counts in doubles), then soft floating point.
 */
import type { Callable, Expr, ExprF64, ExprI32, Local } from '../../../wasm/expr.js';
import { call, F64, f32, f64, I32, i32, I64, i64 } from '../../../wasm/expr.js';
import type { FunctionBuilder } from '../../../wasm/function.js';
import type { ModuleBuilder } from '../../../wasm/module.js';
import { FFLAGS } from '../../state.js';
import type { BitsType } from '../format.js';
import { bit, NX, ones } from '../format.js';
import type { IntegerType } from '../soft/convert.js';
import type { FormatFunctions, SoftFloat } from '../soft/index.js';
import type { FloatType, Host } from './host.js';
import { double, inRange, single, sumError } from './host.js';
import type { Arithmetic } from './inline.js';
import { fits, hostRounding, InlineFloat, LOWEST, notHalfway, truncate } from './inline.js';

const inexact = (f: FunctionBuilder): ExprI32 => i32.and(i32.load(f.param(I32, 0), FFLAGS), i32.const(NX));

export function buildFastFunctions(module: ModuleBuilder, soft: SoftFloat): SoftFloat {
  return {
    single: buildFormat(module, single, soft, soft.single),
    double: buildFormat(module, double, soft, soft.double),
    narrow: wrap(
      module,
      [I64, I32],
      I32,
      (f, inline) => i32.reinterpretF32(inline.narrow(f64.reinterpretI64(f.param(I64, 1)), f.param(I32, 2))),
      soft,
    ),
    widen: wrap(
      module,
      [I32],
      I64,
      (f, inline) => i64.reinterpretF64(inline.widen(f32.reinterpretI32(f.param(I32, 1)))),
      soft,
    ),
  };
}

/** A function whose inline form leaves nothing to add but soft floating point. */
function wrap<R extends BitsType>(
  module: ModuleBuilder,
  params: readonly BitsType[],
  result: R,
  body: (f: FunctionBuilder, inline: InlineFloat) => Expr<R>,
  soft: SoftFloat,
): Callable<R> {
  const f = module.function([I32, ...params], result);
  f.return(body(f, new InlineFloat(f, f.param(I32, 0), soft)));
  return f;
}

function buildFormat<T extends FloatType, V extends BitsType>(
  module: ModuleBuilder,
  host: Host<T, V>,
  float: SoftFloat,
  soft: FormatFunctions<V>,
): FormatFunctions<V> {
  const { bits } = host;
  const value = (f: FunctionBuilder, i: number): Expr<T> => host.fromBits(f.param(bits, i));
  const relation = (which: 'eq' | 'lt' | 'le'): Callable<typeof I32> =>
    wrap(module, [bits, bits], I32, (f, inline) => inline.compare(host, which, value(f, 1), value(f, 2)), float);
  const from = (type: IntegerType): Callable<V> =>
    wrap(
      module,
      [I64, I32],
      bits,
      (f, inline) => host.toBits(inline.fromInteger(host, type, f.param(I64, 1), f.param(I32, 2))),
      float,
    );
  const to = (type: IntegerType): Callable<typeof I64> => toInteger(module, host, type, soft.toInteger[type]);
  return {
    add: arithmetic(module, host, 'add', soft.add),
    sub: arithmetic(module, host, 'sub', soft.sub),
    mul: arithmetic(module, host, 'mul', soft.mul),
    div: arithmetic(module, host, 'div', soft.div),
    sqrt: sqrt(module, host, soft.sqrt),
    fma:
      host.type === F64
        ? (fmaDouble(module, float.double.fma) as Callable as Callable<V>)
        : (fmaSingle(module, float.single.fma) as Callable as Callable<V>),
    min: soft.min,
    max: soft.max,
    eq: relation('eq'),
    lt: relation('lt'),
    le: relation('le'),
    classify: soft.classify,
    toInteger: { w: to('w'), wu: to('wu'), l: to('l'), lu: to('lu') },
    fromInteger: { w: from('w'), wu: from('wu'), l: from('l'), lu: from('lu') },
  };
}

function arithmetic<T extends FloatType, V extends BitsType>(
  module: ModuleBuilder,
  host: Host<T, V>,
  op: Arithmetic,
  soft: Callable<V>,
): Callable<V> {
  const f = module.function([I32, host.bits, host.bits, I32], host.bits);
  const rm = f.param(I32, 3);
  const a = f.local(host.type, host.fromBits(f.param(host.bits, 1)));
  const b = f.local(host.type, host.fromBits(f.param(host.bits, 2)));
  f.if(i32.eqz(rm), () => {
    const result = f.local(host.type, host[op](a, b));
    const done = (): void => f.return(host.toBits(result));
    f.if(i32.and(inexact(f), inRange(host, result, LOWEST[op])), done);
    if (op === 'add') f.if(host.eq(sumError(host, f, a, b, result), host.zero()), done);
    // a − b is a + (−b), whose error term is TwoSum's with b's sign turned.
    else if (op === 'sub') f.if(host.eq(sumError(host, f, a, host.sub(host.zero(), b), result), host.zero()), done);
    else if (host.type === F64)
      exactProductOrZero(f, op, a as Expr as ExprF64, b as Expr as ExprF64, result as Expr as ExprF64, done);
    else {
      const [wideA, wideB, wide] = [a, b, result].map((e) => host.toDouble(e));
      // A product of two singles is exact in a double.
      if (op === 'mul') f.if(i32.f64Eq(f64.mul(wideA, wideB), wide), done);
      else f.if(i32.f64Eq(f64.mul(wide, wideB), wideA), done);
    }
  });
  f.return(call(soft, ...f.params));
  return f;
}

/** Doubles: zero times or divided by something; a product of at most 53 significant bits. */
function exactProductOrZero(
  f: FunctionBuilder,
  op: Arithmetic,
  a: ExprF64,
  b: ExprF64,
  result: ExprF64,
  done: () => void,
): void {
  const isZero = (e: ExprF64): ExprI32 => i32.f64Eq(e, f64.const(0));
  const factor = op === 'mul' ? i32.or(isZero(a), isZero(b)) : isZero(a);
  f.if(i32.and(isZero(result), factor), done);
  if (op !== 'mul') return;
  const significand = (e: ExprF64) => i64.or(i64.and(i64.reinterpretF64(e), ones(52)), bit(52));
  // The lower 53 of the product's 105 or 106 bits are clear. (A subnormal factor gets a hidden bit it has
  // not; that changes bit 52 and up, and its product has at most 105 bits.)
  const low = i64.shl(i64.mul(significand(a), significand(b)), i64.const(11));
  f.if(i32.and(inRange(double, result, LOWEST.mul), i64.eqz(low)), done);
}

function sqrt<T extends FloatType, V extends BitsType>(
  module: ModuleBuilder,
  host: Host<T, V>,
  soft: Callable<V>,
): Callable<V> {
  const f = module.function([I32, host.bits, I32], host.bits);
  const a = f.local(host.type, host.fromBits(f.param(host.bits, 1)));
  f.if(i32.eqz(f.param(I32, 2)), () => {
    const result = f.local(host.type, host.sqrt(a));
    const done = (): void => f.return(host.toBits(result));
    f.if(i32.and(inexact(f), inRange(host, result, LOWEST.sqrt)), done);
    if (host.type !== F64) {
      const root = host.toDouble(result);
      f.if(i32.f64Eq(f64.mul(root, root), host.toDouble(a)), done);
    }
  });
  f.return(call(soft, ...f.params));
  return f;
}

/** Singles: the product is exact in a double, the sum there is rounded once before the last rounding. */
function fmaSingle(module: ModuleBuilder, soft: Callable<typeof I32>): Callable<typeof I32> {
  const f = module.function([I32, I32, I32, I32, I32], I32);
  const wide = (i: number): ExprF64 => f64.promote(f32.reinterpretI32(f.param(I32, i)));
  f.if(i32.eqz(f.param(I32, 4)), () => {
    const product = f.local(F64, f64.mul(wide(1), wide(2)));
    const addend = f.local(F64, wide(3));
    const sum = f.local(F64, f64.add(product, addend));
    const result = f32.demote(sum);
    const done = (): void => f.return(i32.reinterpretF32(result));
    f.if(i32.and(inexact(f), i32.and(notHalfway(sum), inRange(single, result, LOWEST.fma))), done);
    f.if(i32.f64Eq(f64.promote(result), sum), () => {
      f.if(i32.f64Eq(sumError(double, f, product, addend, sum), f64.const(0)), done);
    });
  });
  f.return(call(soft, ...f.params));
  return f;
}

/** Veltkamp's splitting: two halves of 26 bits that add up to `a`. */
function split(f: FunctionBuilder, a: ExprF64): [Local<typeof F64>, Local<typeof F64>] {
  const scaled = f.local(F64, f64.mul(a, f64.const(2 ** 27 + 1)));
  const high = f.local(F64, f64.sub(scaled, f64.sub(scaled, a)));
  return [high, f.local(F64, f64.sub(a, high))];
}

/**
 * Doubles, by error-free transformations:
 *
 *   product + productError = a × b          exactly (Dekker), while nothing leaves the exponent range
 *   sum + error            = product + c    exactly (TwoSum)
 *   a × b + c = sum + (productError + error), and all that is rounded on the way is the small bracket
 *
 * If the bracket is exact, adding it rounds once. If not, it is off by 2^-53 of itself;
 * when adding a little more and a little less than it gives the same number, so does the
 * true value (Ziv's test).
 */
function fmaDouble(module: ModuleBuilder, soft: Callable<typeof I64>): Callable<typeof I64> {
  const f = module.function([I32, I64, I64, I64, I32], I64);
  const [a, b, c] = [1, 2, 3].map((i) => f.local(F64, f64.reinterpretI64(f.param(I64, i))));
  const zero = f64.const(0);
  const product = f.local(F64, f64.mul(a, b));
  // The product's error is a double for certain, and 2^-51 of it still a normal one.
  const tame = i32.ltU(i32.sub(double.exponent(product), i32.const(256)), i32.const(1536));
  f.if(i32.and(i32.eqz(f.param(I32, 4)), tame), () => {
    const [ah, al] = split(f, a);
    const [bh, bl] = split(f, b);
    const cross = f64.add(f64.sub(f64.mul(ah, bh), product), f64.mul(ah, bl));
    const productError = f.local(F64, f64.add(f64.add(cross, f64.mul(al, bh)), f64.mul(al, bl)));
    const sum = f.local(F64, f64.add(product, c));
    const error = sumError(double, f, product, c, sum);
    const bracket = f.local(F64, f64.add(productError, error));
    const result = f.local(F64, f64.add(sum, bracket));
    const margin = f.local(F64, f64.mul(bracket, f64.const(2 ** -51)));
    const more = f64.add(sum, f64.add(bracket, margin));
    const less = f64.add(sum, f64.sub(bracket, margin));
    const noError = i32.f64Eq(error, zero);
    const rounded = i32.or(noError, i32.f64Eq(more, less));
    const flags = i32.or(inexact(f), i32.and(noError, i32.f64Eq(productError, zero)));
    f.if(i32.and(i32.and(flags, rounded), inRange(double, result, LOWEST.fma)), () =>
      f.return(i64.reinterpretF64(result)),
    );
  });
  f.return(call(soft, ...f.params));
  return f;
}

/** Every rounding mode the host knows, and the exact ones for all. */
function toInteger<T extends FloatType, V extends BitsType>(
  module: ModuleBuilder,
  host: Host<T, V>,
  type: IntegerType,
  soft: Callable<typeof I64>,
): Callable<typeof I64> {
  const f = module.function([I32, host.bits, I32], I64);
  const rm = f.param(I32, 2);
  const wide = f.local(F64, host.toDouble(host.fromBits(f.param(host.bits, 1))));
  const rounded = f.local(F64, hostRounding[1](wide));
  f.if(i32.and(i32.f64Ne(rounded, wide), inexact(f)), () => {
    f.if(i32.eqz(rm), () => f.set(rounded, hostRounding[0](wide)));
    f.if(i32.eq(rm, i32.const(2)), () => f.set(rounded, hostRounding[2](wide)));
    f.if(i32.eq(rm, i32.const(3)), () => f.set(rounded, hostRounding[3](wide)));
  });
  const known = i32.or(i32.f64Eq(rounded, wide), i32.and(inexact(f), i32.ne(rm, i32.const(4))));
  f.if(i32.and(known, fits(type, rounded)), () => f.return(truncate(type, rounded)));
  f.return(call(soft, ...f.params));
  return f;
}
