import { ByteWriter } from './bytes.js';
import type { Callable, ValueType } from './expr.js';
import { FunctionBuilder, type BranchHint } from './function.js';

interface ImportedFunction {
  readonly module: string;
  readonly name: string;
  readonly type: number;
}

/** A module's import of the computer's shared memory, in 64 KiB pages. */
export interface MemoryLimits {
  readonly initial: number;
  readonly maximum: number;
}

/**
 * Builds a WebAssembly module (core specification 5.5) that imports one shared
 * memory as `env.memory` and, when asked, one function table as `env.table`.
 * All imported functions must be declared before the first function is added.
 */
export class ModuleBuilder {
  private readonly types: string[] = [];
  private readonly typeBytes: Uint8Array[] = [];
  private readonly imports: ImportedFunction[] = [];
  private readonly functions: FunctionBuilder[] = [];
  private readonly functionTypes: number[] = [];
  private readonly exports: [string, number][] = [];
  private importsTable = false;

  constructor(private readonly memory: MemoryLimits) {}

  /** Index of a function type. */
  type(params: readonly ValueType[], result: ValueType | undefined): number {
    const key = `${params.join()}:${result ?? ''}`;
    const known = this.types.indexOf(key);
    if (known >= 0) return known;
    const bytes = new ByteWriter(16);
    bytes.u8(0x60);
    bytes.u32(params.length);
    for (const param of params) bytes.u8(param);
    if (result === undefined) bytes.u32(0);
    else {
      bytes.u32(1);
      bytes.u8(result);
    }
    this.typeBytes.push(bytes.view().slice());
    return this.types.push(key) - 1;
  }

  importFunction<R extends ValueType | undefined>(
    module: string,
    name: string,
    params: readonly ValueType[],
    result: R,
  ): Callable<R> {
    if (this.functions.length > 0) throw new Error('imports come before functions');
    const index = this.imports.push({ module, name, type: this.type(params, result) }) - 1;
    return { index, result };
  }

  /** Imports `env.table`. */
  importTable(): void {
    this.importsTable = true;
  }

  function<R extends ValueType | undefined>(
    params: readonly ValueType[],
    result: R,
    exportName?: string,
  ): FunctionBuilder<R> {
    const index = this.imports.length + this.functions.length;
    const builder = new FunctionBuilder(index, params, result);
    this.functions.push(builder);
    this.functionTypes.push(this.type(params, result));
    if (exportName !== undefined) this.exports.push([exportName, index]);
    return builder;
  }

  /** Exports a function of this module under a name, besides the one it may have. */
  export(name: string, target: Callable): void {
    if (!this.exports.some(([known]) => known === name)) this.exports.push([name, target.index]);
  }

  /** Which branches are likely, for engines that want to know (branch hinting proposal, "Branch Hints section"). */
  private hints(body: ByteWriter, functions: readonly { readonly hints: readonly BranchHint[] }[]): void {
    body.name('metadata.code.branch_hint');
    const hinted = functions
      .map(({ hints }, i) => ({ index: this.imports.length + i, hints }))
      .filter(({ hints }) => hints.length > 0);
    body.u32(hinted.length);
    for (const { index, hints } of hinted) {
      body.u32(index);
      body.u32(hints.length);
      for (const { at, likely } of hints) {
        body.u32(at);
        body.u32(1); // bytes of the hint
        body.u8(likely ? 1 : 0);
      }
    }
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    const out = new ByteWriter(4096);
    out.word(0x6d736100);
    out.word(1);

    const section = (id: number, fill: (body: ByteWriter) => void): void => {
      const body = new ByteWriter(1024);
      fill(body);
      out.u8(id);
      out.u32(body.length);
      out.append(body.view());
    };

    section(1, (body) => {
      body.u32(this.typeBytes.length);
      for (const bytes of this.typeBytes) body.append(bytes);
    });
    section(2, (body) => {
      body.u32(this.imports.length + 1 + (this.importsTable ? 1 : 0));
      for (const { module, name, type } of this.imports) {
        body.name(module);
        body.name(name);
        body.u8(0);
        body.u32(type);
      }
      body.name('env');
      body.name('memory');
      body.u8(2);
      body.u8(3); // shared, with a maximum
      body.u32(this.memory.initial);
      body.u32(this.memory.maximum);
      if (this.importsTable) {
        body.name('env');
        body.name('table');
        body.u8(1);
        body.u8(0x70);
        body.u8(0);
        body.u32(0);
      }
    });
    section(3, (body) => {
      body.u32(this.functionTypes.length);
      for (const type of this.functionTypes) body.u32(type);
    });
    section(7, (body) => {
      body.u32(this.exports.length);
      for (const [name, index] of this.exports) {
        body.name(name);
        body.u8(0);
        body.u32(index);
      }
    });
    const finished = this.functions.map((f) => f.finish());
    section(0, (body) => this.hints(body, finished));
    section(10, (body) => {
      body.u32(finished.length);
      for (const { code } of finished) {
        body.u32(code.length);
        body.append(code.view());
      }
    });
    return out.view().slice();
  }
}
