import type { DmaSpace } from '../computer/dma.js';
import { noteWritten } from '../computer/memory.js';
import {
  FRAME_WORDS,
  PAGE_ABSENT,
  PAGE_MAP,
  PAGE_PRESENT,
  PAGE_WRITABLE,
  RAM_BASE,
  RAM_PAGES,
  SATP,
} from '../hart/state.js';
import { walkSv39 } from './page-walk.js';

/** The memory of an OS instance as one of its hart's threads sees it, through the hart's own words. */
export class GuestMemoryView implements DmaSpace {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #words: Int32Array;

  constructor(
    buffer: SharedArrayBuffer,
    private readonly h: number,
    /** Gives an absent page a frame, if there is one now: its entry then (`CoreImports.fillPage`). */
    private readonly fill: (page: number) => number,
    /** Byte offset of a frame of zeros, which absent pages read as. */
    private readonly zeros: number,
  ) {
    this.#words = new Int32Array(buffer);
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
  }

  /**
   * Byte offset of a guest-physical address, valid to the end of its page, or -1. A page that may not be written as it
   * is answers -1 to `write`: what is to be done then is the main thread's to do.
   */
  offsetOf(address: number, write = false): number {
    const page = this.#pageOf(address);
    if (page < 0) return -1;
    let entry = this.#entryOf(page);
    if (entry === PAGE_ABSENT) {
      if (!write) return this.zeros + (address % 4096);
      entry = this.fill(page);
    }
    const needed = write ? PAGE_PRESENT | PAGE_WRITABLE : PAGE_PRESENT;
    return (entry & needed) !== needed ? -1 : (entry >>> 8) * 4096 + (address % 4096);
  }

  /** Whether a guest-physical address may be written. An absent page may, and stays absent: whether there is a frame for it is not asked. */
  mayWrite(address: number): boolean {
    const page = this.#pageOf(address);
    if (page < 0) return false;
    const entry = this.#entryOf(page);
    const needed = PAGE_PRESENT | PAGE_WRITABLE;
    return entry === PAGE_ABSENT || (entry & needed) === needed;
  }

  /** The page of a guest-physical address, counted from the first, or -1. */
  #pageOf(address: number): number {
    const at = (this.h + RAM_BASE) >>> 2;
    const base = (this.#words[at] >>> 0) + (this.#words[at + 1] >>> 0) * 2 ** 32;
    const page = Math.floor((address - base) / 4096);
    return page >= 0 && page < this.#words[(this.h + RAM_PAGES) >>> 2] ? page : -1;
  }

  #entryOf(page: number): number {
    return this.#words[(this.#words[(this.h + PAGE_MAP) >>> 2] >>> 2) + page];
  }

  written(offset: number, length: number): void {
    noteWritten(this.#words, this.#words[(this.h + FRAME_WORDS) >>> 2], offset, length);
  }

  /** Byte offset of a virtual address through the page tables satp names now, or -1; `write` as for `offsetOf`. */
  translate(va: bigint, write = false): number {
    const satp = this.view.getBigUint64(this.h + SATP, true);
    const address = walkSv39(this.#words, (a) => this.offsetOf(a), satp, va);
    return address < 0 ? -1 : this.offsetOf(address, write);
  }
}
