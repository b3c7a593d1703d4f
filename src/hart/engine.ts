/** What runs a hart: the core, and the translator behind it. */
import { instantiateCore, type Core, type CoreCode } from './core/index.js';
import type { CoreImports } from './core/functions.js';
import { HOT_THRESHOLD } from './state.js';
import { MAX_REGIONS } from './tlb.js';

/** What the worker gives; the translator answers `hot` itself. */
export type EngineHost = Omit<CoreImports, 'hot'>;

export interface EngineOptions {
  /** Arrivals that make a place hot, 1 to 253; 0: never translate. */
  readonly threshold: number;
}

/** Makes the engine of the hart whose block is at `h`. */
export function createEngine(
  code: CoreCode,
  memory: WebAssembly.Memory,
  h: number,
  host: EngineHost,
  { threshold }: EngineOptions,
): Core {
  const table = new WebAssembly.Table({ initial: MAX_REGIONS, element: 'anyfunc' });
  const core = instantiateCore(code, memory, table, { ...host, hot: () => undefined });
  new Int32Array(memory.buffer)[(h + HOT_THRESHOLD) >> 2] = threshold;
  return core;
}
