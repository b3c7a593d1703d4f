/**
 * How translated modules call the core's functions: through a table of their own that holds
 * the core's exports in a fixed order. Not through imports: V8 compiles a wrapper for each
 * imported function's type, for each module anew, with its optimizing compiler.
 *
 * A region has a hundred cold calls. So that the optimizing compiler need not look at what a
 * call through a table takes for each of them, a module has a function of its own, a thunk,
 * for each core function that it uses.
 */
import { callIndirect, i32, type Callable, type ValueType } from '../../wasm/expr.js';
import { FunctionBuilder } from '../../wasm/function.js';
import { ModuleBuilder, type MemoryLimits } from '../../wasm/module.js';
import type { CoreFunctions } from './functions.js';

/** A core function as a translated module imports it. */
export interface Signature {
  readonly name: string;
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
    params: f.paramTypes,
    result: f.result,
  }));
}

/** The table of core functions that translated modules import as `env.table`. */
export function coreTable(signatures: readonly Signature[], exports: object): WebAssembly.Table {
  const table = new WebAssembly.Table({ initial: signatures.length, element: 'anyfunc' });
  const functions = exports as Readonly<Record<string, unknown>>;
  signatures.forEach(({ name }, slot) => table.set(slot, functions[name]));
  return table;
}

/** Calls a core function through the table; becomes a function of its module when it is first used. */
class Thunk implements Callable {
  #function: FunctionBuilder | undefined;

  constructor(
    private readonly module: ModuleBuilder,
    private readonly slot: number,
    private readonly params: readonly ValueType[],
    readonly result: ValueType | undefined,
  ) {}

  get index(): number {
    this.#function ??= this.#build();
    return this.#function.index;
  }

  #build(): FunctionBuilder {
    const { module, slot, params, result } = this;
    const f = module.function(params, result);
    const type = module.type(params, result);
    if (result === undefined) f.callIndirect(type, i32.const(slot), ...f.params);
    else f.return(callIndirect(result, type, i32.const(slot), ...f.params));
    return f;
  }
}

/** A module of translated code that can call the core. */
export interface LinkedModule {
  readonly module: ModuleBuilder;
  readonly functions: CoreFunctions;
}

/** Makes translated modules that can call the core. */
export class Linkage {
  readonly #slots: readonly (Signature & { readonly slot: number; readonly path: readonly string[] })[];

  constructor(
    private readonly limits: MemoryLimits,
    signatures: readonly Signature[],
  ) {
    this.#slots = signatures.map((signature, slot) => ({ ...signature, slot, path: signature.name.split('.') }));
  }

  module(): LinkedModule {
    const module = new ModuleBuilder(this.limits);
    module.importTable();
    const root: Record<string, unknown> = {};
    for (const { path, slot, params, result } of this.#slots) {
      let at = root;
      for (const key of path.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>;
      at[path[path.length - 1]] = new Thunk(module, slot, params, result);
    }
    return { module, functions: root as unknown as CoreFunctions };
  }
}
