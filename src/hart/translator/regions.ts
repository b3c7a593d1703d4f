/**
 * The regions of a hart: their places in the function table, where the run loop finds them,
 * and which of them make room for others.
 */
import {
  COUNT_TRANSLATED,
  REGION_DESCRIPTORS,
  REGION_DESCRIPTOR_SIZE,
  REGION_EXTRA_PAGES,
  REGION_PAGE_SIZE,
  REGION_STRADDLED,
  REGION_USED,
} from '../tlb.js';
import type { CodePage } from './graph.js';
import type { HartCode } from './hart-code.js';

export interface Region {
  /** Its place in the function table. */
  readonly index: number;
  /** The host page it begins in, and at which offsets; the page's frame word; other pages it depends on. */
  readonly hostPage: number;
  readonly entries: readonly number[];
  readonly word: number;
  readonly extra: readonly CodePage[];
  /** The hot place it was made for: offset in the page. */
  readonly at: number;
  /** Host addresses of the places where it leaves accesses to the interpreter that it could not look up together. */
  readonly leaves: readonly number[];
  /** Host addresses where it is left because nothing had been executed there when it was made. */
  readonly unexplored: readonly number[];
  /** The region that this one is to take the place of. */
  readonly replaces: Region | undefined;
}

export class Regions {
  /** Times that regions had to make room. */
  evictions = 0;
  /** Regions by their index, by host page and offset. */
  readonly #all = new Map<number, Region>();
  readonly #known = new Map<number, Map<number, Region>>();
  /** By the places they leave to the interpreter, and by those they are left at. */
  readonly #leaving = new Map<number, Region>();
  readonly #bordering = new Map<number, Region>();
  readonly #free: number[] = [];
  #next = 0;
  /** Whether uses are being recorded for the next eviction. */
  #observing = false;

  constructor(
    private readonly code: HartCode,
    private readonly table: WebAssembly.Table,
    private readonly max: number,
  ) {}

  /** A place in the function table; undefined if all are taken by regions that are still being compiled. */
  allocate(): number | undefined {
    if (!this.#observing && this.#all.size > (this.max * 3) / 4) this.#observe();
    if (this.#next === this.max && this.#free.length === 0) this.#makeRoom();
    return this.#free.pop() ?? (this.#next < this.max ? this.#next++ : undefined);
  }

  /** The region that can be entered at a place, if there is one and its code is unchanged. */
  at(hostPage: number, offset: number): Region | undefined {
    const region = this.#known.get(hostPage)?.get(offset);
    return region !== undefined && this.#isValid(region) ? region : undefined;
  }

  /** Takes a region whose function is compiled; where an older one begins, that stays. */
  add(region: Region, run: (h: number) => void): void {
    if (region.replaces !== undefined) this.drop(region.replaces);
    if (!this.#isValid(region)) {
      this.#free.push(region.index);
      return;
    }
    this.table.set(region.index, run);
    this.#describe(region);
    this.#all.set(region.index, region);
    for (const place of region.leaves) this.#leaving.set(place, region);
    for (const place of region.unexplored) this.#bordering.set(place, region);
    let known = this.#known.get(region.hostPage);
    if (known === undefined) {
      known = new Map();
      this.#known.set(region.hostPage, known);
    }
    for (const offset of region.entries) {
      if (this.at(region.hostPage, offset) !== undefined) continue;
      known.set(offset, region);
      this.install(region, offset);
    }
  }

  /** A region that leaves accesses at a place, a host address, to the interpreter. */
  leaving(place: number): Region | undefined {
    return this.#valid(this.#leaving.get(place));
  }

  /** A region that was made when nothing had been executed at a place, a host address, that leads on from it. */
  bordering(place: number): Region | undefined {
    return this.#valid(this.#bordering.get(place));
  }

  #valid(region: Region | undefined): Region | undefined {
    return region !== undefined && this.#isValid(region) ? region : undefined;
  }

  /** Lets the run loop find a valid region at one of its entries. */
  install({ hostPage, index }: Region, offset: number): void {
    this.code.setRegion(hostPage, offset, index);
    this.code.setCount(hostPage, offset, COUNT_TRANSLATED);
    // The jump cache may remember that nothing was there.
    this.code.forgetJumps(offset);
  }

  /** Lets the run loop find the regions of a page again, and drops those whose code has changed. */
  relink(hostPage: number): void {
    const known = this.#known.get(hostPage);
    if (known === undefined) return;
    const stale = new Set<Region>();
    for (const [offset, region] of known) {
      if (this.#isValid(region)) this.install(region, offset);
      else stale.add(region);
    }
    this.#drop(stale);
  }

  /** Drops one region, if it is still there. */
  drop(region: Region): void {
    if (this.#all.get(region.index) === region) this.#drop([region]);
  }

  #drop(regions: Iterable<Region>): void {
    let dropped = false;
    for (const region of regions) {
      const { index, hostPage, entries } = region;
      const known = this.#known.get(hostPage);
      for (const offset of entries) {
        if (known?.get(offset) === region) known.delete(offset);
        this.code.unlink(hostPage, offset, index);
      }
      if (known?.size === 0) this.#known.delete(hostPage);
      this.table.set(index, null);
      this.#all.delete(index);
      for (const place of region.leaves) if (this.#leaving.get(place) === region) this.#leaving.delete(place);
      for (const place of region.unexplored) if (this.#bordering.get(place) === region) this.#bordering.delete(place);
      this.#free.push(index);
      dropped = true;
    }
    if (dropped) this.code.forgetJumps();
  }

  /** From now on the run loop marks what it looks up: everything in use, because the jump cache is empty. */
  #observe(): void {
    this.#observing = true;
    for (const index of this.#all.keys()) this.code.words[this.#usedAt(index)] = 0;
    this.code.forgetJumps();
  }

  /** Drops what is stale or has not been used for a while, and if that is little, the oldest half. */
  #makeRoom(): void {
    this.evictions++;
    const all = [...this.#all.values()];
    const unused = all.filter((region) => !this.#isValid(region) || this.code.words[this.#usedAt(region.index)] === 0);
    this.#drop(unused.length >= all.length / 8 ? unused : all.slice(0, Math.ceil(all.length / 2)));
    this.#observing = false;
  }

  #usedAt(index: number): number {
    return (this.code.h + REGION_DESCRIPTORS + index * REGION_DESCRIPTOR_SIZE + REGION_USED) >>> 2;
  }

  #describe({ index, extra }: Region): void {
    const { words, h } = this.code;
    for (let k = 0; k < REGION_EXTRA_PAGES; k++) {
      const at = (h + REGION_DESCRIPTORS + index * REGION_DESCRIPTOR_SIZE + k * REGION_PAGE_SIZE) >>> 2;
      const page = extra.at(k);
      words[at] = page?.distance ?? 0;
      words[at + 1] = page?.hostPage ?? 0;
      words[at + 2] = page?.word ?? 0;
    }
    words[this.#usedAt(index)] = 1;
    words[this.#usedAt(index) + ((REGION_STRADDLED - REGION_USED) >>> 2)] = 0;
  }

  #isValid({ hostPage, word, extra }: Region): boolean {
    const { code } = this;
    return code.frameWord(hostPage) === word && extra.every((page) => code.frameWord(page.hostPage) === page.word);
  }
}
