import { F64, I32, type Callable } from '../../wasm/expr.js';
import type { ModuleBuilder } from '../../wasm/module.js';

/** The core module's imports, `CoreImports` in functions.ts, as callables. */
export interface Imports {
  readonly mmioLoad: Callable<typeof I32>;
  readonly mmioStore: Callable<typeof I32>;
  readonly time: Callable<typeof F64>;
  readonly timer: Callable<undefined>;
  readonly decode: Callable<undefined>;
  readonly decodeStraddle: Callable<undefined>;
  readonly shootDownWrites: Callable<undefined>;
  readonly fillPage: Callable<typeof I32>;
  readonly hot: Callable<undefined>;
  readonly straddles: Callable<undefined>;
  readonly predecoded: Callable<undefined>;
}

export function declareImports(module: ModuleBuilder): Imports {
  return {
    mmioLoad: module.importFunction('host', 'mmioLoad', [I32, F64, I32], I32),
    mmioStore: module.importFunction('host', 'mmioStore', [I32, F64, I32], I32),
    time: module.importFunction('host', 'time', [], F64),
    timer: module.importFunction('host', 'timer', [I32], undefined),
    decode: module.importFunction('host', 'decode', [I32, I32, I32], undefined),
    decodeStraddle: module.importFunction('host', 'decodeStraddle', [I32, I32, I32], undefined),
    predecoded: module.importFunction('host', 'predecoded', [I32], undefined),
    hot: module.importFunction('host', 'hot', [I32], undefined),
    straddles: module.importFunction('host', 'straddles', [I32], undefined),
    shootDownWrites: module.importFunction('host', 'shootDownWrites', [I32, I32], undefined),
    fillPage: module.importFunction('host', 'fillPage', [I32, I32], I32),
  };
}
