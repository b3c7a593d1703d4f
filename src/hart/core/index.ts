/**
 * The core module: one WebAssembly module with everything of a hart that does not depend
 * on the guest's code: address translation, traps, CSRs, floating point, the interpreter.
 */
import { buildFloat } from '../float/index.js';
import { buildInterpreter } from '../interpreter.js';
import { I32 } from '../../wasm/expr.js';
import { ModuleBuilder, type MemoryLimits } from '../../wasm/module.js';
import { PREDECODE_PAGES } from '../tlb.js';
import { buildAccess } from './access.js';
import { buildMulhu } from './arithmetic.js';
import { buildBulk } from './bulk.js';
import { buildCsr } from './csr.js';
import { buildFetch } from './fetch.js';
import type { CoreFunctions, CoreImports } from './functions.js';
import { declareImports } from './imports.js';
import { exportCoreFunctions, signaturesOf, type Signature } from './linkage.js';
import { buildMmu } from './mmu.js';
import { buildTraps } from './traps.js';
import type { WasmMemory, WasmModule, WasmTable } from '../../wasm/host.js';

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
  /** Address of the predecoded page of a host page, which counts as code from now on. */
  predecodedPage(h: number, hostPage: number): number;
  /** Makes stores to a host page take the slow path. */
  forbidWrites(h: number, hostPage: number): void;
}

/** The core module compiled, and what a translated module must know to call it. Survives structured cloning. */
export interface CoreCode {
  readonly module: WasmModule;
  readonly limits: MemoryLimits;
  readonly signatures: readonly Signature[];
}

/** The core for a memory of these limits, and hart blocks with room for so many predecoded pages. */
export function buildCore(limits: MemoryLimits, predecodePages = PREDECODE_PAGES): CoreCode {
  const module = new ModuleBuilder(limits);
  module.importTable();
  const imports = declareImports(module);
  const mmu = buildMmu(module, imports);
  const traps = buildTraps(module);
  const parts = { imports, mmu, traps };
  const fetch = buildFetch(module, parts, predecodePages);
  const core: CoreFunctions = {
    mulhu: buildMulhu(module),
    ...buildAccess(module, parts),
    ...buildBulk(module),
    csr: buildCsr(module, parts),
    trap: traps.trap,
    sret: traps.sret,
    sfenceVma: mmu.sfenceVma,
    fenceI: fetch.fenceI,
    float: buildFloat(module),
  };
  const regionType = module.type([I32], undefined);
  buildInterpreter(module, { core, imports, ...fetch, takeInterrupt: traps.takeInterrupt, regionType });
  exportCoreFunctions(module, core);
  return { module: new WebAssembly.Module(module.toBytes()), limits, signatures: signaturesOf(core) };
}

/** `table` holds the regions' functions. */
export function instantiateCore({ module }: CoreCode, memory: WasmMemory, table: WasmTable, host: CoreImports): Core {
  const env = { memory: memory as WebAssembly.Memory, table: table };
  const instance = new WebAssembly.Instance(module, { env, host: { ...host } });
  return instance.exports as unknown as Core;
}
