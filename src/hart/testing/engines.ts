/**
 * The engines that the hart's tests run on. The tests do not know which one they have:
 * `UNDERSTUDY_ENGINE` names it, the interpreter is the default.
 */
import type { MemoryLimits } from '../../wasm/module.js';
import { buildCore, instantiateCore, type Core } from '../core/index.js';
import type { CoreImports } from '../core/functions.js';

/** Makes what runs a hart in `memory`, which has the given limits in 64 KiB pages. */
export type Engine = (memory: WebAssembly.Memory, limits: MemoryLimits, host: CoreImports) => Core;

const modules = new Map<string, WebAssembly.Module>();

function coreModule(limits: MemoryLimits): WebAssembly.Module {
  const key = `${limits.initial}:${limits.maximum}`;
  let module = modules.get(key);
  if (module === undefined) {
    module = new WebAssembly.Module(buildCore(limits));
    modules.set(key, module);
  }
  return module;
}

const interpreter: Engine = (memory, limits, host) => instantiateCore(coreModule(limits), memory, host);

const engines: Readonly<Record<string, Engine>> = { interpreter };

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
