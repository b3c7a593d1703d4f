import { I64, i64, type Callable } from '../../wasm/expr.js';
import type { ModuleBuilder } from '../../wasm/module.js';

/** High 64 bits of the unsigned 128-bit product, from four 32-bit products. */
export function buildMulhu(module: ModuleBuilder): Callable<typeof I64> {
  const f = module.function([I64, I64], I64, 'mulhu');
  const a = f.param(I64, 0);
  const b = f.param(I64, 1);
  const low = i64.pair(0, -1);
  const thirtyTwo = i64.const(32);
  const aHigh = f.local(I64, i64.shrU(a, thirtyTwo));
  const bHigh = f.local(I64, i64.shrU(b, thirtyTwo));
  const aLow = f.local(I64, i64.and(a, low));
  const bLow = f.local(I64, i64.and(b, low));
  // Neither sum overflows: (2^32-1)^2 + 2(2^32-1) < 2^64.
  const middle = f.local(I64, i64.add(i64.mul(aHigh, bLow), i64.shrU(i64.mul(aLow, bLow), thirtyTwo)));
  const cross = f.local(I64, i64.add(i64.mul(aLow, bHigh), i64.and(middle, low)));
  f.return(i64.add(i64.add(i64.mul(aHigh, bHigh), i64.shrU(middle, thirtyTwo)), i64.shrU(cross, thirtyTwo)));
  return f;
}
