/**
 * The host's WebAssembly objects, as much of them as is used here. TypeScript knows them from its library for browsers
 * only, which a program for Node need not load; with these the types of the package compile there as well.
 */

/** A `WebAssembly.Memory`. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  /** Pages of 64 KiB more; the number of pages before. */
  grow(delta: number): number;
}

/** A `WebAssembly.Table` of functions. */
export interface WasmTable {
  readonly length: number;
  get(index: number): unknown;
  set(index: number, value?: unknown): void;
  grow(delta: number, value?: unknown): number;
}

/** A `WebAssembly.Module`: nothing to look into. */
export type WasmModule = object;

/** What an instance of a module exports. */
export type WasmExports = Record<string, unknown>;
