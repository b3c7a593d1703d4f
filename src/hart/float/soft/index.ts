/** The soft floating point: right in every case, with nothing but integers (and see divide.ts). */
import type { Callable } from '../../../wasm/expr.js';
import type { I32, I64 } from '../../../wasm/expr.js';
import type { ModuleBuilder } from '../../../wasm/module.js';
import type { BitsType } from '../format.js';
import { DOUBLE, SINGLE } from '../format.js';
import { softAdd, softSubtract } from './add.js';
import { softClassify, softCompare, softMinMax } from './compare.js';
import type { IntegerType } from './convert.js';
import { softFromIntegers, softNarrow, softToIntegers, softWiden } from './convert.js';
import { softDivide, softSqrt } from './divide.js';
import { softFma } from './fma.js';
import { buildCommon, Kit } from './kit.js';
import { softMultiply } from './multiply.js';

/** The operations of one format; every function takes `h` first and rm, where it has one, last. */
export interface FormatFunctions<V extends BitsType> {
  readonly add: Callable<V>;
  readonly sub: Callable<V>;
  readonly mul: Callable<V>;
  readonly div: Callable<V>;
  readonly sqrt: Callable<V>;
  readonly fma: Callable<V>;
  readonly min: Callable<V>;
  readonly max: Callable<V>;
  readonly eq: Callable<typeof I32>;
  readonly lt: Callable<typeof I32>;
  readonly le: Callable<typeof I32>;
  readonly classify: Callable<typeof I32>;
  readonly toInteger: Readonly<Record<IntegerType, Callable<typeof I64>>>;
  readonly fromInteger: Readonly<Record<IntegerType, Callable<V>>>;
}

export interface SoftFloat {
  readonly single: FormatFunctions<typeof I32>;
  readonly double: FormatFunctions<typeof I64>;
  readonly narrow: Callable<typeof I32>;
  readonly widen: Callable<typeof I64>;
}

export function buildSoftFloat(module: ModuleBuilder): SoftFloat {
  const common = buildCommon(module);
  const single = new Kit(common, SINGLE);
  const double = new Kit(common, DOUBLE);
  return {
    single: buildFormat(single),
    double: buildFormat(double),
    narrow: softNarrow(single, double),
    widen: softWiden(single, double),
  };
}

function buildFormat<V extends BitsType>(kit: Kit<V>): FormatFunctions<V> {
  const add = softAdd(kit);
  return {
    add,
    sub: softSubtract(kit, add),
    mul: softMultiply(kit),
    div: softDivide(kit),
    sqrt: softSqrt(kit),
    fma: softFma(kit),
    min: softMinMax(kit, 'min'),
    max: softMinMax(kit, 'max'),
    eq: softCompare(kit, 'eq'),
    lt: softCompare(kit, 'lt'),
    le: softCompare(kit, 'le'),
    classify: softClassify(kit),
    toInteger: softToIntegers(kit),
    fromInteger: softFromIntegers(kit),
  };
}
