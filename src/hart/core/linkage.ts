/**
 * How translated modules call the core's functions: the core exports each under its place
 * in `CoreFunctions`, a translated module imports them all under the same names.
 */
import type { Callable, ValueType } from '../../wasm/expr.js';
import { FunctionBuilder } from '../../wasm/function.js';
import type { ModuleBuilder } from '../../wasm/module.js';
import type { CoreFunctions } from './functions.js';

/** Name of the import module in translated modules. */
export const CORE_IMPORT = 'core';

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

/** Declares the imports in a translated module and gives them the shape of CoreFunctions. */
export function importCoreFunctions(module: ModuleBuilder, signatures: readonly Signature[]): CoreFunctions {
  const root: Record<string, unknown> = {};
  for (const { name, params, result } of signatures) {
    const path = name.split('.');
    let at = root;
    for (const key of path.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>;
    at[path[path.length - 1]] = module.importFunction(CORE_IMPORT, name, params, result);
  }
  return root as unknown as CoreFunctions;
}
