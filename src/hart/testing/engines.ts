/**
 * The engines that the hart's tests run on. The tests do not know which one they have:
 * `UNDERSTUDY_ENGINE` names it, the interpreter is the default.
 */
import type { MemoryLimits } from '../../wasm/module.js';
import { buildCore, type Core, type CoreCode } from '../core/index.js';
import { createEngine, type EngineHost } from '../engine.js';
import { Random } from './random.js';

/** Of the thresholds of `mixed`: each hart of a process gets the next one. */
const thresholds = new Random(Number(process.env['HART_SEED'] ?? 1));

/** Makes what runs a hart in `memory`, which has the given limits in 64 KiB pages. */
export type Engine = (memory: WebAssembly.Memory, limits: MemoryLimits, h: number, host: EngineHost) => Core;

const modules = new Map<string, CoreCode>();

function coreModule(limits: MemoryLimits): CoreCode {
  const key = `${limits.initial}:${limits.maximum}`;
  let module = modules.get(key);
  if (module === undefined) {
    module = buildCore(limits);
    modules.set(key, module);
  }
  return module;
}

const withThreshold =
  (threshold: number, maxRegions?: number, maxSteps = 40): Engine =>
  (memory, limits, h, host) =>
    createEngine(coreModule(limits), memory, h, host, {
      threshold,
      batch: 1,
      eager: threshold === 1,
      maxSteps,
      ...(maxRegions !== undefined && { maxRegions }),
    }).core;

const engines: Readonly<Record<string, Engine>> = {
  interpreter: withThreshold(0),
  /** Everything is translated when it is first reached. */
  translator: withThreshold(1),
  /** Code is interpreted for a while, a random one, then translated. */
  mixed: (...hart) => withThreshold(thresholds.between(2, 20))(...hart),
  /** Everything is translated, and room is always short. */
  crowded: withThreshold(1, 8),
  /** Regions of one or two instructions. */
  stepper: withThreshold(1, undefined, 1),
};

/** Name of the engine under test. */
export const engineName = process.env['UNDERSTUDY_ENGINE'] ?? 'interpreter';

/** The engine of that name; throws if there is none. */
export function engineNamed(name: string): Engine {
  const found = Object.hasOwn(engines, name) ? engines[name] : undefined;
  if (found === undefined) {
    throw new Error(`UNDERSTUDY_ENGINE is "${name}"; known engines: ${Object.keys(engines).join(', ')}`);
  }
  return found;
}
