/**
 * How translated modules call the core's functions: through a table of their own that holds
 * the core's exports in a fixed order. Not through imports: V8 compiles a wrapper for each
 * imported function's type, for each module anew, with its optimizing compiler.
 *
 * A region has a hundred cold calls. So that the optimizing compiler need not look at what a
 * call through a table takes for each of them, a module has a function of its own, a thunk,
 * for each core function that it uses. A pc is given to a thunk as a distance from the page
 * of the region that runs: a constant, where an address would be one more value to be kept.
 */
import { callIndirect, i32, i64, type Callable, type ExprI32, type ExprI64, type ValueType } from '../../wasm/expr.js';
import { FunctionBuilder } from '../../wasm/function.js';
import { ModuleBuilder, type MemoryLimits } from '../../wasm/module.js';
import { REGION_PAGE } from '../state.js';
import { WITH_PC, type CoreFunctions } from './functions.js';
import type { WasmExports, WasmMemory } from '../../wasm/host.js';

/** A core function as a translated module imports it. */
export interface Signature {
  readonly name: string;
  /** The name's parts: where the function is in CoreFunctions. */
  readonly path: readonly string[];
  readonly params: readonly ValueType[];
  readonly result: ValueType | undefined;
}

/** A tree of functions with the shape of CoreFunctions. */
type Tree<Leaf> = { readonly [key: string]: Leaf | Tree<Leaf> };

function* leaves(tree: Tree<Callable>, path: string[] = []): Generator<[string[], FunctionBuilder]> {
  for (const [key, value] of Object.entries(tree)) {
    if (value instanceof FunctionBuilder) yield [[...path, key], value];
    else yield* leaves(value as Tree<Callable>, [...path, key]);
  }
}

const asTree = (core: CoreFunctions): Tree<Callable> => core as unknown as Tree<Callable>;

/** Adds the exports. */
export function exportCoreFunctions(module: ModuleBuilder, core: CoreFunctions): void {
  for (const [path, f] of leaves(asTree(core))) module.export(path.join('.'), f);
}

/** What `exportCoreFunctions` exports for `core`. */
export function signaturesOf(core: CoreFunctions): Signature[] {
  return [...leaves(asTree(core))].map(([path, f]) => ({
    name: path.join('.'),
    path,
    params: f.paramTypes,
    result: f.result,
  }));
}

/** Calls a core function through the table; becomes a function of its module when it is first used. */
class Thunk implements Callable {
  #function: FunctionBuilder | undefined;

  constructor(
    private readonly linked: LinkedModule,
    private readonly signature: Signature,
  ) {}

  get result(): ValueType | undefined {
    return this.signature.result;
  }

  get index(): number {
    this.#function ??= this.#build();
    return this.#function.index;
  }

  #build(): FunctionBuilder {
    const { name, params, result } = this.signature;
    const { module } = this.linked;
    const slot = this.linked.use(name);
    const f = module.function(params, result);
    const [h, pc, ...others] = f.params;
    const args = WITH_PC.has(name)
      ? [h, i64.add(i64.load(h as ExprI32, REGION_PAGE), pc as ExprI64), ...others]
      : f.params;
    const type = module.type(params, result);
    if (result === undefined) f.callIndirect(type, i32.const(slot), ...args);
    else f.return(callIndirect(result, type, i32.const(slot), ...args));
    return f;
  }
}

/** A module of translated code that can call the core. */
export class LinkedModule {
  readonly module: ModuleBuilder;
  readonly functions: CoreFunctions;
  /** Names of the core functions it uses, in the order of its table. */
  readonly #used: string[] = [];

  constructor(limits: MemoryLimits, signatures: readonly Signature[]) {
    this.module = new ModuleBuilder(limits);
    this.module.importTable();
    const root: Record<string, unknown> = {};
    for (const signature of signatures) {
      let at = root;
      for (const key of signature.path.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>;
      at[signature.path[signature.path.length - 1]] = new Thunk(this, signature);
    }
    this.functions = root as unknown as CoreFunctions;
  }

  /** The slot of a core function that the module calls. */
  use(name: string): number {
    return this.#used.push(name) - 1;
  }

  /**
   * Compiles the module's bytes; returns its exports. Each instance has a table of its own: V8's tables hold on to
   * every instance that imports them.
   */
  instantiate(bytes: Uint8Array<ArrayBuffer>, memory: WasmMemory, core: object): WasmExports {
    const table = new WebAssembly.Table({ initial: this.#used.length, element: 'anyfunc' });
    const functions = core as Readonly<Record<string, unknown>>;
    this.#used.forEach((name, slot) => table.set(slot, functions[name]));
    const compiled = new WebAssembly.Module(bytes);
    return new WebAssembly.Instance(compiled, { env: { memory: memory as WebAssembly.Memory, table } }).exports;
  }
}
