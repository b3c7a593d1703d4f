/**
 * The core module: one WebAssembly module with everything of a hart that does not depend
 * on the guest's code: address translation, traps, CSRs, floating point, the interpreter.
 */
import { buildFloat } from '../float/index.js';
import { buildInterpreter } from '../interpreter.js';
import { ModuleBuilder, type MemoryLimits } from '../../wasm/module.js';
import { buildAccess } from './access.js';
import { buildMulhu } from './arithmetic.js';
import { buildCsr } from './csr.js';
import { buildFetch } from './fetch.js';
import type { CoreFunctions, CoreImports } from './functions.js';
import { declareImports } from './imports.js';
import { buildMmu } from './mmu.js';
import { buildTraps } from './traps.js';

/** What an instantiated core module offers the worker. `h` is a hart block's byte offset. */
export interface Core {
  /** Executes about `budget` instructions at most; returns an EXIT_* reason. */
  run(h: number, budget: number): number;
  /** Takes a trap at `pc`. */
  trap(h: number, pc: bigint, cause: bigint, tval: bigint): void;
  selectMode(h: number): void;
  /** Forgets all translations. */
  flush(h: number): void;
  fenceI(h: number): void;
  /** Host page of a virtual address, or a negative number. */
  refill(h: number, va: bigint, access: number): number;
  /** Makes stores to a host page take the slow path. */
  forbidWrites(h: number, hostPage: number): void;
}

/** Bytes of the core module for a memory of these limits. */
export function buildCore(limits: MemoryLimits): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder(limits);
  const imports = declareImports(module);
  const mmu = buildMmu(module);
  const traps = buildTraps(module);
  const parts = { imports, mmu, traps };
  const fetch = buildFetch(module, parts);
  const core: CoreFunctions = {
    mulhu: buildMulhu(module),
    ...buildAccess(module, parts),
    csr: buildCsr(module, parts),
    trap: traps.trap,
    sret: traps.sret,
    sfenceVma: mmu.sfenceVma,
    fenceI: fetch.fenceI,
    float: buildFloat(module),
  };
  buildInterpreter(module, { core, imports, ...fetch, takeInterrupt: traps.takeInterrupt });
  return module.toBytes();
}

export function instantiateCore(module: WebAssembly.Module, memory: WebAssembly.Memory, host: CoreImports): Core {
  const instance = new WebAssembly.Instance(module, { env: { memory }, host: { ...host } });
  return instance.exports as unknown as Core;
}
