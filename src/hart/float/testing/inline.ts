import type { Callable, Expr, ExprI32, Local } from '../../../wasm/expr.js';
import { f32, f64, I32, I64, i32, i64 } from '../../../wasm/expr.js';
import type { FunctionBuilder } from '../../../wasm/function.js';
import type { ModuleBuilder } from '../../../wasm/module.js';
import type { BitsType } from '../format.js';
import type { FloatFunctions, FormatFunctions, IntegerType } from '../index.js';
import { buildFloat, double, InlineFloat, single } from '../index.js';
import type { FloatType, Host } from '../fast/host.js';

/** Functions whose bodies are the code meant for inlining, once for each rounding mode and once for one not known. */
export function buildInlined(module: ModuleBuilder, dynamic: boolean): FloatFunctions {
  const float = buildFloat(module);
  type Body<R extends BitsType> = (f: FunctionBuilder, inline: InlineFloat, rm: ExprI32) => Expr<R>;

  const wrap = <R extends BitsType>(params: readonly BitsType[], result: R, body: Body<R>): Callable<R> => {
    const f = module.function([I32, ...params], result);
    f.return(body(f, new InlineFloat(f, f.param(I32, 0), float), i32.const(0)));
    return f;
  };
  const rounded = <R extends BitsType>(params: readonly BitsType[], result: R, body: Body<R>): Callable<R> => {
    const f = module.function([I32, ...params, I32], result);
    const inline = new InlineFloat(f, f.param(I32, 0), float);
    const rm: Local<typeof I32> = f.param(I32, params.length + 1);
    if (!dynamic) {
      for (let mode = 0; mode < 4; mode++) {
        f.if(i32.eq(rm, i32.const(mode)), () => f.return(body(f, inline, i32.const(mode))));
      }
      f.return(body(f, inline, i32.const(4)));
    } else f.return(body(f, inline, rm));
    return f;
  };

  const format = <T extends FloatType, V extends BitsType>(host: Host<T, V>, own: FormatFunctions<V>) => {
    const { bits } = host;
    const value = (f: FunctionBuilder, i: number): Expr<T> => host.fromBits(f.param(bits, i));
    const two = [bits, bits];
    const arithmetic = (op: 'add' | 'sub' | 'mul' | 'div'): Callable<V> =>
      rounded(two, bits, (f, inline, rm) => host.toBits(inline.arithmetic(host, op, value(f, 1), value(f, 2), rm)));
    const extreme = (op: 'min' | 'max'): Callable<V> =>
      wrap(two, bits, (f, inline) => host.toBits(inline.minMax(host, op, value(f, 1), value(f, 2))));
    const relation = (op: 'eq' | 'lt' | 'le'): Callable<typeof I32> =>
      wrap(two, I32, (f, inline) => inline.compare(host, op, value(f, 1), value(f, 2)));
    const to = (type: IntegerType): Callable<typeof I64> =>
      rounded([bits], I64, (f, inline, rm) => inline.toInteger(host, type, value(f, 1), rm));
    const from = (type: IntegerType): Callable<V> =>
      rounded([I64], bits, (f, inline, rm) => host.toBits(inline.fromInteger(host, type, f.param(I64, 1), rm)));
    const fma = rounded([bits, bits, bits], bits, (f, inline, rm) =>
      host.toBits(inline.fma(host, value(f, 1), value(f, 2), value(f, 3), rm)),
    );
    return {
      add: arithmetic('add'),
      sub: arithmetic('sub'),
      mul: arithmetic('mul'),
      div: arithmetic('div'),
      sqrt: rounded([bits], bits, (f, inline, rm) => host.toBits(inline.sqrt(host, value(f, 1), rm))),
      fma,
      min: extreme('min'),
      max: extreme('max'),
      eq: relation('eq'),
      lt: relation('lt'),
      le: relation('le'),
      classify: own.classify,
      toInteger: { w: to('w'), wu: to('wu'), l: to('l'), lu: to('lu') },
      fromInteger: { w: from('w'), wu: from('wu'), l: from('l'), lu: from('lu') },
    };
  };

  return {
    single: format(single, float.single),
    double: format(double, float.double),
    narrow: rounded([I64], I32, (f, inline, rm) =>
      i32.reinterpretF32(inline.narrow(f64.reinterpretI64(f.param(I64, 1)), rm)),
    ),
    widen: wrap([I32], I64, (f, inline) => i64.reinterpretF64(inline.widen(f32.reinterpretI32(f.param(I32, 1))))),
  };
}
