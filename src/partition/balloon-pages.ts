/**
 * The pages of an OS instance's memory as its balloon deals with them: which of them are inflated, and their frames, which
 * go back to the computer. All that comes in here was said by the guest.
 */
import type { PageRun } from '../computer/virtio/balloon-format.js';
import type { BalloonPages } from '../computer/virtio/balloon.js';
import { RAM_START } from './address-space.js';

const PAGE = 4096;
/** So many pages are given back before others have a turn on the main thread. */
const PIECE = 2048;

/** What gives the frames back: a logical address space. */
export interface GivesBack {
  readonly pages: number;
  /** Makes a page absent. False: it had no frame. */
  giveBack(page: number): boolean;
  /** Resolves when nobody can reach the frames that were given back. */
  settled(): Promise<void>;
}

/** An OS instance's pages, in its balloon and out of it. */
export class MemoryPages implements BalloonPages {
  readonly extent: PageRun;
  /** Told when pages have gone into the balloon, or have come out of it. */
  onChange: () => void = () => undefined;
  readonly #space: GivesBack;
  readonly #soon: (run: () => void) => void;
  /** A bit for each page. */
  readonly #bits: Uint8Array;
  #inflated = 0;
  #reported = 0;

  constructor(space: GivesBack, soon: (run: () => void) => void) {
    this.#space = space;
    this.#soon = soon;
    this.extent = { first: RAM_START / PAGE, count: space.pages };
    this.#bits = new Uint8Array(Math.ceil(space.pages / 8));
  }

  /** Pages that the guest does without. */
  get inflated(): number {
    return this.#inflated;
  }

  /** Frames that came back because they lay free in the guest, since the beginning. */
  get reported(): number {
    return this.#reported;
  }

  async inflate(runs: readonly PageRun[]): Promise<void> {
    await this.#giveBack(runs, (page) => this.#mark(page));
    this.onChange();
  }

  deflate(runs: readonly PageRun[]): Promise<void> {
    this.#each(runs, (page) => this.#unmark(page));
    this.onChange();
    return Promise.resolve();
  }

  async report(runs: readonly PageRun[]): Promise<void> {
    this.#reported += await this.#giveBack(runs, () => undefined);
  }

  reset(): void {
    this.#bits.fill(0);
    this.#inflated = 0;
    this.onChange();
  }

  #mark(page: number): void {
    const bit = 1 << (page & 7);
    if ((this.#bits[page >>> 3] & bit) !== 0) return;
    this.#bits[page >>> 3] |= bit;
    this.#inflated++;
  }

  #unmark(page: number): void {
    const bit = 1 << (page & 7);
    if ((this.#bits[page >>> 3] & bit) === 0) return;
    this.#bits[page >>> 3] &= ~bit;
    this.#inflated--;
  }

  /** How many frames came back. */
  async #giveBack(runs: readonly PageRun[], also: (page: number) => void): Promise<number> {
    const { first, count } = this.extent;
    let frames = 0;
    let left = PIECE;
    for (const run of runs) {
      const end = Math.min(run.first - first + run.count, count);
      for (let page = Math.max(0, run.first - first); page < end; page++) {
        if (this.#space.giveBack(page)) frames++;
        also(page);
        if (--left > 0) continue;
        left = PIECE;
        await this.#space.settled();
        await new Promise<void>((resolve) => this.#soon(resolve));
      }
    }
    await this.#space.settled();
    return frames;
  }

  #each(runs: readonly PageRun[], visit: (page: number) => void): void {
    const { first, count } = this.extent;
    for (const run of runs) {
      const end = Math.min(run.first - first + run.count, count);
      for (let page = Math.max(0, run.first - first); page < end; page++) visit(page);
    }
  }
}
