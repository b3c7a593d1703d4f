/**
 * The translator of one hart: turns hot places into regions, compiles them in batches,
 * and hands them to the run loop.
 */
import type { Core, CoreCode } from '../core/index.js';
import { coreTable, Linkage, type LinkedModule } from '../core/linkage.js';
import { OP_MASK, OP_STRADDLE, OP_UNDECODED } from '../slots.js';
import { FRAME_WORDS, HOT_THRESHOLD, PC } from '../state.js';
import {
  ACCESS_FETCH,
  COUNTERS,
  COUNT_QUEUED,
  COUNT_TRANSLATED,
  DIRECTORY_WORD,
  JUMP_CACHE,
  JUMP_CACHE_SIZE,
  MAX_REGIONS,
  PREDECODE_DIRECTORY,
  PREDECODE_PAGES,
  PREDECODED,
  PREDECODED_OF_FRAME,
  PREDECODED_STRIDE,
  REGIONS,
  REGION_DESCRIPTORS,
  REGION_DESCRIPTOR_SIZE,
  REGION_EXTRA_PAGES,
  REGION_PAGE_SIZE,
} from '../tlb.js';
import { discover, type CodeSource } from './discover.js';
import { emitRegion } from './emit.js';
import type { CodePage } from './graph.js';

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

/** Arrivals that make a place one that a jump may lead to. */
const OFTEN = 200;

/** Turns that a batch waits for more regions: a module costs a few hundred microseconds, whatever is in it. */
const PATIENCE = 16;

/** A region that is compiled or about to be. */
interface Region {
  /** Its place in the function table. */
  readonly index: number;
  /** The host page it begins in, and at which offsets; the page's frame word; other pages it depends on. */
  readonly hostPage: number;
  readonly entries: readonly number[];
  readonly word: number;
  readonly extra: readonly CodePage[];
}

interface Batch extends LinkedModule {
  /** Turns of the hart that have ended since the batch was begun. */
  turns: number;
  readonly regions: Region[];
}

export interface TranslatorCounters {
  regions: number;
  modules: number;
  /** Bytes of WebAssembly. */
  bytes: number;
  /** Times all regions were dropped to make room. */
  evictions: number;
  /** Milliseconds of building and of compiling. */
  building: number;
  compiling: number;
}

export class Translator {
  core!: Core;
  readonly counters: TranslatorCounters = { regions: 0, modules: 0, bytes: 0, evictions: 0, building: 0, compiling: 0 };
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #halfwords: Uint16Array;
  readonly #view: DataView;
  /** Regions by the host page they start in, then by where. */
  readonly #known = new Map<number, Map<number, Region>>();
  #batch: Batch | undefined;
  #nextIndex = 0;
  #coreTable: WebAssembly.Table | undefined;
  readonly #linkage: Linkage;

  constructor(
    private readonly code: CoreCode,
    private readonly memory: WebAssembly.Memory,
    private readonly table: WebAssembly.Table,
    private readonly h: number,
    private readonly options: TranslatorOptions,
  ) {
    this.#linkage = new Linkage(code.limits, code.signatures);
    this.#words = new Int32Array(memory.buffer);
    this.#bytes = new Uint8Array(memory.buffer);
    this.#halfwords = new Uint16Array(memory.buffer);
    this.#view = new DataView(memory.buffer);
  }

  /** The place at the hart's pc has become hot. Called while the core runs. */
  hot(): void {
    const pc = this.#view.getBigInt64(this.h + PC, true);
    const offset = Number(pc & 0xfffn);
    const hostPage = this.core.refill(this.h, pc, ACCESS_FETCH);
    if ((hostPage & 0xfff) !== 0) return;
    const slots = this.#predecoded(hostPage >>> 0);
    if (slots === undefined) return;
    const known = this.#known.get(hostPage >>> 0)?.get(offset);
    if (known !== undefined && this.#isValid(known)) return this.#install(known, offset);

    const start = performance.now();
    this.#halfwords[(slots + COUNTERS + offset) >>> 1] = COUNT_QUEUED;
    const entries = this.#translate(pc, hostPage >>> 0, offset);
    for (const entry of entries) this.#halfwords[(slots + COUNTERS + entry) >>> 1] = COUNT_QUEUED;
    this.counters.building += performance.now() - start;
    if (this.#batch !== undefined && this.#batch.regions.length >= this.options.batch) this.#compile(this.#batch);
  }

  /** Adds the region of a hot place to the batch; returns the offsets at which it can be entered. */
  #translate(pc: bigint, hostPage: number, offset: number): readonly number[] {
    const firstPage = pc & ~0xfffn;
    const source: CodeSource = {
      page: (distance) => this.#page(firstPage, distance),
      halfword: (page, at) => this.#halfwords[(page + at) >>> 1],
      executed: (page, at) => {
        if (this.options.eager) return true;
        const slots = this.#predecoded(page.hostPage);
        return slots !== undefined && this.#isDecoded(slots, at);
      },
      arrivals: (page) => this.#arrivals(page.hostPage),
    };
    const graph = discover(source, offset, this.options.maxSteps);
    // An illegal instruction is for the interpreter: a region must get on by at least one.
    if (graph.entries.length === 0) return [];
    const index = this.#nextIndex++;
    if (index >= this.options.maxRegions) {
      this.#evictAll();
      return [];
    }
    const batch = (this.#batch ??= this.#begin());
    batch.module.export(`r${index}`, emitRegion(batch.module, batch.functions, graph));
    const word = this.#frameWord(hostPage);
    const extra = graph.pages.filter(({ distance }) => distance !== 0);
    batch.regions.push({ index, hostPage, entries: graph.entries, word, extra });
    this.counters.regions++;
    return graph.entries;
  }

  /** The page at `distance` from the first one, as it is mapped now; it counts as code from now on. */
  #page(first: bigint, distance: number): CodePage | undefined {
    const host = this.core.refill(this.h, first + BigInt(distance), ACCESS_FETCH);
    if ((host & 0xfff) !== 0) return undefined;
    const hostPage = host >>> 0;
    this.core.predecodedPage(this.h, hostPage);
    return { distance, hostPage, word: this.#frameWord(hostPage) };
  }

  #begin(): Batch {
    return { ...this.#linkage.module(), regions: [], turns: 0 };
  }

  /** To be called at the end of a turn: compiles what has been waiting long enough. Cheap when nothing is. */
  settle(): void {
    if (this.#batch !== undefined && ++this.#batch.turns >= PATIENCE) this.#compile(this.#batch);
  }

  #compile(batch: Batch): void {
    this.#batch = undefined;
    const start = performance.now();
    const bytes = batch.module.toBytes();
    const module = new WebAssembly.Module(bytes);
    this.#coreTable ??= coreTable(this.code.signatures, this.core);
    const { exports } = new WebAssembly.Instance(module, { env: { memory: this.memory, table: this.#coreTable } });
    for (const region of batch.regions) {
      this.table.set(region.index, exports[`r${region.index}`]);
      this.#describe(region);
      for (const offset of this.#remember(region)) this.#install(region, offset);
    }
    this.counters.modules++;
    this.counters.bytes += bytes.length;
    this.counters.compiling += performance.now() - start;
  }

  /** Returns the offsets that are this region's; where an older one begins, that stays. */
  #remember(region: Region): number[] {
    let regions = this.#known.get(region.hostPage);
    if (regions === undefined) {
      regions = new Map();
      this.#known.set(region.hostPage, regions);
    }
    const taken: number[] = [];
    for (const offset of region.entries) {
      const known = regions.get(offset);
      if (known !== undefined && this.#isValid(known)) continue;
      regions.set(offset, region);
      taken.push(offset);
    }
    return taken;
  }

  /** Lets the run loop find the regions of a page again. */
  relink(hostPage: number): void {
    const regions = this.#known.get(hostPage);
    if (regions === undefined) return;
    for (const [offset, region] of regions) {
      if (this.#isValid(region)) this.#install(region, offset);
      else regions.delete(offset);
    }
    if (regions.size === 0) this.#known.delete(hostPage);
  }

  #describe({ index, extra }: Region): void {
    for (let k = 0; k < REGION_EXTRA_PAGES; k++) {
      const at = (this.h + REGION_DESCRIPTORS + index * REGION_DESCRIPTOR_SIZE + k * REGION_PAGE_SIZE) >>> 2;
      const page = extra.at(k);
      this.#words[at] = page?.distance ?? 0;
      this.#words[at + 1] = page?.hostPage ?? 0;
      this.#words[at + 2] = page?.word ?? 0;
    }
  }

  /** Lets the run loop find the region at an offset, if the code is still what was translated. */
  #install(region: Region, offset: number): void {
    const slots = this.#predecoded(region.hostPage);
    if (slots === undefined || !this.#isValid(region)) return;
    this.#halfwords[(slots + REGIONS + offset) >>> 1] = region.index + 1;
    this.#halfwords[(slots + COUNTERS + offset) >>> 1] = COUNT_TRANSLATED;
    // The jump cache may remember that nothing was there.
    const jump = this.h + JUMP_CACHE;
    const low = offset << 3;
    for (let at = low & 0xffff; at < JUMP_CACHE_SIZE; at += 0x8000) this.#view.setBigInt64(jump + at, -1n, true);
  }

  #isValid({ hostPage, word, extra }: Region): boolean {
    return this.#frameWord(hostPage) === word && extra.every((page) => this.#frameWord(page.hostPage) === page.word);
  }

  #frameWord(hostPage: number): number {
    const words = this.#words[(this.h + FRAME_WORDS) >> 2] >>> 0;
    return Atomics.load(this.#words, (words >>> 2) + (hostPage >>> 12));
  }

  /** Address of the predecoded page of a host page if there is a current one. */
  #predecoded(hostPage: number): number | undefined {
    const frame = hostPage >>> 12;
    const index = this.#halfwords[(this.h + PREDECODED_OF_FRAME + 2 * frame) >>> 1] - 1;
    if (index < 0) return undefined;
    const directory = (this.h + PREDECODE_DIRECTORY + index * 16) >>> 2;
    if (this.#words[directory + (DIRECTORY_WORD >> 2)] !== this.#frameWord(hostPage)) return undefined;
    return this.h + PREDECODED + index * PREDECODED_STRIDE;
  }

  #arrivals(hostPage: number): number[] {
    const slots = this.#predecoded(hostPage);
    if (slots === undefined) return [];
    const least = Math.min(OFTEN, this.#words[(this.h + HOT_THRESHOLD) >> 2]);
    const offsets: number[] = [];
    for (let offset = 0; offset < 4096; offset += 2) {
      if (this.#halfwords[(slots + COUNTERS + offset) >>> 1] >= least) offsets.push(offset);
    }
    return offsets;
  }

  #isDecoded(slots: number, offset: number): boolean {
    const operation = this.#words[(slots + offset * 4) >>> 2] & OP_MASK;
    return operation !== OP_UNDECODED && operation !== OP_STRADDLE;
  }

  /** Drops all regions: what is hot comes back soon. */
  #evictAll(): void {
    this.#batch = undefined;
    this.#nextIndex = 0;
    this.#known.clear();
    for (let index = 0; index < PREDECODE_PAGES; index++) {
      const slots = this.h + PREDECODED + index * PREDECODED_STRIDE;
      this.#bytes.fill(0, slots + COUNTERS, slots + PREDECODED_STRIDE);
    }
    this.#bytes.fill(0xff, this.h + JUMP_CACHE, this.h + JUMP_CACHE + JUMP_CACHE_SIZE);
    for (let index = 0; index < MAX_REGIONS; index++) this.table.set(index, null);
    this.counters.evictions++;
  }
}
