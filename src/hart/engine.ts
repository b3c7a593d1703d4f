/** What runs a hart: the core, and the translator behind it. */
import { instantiateCore, type Core, type CoreCode } from './core/index.js';
import type { CoreImports } from './core/functions.js';
import { HOT_THRESHOLD } from './state.js';
import { MAX_REGIONS } from './tlb.js';
import { Translator, type TranslatorCounters } from './translator/translator.js';
import type { WasmMemory } from '../wasm/host.js';

/** What the worker gives; the translator answers the rest itself. */
export interface EngineHost extends Omit<CoreImports, 'hot' | 'straddles' | 'predecoded'> {
  /**
   * Where the host can be told: functions of modules that are compiled from now on are worth the optimizing
   * compiler's time when about so many bytes of them have run.
   */
  optimizeAfter?(bytes: number): void;
}

/** When and how much is translated. */
export interface EngineOptions {
  /** Arrivals that make a place hot, 1 to 65,000; 0: never translate; 3000 unless told. */
  readonly threshold?: number;
  /** Regions compiled together at most; 16 unless told. */
  readonly batch?: number;
  /** Translate ahead of execution: also what has never been reached. For tests. */
  readonly eager?: boolean;
  /** Instructions in a region, about; 300 unless told. */
  readonly maxSteps?: number;
  /** Regions kept at a time, at most MAX_REGIONS. For tests. */
  readonly maxRegions?: number;
}

/** A hart's engine. */
export interface Engine {
  readonly core: Core;
  /** Compiles what has become hot and waited; to be called between turns of the core. */
  settle(): void;
  readonly counters: Readonly<TranslatorCounters>;
}

/**
 * Translating a region costs as much as interpreting tens of thousands of instructions; docs/performance.md
 * has what a boot costs by threshold.
 */
const DEFAULT_THRESHOLD = 3000;
const DEFAULT_BATCH = 16;
const DEFAULT_MAX_STEPS = 300;

/** Makes the engine of the hart whose block is at `h`. */
export function createEngine(
  code: CoreCode,
  memory: WasmMemory,
  h: number,
  { optimizeAfter, ...imports }: EngineHost,
  {
    threshold = DEFAULT_THRESHOLD,
    batch = DEFAULT_BATCH,
    eager = false,
    maxSteps = DEFAULT_MAX_STEPS,
    maxRegions = MAX_REGIONS,
  }: EngineOptions,
): Engine {
  const table = new WebAssembly.Table({ initial: MAX_REGIONS, element: 'anyfunc' });
  const translator = new Translator(code, memory, table, h, { batch, eager, maxSteps, maxRegions }, optimizeAfter);
  const core = instantiateCore(code, memory, table, {
    ...imports,
    hot: () => translator.hot(),
    straddles: () => translator.straddles(),
    predecoded: (hostPage) => translator.relink(hostPage >>> 0),
  });
  translator.core = core;
  new Int32Array(memory.buffer)[(h + HOT_THRESHOLD) >>> 2] = threshold;
  return { core, settle: () => translator.settle(), counters: translator.counters };
}
