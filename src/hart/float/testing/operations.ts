import type { Callable, ValueType } from '../../../wasm/expr.js';
import type { FormatFunctions, SoftFloat } from '../soft/index.js';
import type { BitsType } from '../format.js';

/** s, d: floating-point registers; x: an integer register. */
export type OperandKind = 's' | 'd' | 'x';

/** One instruction under test: the same row drives the reference program, the vectors and our functions. */
export interface Operation {
  /** The assembler's mnemonic. */
  readonly name: string;
  readonly operands: readonly OperandKind[];
  readonly result: OperandKind;
  readonly rm: boolean;
  readonly function: (float: SoftFloat) => Callable<ValueType>;
}

const integers = ['w', 'wu', 'l', 'lu'] as const;

function ofFormat(k: 's' | 'd', pick: (float: SoftFloat) => FormatFunctions<BitsType>): Operation[] {
  const row = (
    name: string,
    operands: readonly OperandKind[],
    result: OperandKind,
    rm: boolean,
    member: (functions: FormatFunctions<BitsType>) => Callable<ValueType>,
  ): Operation => ({ name, operands, result, rm, function: (float) => member(pick(float)) });
  return [
    row(`fadd.${k}`, [k, k], k, true, (o) => o.add),
    row(`fsub.${k}`, [k, k], k, true, (o) => o.sub),
    row(`fmul.${k}`, [k, k], k, true, (o) => o.mul),
    row(`fdiv.${k}`, [k, k], k, true, (o) => o.div),
    row(`fsqrt.${k}`, [k], k, true, (o) => o.sqrt),
    row(`fmadd.${k}`, [k, k, k], k, true, (o) => o.fma),
    row(`fmin.${k}`, [k, k], k, false, (o) => o.min),
    row(`fmax.${k}`, [k, k], k, false, (o) => o.max),
    row(`feq.${k}`, [k, k], 'x', false, (o) => o.eq),
    row(`flt.${k}`, [k, k], 'x', false, (o) => o.lt),
    row(`fle.${k}`, [k, k], 'x', false, (o) => o.le),
    row(`fclass.${k}`, [k], 'x', false, (o) => o.classify),
    ...integers.map((t) => row(`fcvt.${t}.${k}`, [k], 'x', true, (o) => o.toInteger[t])),
    ...integers.map((t) => row(`fcvt.${k}.${t}`, ['x'], k, true, (o) => o.fromInteger[t])),
  ];
}

export const operations: readonly Operation[] = [
  ...ofFormat('s', (float) => float.single),
  ...ofFormat('d', (float) => float.double),
  { name: 'fcvt.s.d', operands: ['d'], result: 's', rm: true, function: (float) => float.narrow },
  { name: 'fcvt.d.s', operands: ['s'], result: 'd', rm: false, function: (float) => float.widen },
];
