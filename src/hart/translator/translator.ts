/**
 * The translator of one hart: turns hot places into regions, compiles them in batches,
 * and hands them to the run loop.
 */
import type { Core, CoreCode } from '../core/index.js';
import { LinkedModule } from '../core/linkage.js';
import { PC } from '../state.js';
import { ACCESS_FETCH, COUNT_QUEUED } from '../tlb.js';
import { discover, type CodeSource } from './discover.js';
import { emitRegion } from './emit.js';
import type { CodePage } from './graph.js';
import { HartCode } from './hart-code.js';
import { Regions, type Region } from './regions.js';
import type { WasmMemory, WasmTable } from '../../wasm/host.js';

export interface TranslatorOptions {
  /** Regions compiled together at most. */
  readonly batch: number;
  /** Translate ahead of execution: follow edges that were never taken. */
  readonly eager: boolean;
  /** Instructions of one region, about: the larger, the longer the optimizing compiler takes. */
  readonly maxSteps: number;
  /** Regions kept at a time. */
  readonly maxRegions: number;
}

/** Turns that a batch waits for more regions: a module costs a few hundred microseconds, whatever is in it. */
const PATIENCE = 48;

/**
 * Bytes of machine code that run, for each byte of WebAssembly, before a region is worth the optimizing compiler's
 * time: that takes two microseconds a byte, so a large region has to run for longer (docs/performance.md).
 */
const OPTIMIZE_AFTER = 12_000;

/** Places remembered at a time. */
const MAX_APART = 16_384;

interface Batch {
  readonly linked: LinkedModule;
  /** Turns of the hart that have ended since the batch was begun. */
  turns: number;
  readonly regions: Region[];
  /** Host addresses of their blocks. */
  readonly blocks: number[];
}

/** What a hart's translator has done so far. */
export interface TranslatorCounters {
  regions: number;
  modules: number;
  /** Bytes of WebAssembly. */
  bytes: number;
  /** Times that regions had to make room. */
  evictions: number;
  /** Milliseconds of building and of compiling. */
  building: number;
  compiling: number;
}

export class Translator {
  core!: Core;
  readonly counters: TranslatorCounters = { regions: 0, modules: 0, bytes: 0, evictions: 0, building: 0, compiling: 0 };
  readonly #code: HartCode;
  readonly #view: DataView;
  readonly #regions: Regions;
  /** Host addresses of places where accesses are not to be looked up together. */
  readonly #apart = new Set<number>();
  #batch: Batch | undefined;

  constructor(
    private readonly coreCode: CoreCode,
    private readonly memory: WasmMemory,
    table: WasmTable,
    private readonly h: number,
    private readonly options: TranslatorOptions,
    private readonly optimizeAfter: (bytes: number) => void = () => undefined,
  ) {
    this.#code = new HartCode(memory.buffer, h);
    this.#view = new DataView(memory.buffer);
    this.#regions = new Regions(this.#code, table, options.maxRegions);
  }

  /** The place at the hart's pc has become hot. Called while the core runs. */
  hot(): void {
    const pc = this.#view.getBigInt64(this.h + PC, true);
    const offset = Number(pc & 0xfffn);
    const firstPage = pc & ~0xfffn;
    const host = this.core.refill(this.h, pc, ACCESS_FETCH);
    if ((host & 0xfff) !== 0) return;
    const hostPage = host >>> 0;
    const known = this.#regions.at(hostPage, offset);
    if (known !== undefined) {
      if (known.extra.every((page) => this.#hostPage(firstPage, page.distance) === page.hostPage)) {
        return this.#regions.install(known, offset);
      }
      // Its other pages are mapped elsewhere now.
      this.#regions.drop(known);
    }
    const start = performance.now();
    const left = this.#regions.bordering(hostPage + offset);
    // It may also be reached from elsewhere, and is not in the new region for sure: it can become hot again.
    this.#code.setCount(hostPage, offset, 0);
    if (left === undefined || !this.#replace(left, firstPage, hostPage)) this.#translate(firstPage, hostPage, offset);
    this.counters.building += performance.now() - start;
    this.counters.evictions = this.#regions.evictions;
    this.#compileIfFull();
  }

  /** Lets the run loop find the regions of a page again. */
  relink(hostPage: number): void {
    this.#regions.relink(hostPage);
  }

  /** To be called at the end of a turn: compiles what has been waiting long enough. Cheap when nothing is. */
  settle(): void {
    if (this.#batch !== undefined && ++this.#batch.turns >= PATIENCE) this.#compile(this.#batch);
  }

  /**
   * A region keeps leaving accesses to the interpreter, now at the hart's pc: together they lie in two pages.
   * It is made anew with those accesses looked up one by one. Called while the core runs.
   */
  straddles(): void {
    const pc = this.#view.getBigInt64(this.h + PC, true);
    const page = this.#hostPage(pc & ~0xfffn, 0);
    if (page === undefined) return;
    const place = page + Number(pc & 0xfffn);
    const region = this.#regions.leaving(place);
    if (region === undefined) return;
    if (this.#apart.size >= MAX_APART) this.#apart.clear();
    this.#apart.add(place);
    const start = performance.now();
    this.#replace(region, pc & ~0xfffn, page);
    this.counters.building += performance.now() - start;
    this.#compileIfFull();
  }

  #compileIfFull(): void {
    if (this.#batch !== undefined && this.#batch.regions.length >= this.options.batch) this.#compile(this.#batch);
  }

  /** Makes a region anew, of which a page is mapped at a virtual address now; false if its first page is not before that. */
  #replace(region: Region, virtual: bigint, page: number): boolean {
    if (this.#batch?.regions.some(({ replaces }) => replaces === region) === true) return true;
    const extra = region.extra.find(({ hostPage }) => hostPage === page);
    const distance = region.hostPage === page ? 0 : (extra?.distance ?? 0);
    const firstPage = virtual - BigInt(distance);
    if (this.#hostPage(firstPage, 0) !== region.hostPage) return false;
    this.#translate(firstPage, region.hostPage, region.at, region);
    return true;
  }

  /** Adds the region of a hot place to the batch, if the page is still what is mapped first. */
  #translate(firstPage: bigint, hostPage: number, offset: number, replaces?: Region): void {
    const code = this.#code;
    const source: CodeSource = {
      page: (distance) => this.#page(firstPage, distance),
      halfword: (page, at) => code.halfwords[(page + at) >>> 1],
      executed: (page, at) => this.options.eager || code.isDecoded(page.hostPage, at),
      arrivals: (page, most) => code.arrivals(page.hostPage, most),
    };
    // What is to be replaced goes on until then.
    if (replaces === undefined) code.setCount(hostPage, offset, COUNT_QUEUED);
    const graph = discover(source, offset, this.options.maxSteps);
    // An illegal instruction is for the interpreter: a region must get on by at least one.
    if (graph.entries.length === 0) return;
    // Who marks a page as code waits for other harts, and may hear from them meanwhile that it is mapped elsewhere.
    if (graph.pages[0].hostPage !== hostPage) return code.setCount(hostPage, offset, 0);
    const hosts = new Map(graph.pages.map((page) => [page.distance, page.hostPage]));
    const hostOf = (at: number): number => (hosts.get(at & ~4095) ?? 0) + (at & 4095);
    const index = this.#regions.allocate();
    if (index === undefined) return code.setCount(hostPage, offset, 0);
    const { limits, signatures } = this.coreCode;
    const batch = (this.#batch ??= { linked: new LinkedModule(limits, signatures), regions: [], blocks: [], turns: 0 });
    const { module, functions } = batch.linked;
    const { run, leaves } = emitRegion(module, functions, graph, (at) => this.#apart.has(hostOf(at)));
    module.export(`r${index}`, run);
    // What is a block of this region need not become one of its own while the region waits to be compiled.
    const blocks = graph.blocks.map(hostOf);
    blocks.forEach((place) => code.beginCount(place));
    batch.blocks.push(...blocks);
    batch.regions.push({
      index,
      hostPage,
      entries: graph.entries,
      word: graph.pages[0].word,
      extra: graph.pages.filter(({ distance }) => distance !== 0),
      at: offset,
      leaves: leaves.map(hostOf),
      unexplored: graph.unexplored.filter((at) => hosts.has(at & ~4095)).map(hostOf),
      replaces,
    });
    for (const entry of graph.entries) {
      if (this.#regions.at(hostPage, entry) === undefined) code.setCount(hostPage, entry, COUNT_QUEUED);
    }
    this.counters.regions++;
  }

  /** The host page at `distance` from the first one, as it is mapped now. */
  #hostPage(first: bigint, distance: number): number | undefined {
    const host = this.core.refill(this.h, first + BigInt(distance), ACCESS_FETCH);
    return (host & 0xfff) === 0 ? host >>> 0 : undefined;
  }

  /** The page at `distance` from the first one; it counts as code from now on. */
  #page(first: bigint, distance: number): CodePage | undefined {
    const hostPage = this.#hostPage(first, distance);
    if (hostPage === undefined) return undefined;
    this.core.predecodedPage(this.h, hostPage);
    return { distance, hostPage, word: this.#code.frameWord(hostPage) };
  }

  #compile(batch: Batch): void {
    this.#batch = undefined;
    const start = performance.now();
    const bytes = batch.linked.module.toBytes();
    this.optimizeAfter((bytes.length / batch.regions.length) * OPTIMIZE_AFTER);
    const exports = batch.linked.instantiate(bytes, this.memory, this.core);
    for (const region of batch.regions) this.#regions.add(region, exports[`r${region.index}`] as (h: number) => void);
    // Meanwhile jumps have led to their blocks; from now on they stay inside.
    for (const place of batch.blocks) this.#code.beginCount(place);
    this.counters.modules++;
    this.counters.bytes += bytes.length;
    this.counters.compiling += performance.now() - start;
  }
}
