/**
 * A logical address space: an OS instance's guest-physical memory as a map from its
 * pages to frames. The map is a row of 32-bit entries in VMM frames, `PAGE_*` flags
 * and frame number << 8, that the harts' page walks read.
 *
 *     frame << 8 | PRESENT | WRITABLE     the page has a frame
 *     ABSENT                              memory of zeros without a frame: it gets one at its first touch
 *
 * A hart that touches an absent page takes a frame out of the space's reserve (computer/reserve.ts) and writes the entry
 * by compare-exchange; so does the main thread, which reads an absent page as what it is, zeros.
 */
import type { DmaSpace } from '../computer/dma.js';
import { ComputerError } from '../computer/errors.js';
import { FRAME_SIZE, noteWritten, type MachineMemory } from '../computer/memory.js';
import { Reserve, RESERVE_FRAMES } from '../computer/reserve.js';
import { PAGE_ABSENT, PAGE_PRESENT, PAGE_WRITABLE } from '../hart/state.js';
import { FrameShare } from './frame-share.js';

export { PAGE_ABSENT, PAGE_PRESENT, PAGE_WRITABLE };

/** Where the memory of every OS instance starts, as on QEMU's virt machine. */
export const RAM_START = 0x8000_0000;

/** Of the frames that it could have a space keeps no more than this part in its reserve: others may need them. */
const RESERVE_PART = 8;

/**
 * Frames that no reserve is given: devices, who cannot wait, have those that are left last. Part of the computer's, and at
 * most so many.
 */
const CUSHION_PART = 64;
const MOST_CUSHION = 1024;

/** Of a computer's frames, those that only devices get when they are the last that are promised to nobody. */
export const cushion = (frames: { readonly total: number }): number =>
  Math.min(MOST_CUSHION, Math.floor(frames.total / CUSHION_PART));

/** What a space has of its surroundings. */
export interface SpaceHost {
  /** Resolves when no hart of the instance uses what it has looked up in the map before. */
  forget(): Promise<void>;
  /** There are frames in the reserve that was empty: harts may sleep until then. */
  refilled(): void;
  /** A device was to write to a page, and there is no frame for it. */
  starved(): void;
  /** It has taken frames that were not promised to it, or wanted to. */
  tookOthers(): void;
}

const ALONE: SpaceHost = {
  forget: () => Promise.resolve(),
  refilled: () => undefined,
  starved: () => undefined,
  tookOthers: () => undefined,
};

/** A guest's physical memory: a map from its pages to frames of the computer. */
export class LogicalAddressSpace implements DmaSpace {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Byte offset of the page map. */
  readonly pageMap: number;
  /** Byte offset of the reserve for absent pages. */
  readonly reserve: number;
  readonly #words: Int32Array;
  readonly #first: number;
  readonly #runs: [first: number, count: number][] = [];
  readonly #share: FrameShare;
  readonly #reserve: Reserve;
  /** Frames of pages that are absent now, which harts may still use. */
  #leaving: number[] = [];
  #forgetting: Promise<void> | undefined;
  #released = false;

  /**
   * `guaranteed` of the `pages` are the space's own whatever others take. If those are all, they have their frames at
   * once; else all pages are absent. Throws ComputerError `no-frames`, taking none.
   */
  constructor(
    private readonly machine: MachineMemory,
    readonly pages: number,
    guaranteed = pages,
    private readonly host = ALONE,
  ) {
    this.bytes = machine.bytes;
    this.view = machine.view;
    this.#words = machine.words;
    this.#share = new FrameShare(machine.frames, Math.min(guaranteed, pages));
    try {
      this.pageMap = this.#allocate(Math.ceil((pages * 4) / FRAME_SIZE));
      this.#first = this.pageMap >>> 2;
      this.reserve = this.#allocate(1);
      this.#reserve = new Reserve(this.#words, this.reserve);
      if (guaranteed >= pages) this.#share.take(pages).forEach((frame, page) => this.setFrame(page, frame));
      else this.#words.fill(PAGE_ABSENT, this.#first, this.#first + pages);
    } catch (error) {
      this.#close([]);
      throw error;
    }
    this.replenish();
  }

  /** Size of the memory in bytes. */
  get size(): number {
    return this.pages * FRAME_SIZE;
  }

  /** Pages that have a frame. */
  get resident(): number {
    return this.#share.taken - this.#leaving.length - this.#reserve.level;
  }

  /** Frames that it has: the resident pages', those of its reserve, and those that are about to be given back. */
  get taken(): number {
    return this.#share.taken;
  }

  /** Harts that touch an absent page must wait: the computer has no frame for them. */
  get starving(): boolean {
    return this.#reserve.none && this.#reserve.level === 0;
  }

  /** Pages that are its own whatever others take. */
  get guaranteed(): number {
    return this.#share.guaranteed;
  }

  /** It has no more frames than this, however many pages; what it has beyond it keeps until it is given back. */
  get limit(): number {
    return Math.min(this.#share.limit, this.pages);
  }
  set limit(pages: number) {
    this.#share.limit = pages;
    this.#emptyReserve(pages);
    // Harts may be waiting for what they may have now.
    this.replenish();
  }

  /** Changes what is its own; pages keep the frames that they have. Throws ComputerError `no-frames`, changing nothing. */
  guarantee(pages: number): void {
    this.#share.guarantee(pages);
  }

  offsetOf(address: number, write = false): number {
    const page = Math.floor((address - RAM_START) / FRAME_SIZE);
    if (!(page >= 0 && page < this.pages) || this.#released) return -1;
    const entry = this.#words[this.#first + page];
    if ((entry & PAGE_PRESENT) !== 0) return (entry >>> 8) * FRAME_SIZE + (address % FRAME_SIZE);
    if ((entry & PAGE_ABSENT) === 0) return -1;
    if (!write) return this.machine.zeros + (address % FRAME_SIZE);
    if (this.fill(page)) return this.offsetOf(address);
    this.host.starved();
    return -1;
  }

  written(offset: number, length: number): void {
    noteWritten(this.#words, this.machine.frameWords, offset, length);
  }

  /** Copies `data` to a guest-physical address. Throws RangeError if it leaves the memory, ComputerError `no-frames`. */
  write(address: number, data: Uint8Array): void {
    for (let at = 0; at < data.length;) {
      const page = Math.floor((address + at - RAM_START) / FRAME_SIZE);
      if (this.isAbsent(page) && !this.fill(page)) {
        throw new ComputerError('no-frames', 'no machine memory is left for what is to be written');
      }
      const offset = this.offsetOf(address + at, true);
      if (offset < 0) throw new RangeError(`no memory at ${(address + at).toString(16)}`);
      const length = Math.min(data.length - at, FRAME_SIZE - (offset % FRAME_SIZE));
      this.bytes.set(data.subarray(at, at + length), offset);
      this.written(offset, length);
      at += length;
    }
  }

  /**
   * The page map: an entry for each page, counted from RAM_START. Frames of present pages may be exchanged in it while
   * the harts stand still; what is absent becomes present by {@link fill} only.
   */
  get map(): Int32Array {
    // A space that is released maps nothing any more.
    return this.#words.subarray(this.#first, this.#released ? this.#first : this.#first + this.pages);
  }

  /** The frame behind a page (counted from RAM_START), or -1. */
  frameOf(page: number): number {
    if (!(page >= 0 && page < this.pages) || this.#released) return -1;
    const entry = this.#words[this.#first + page];
    return (entry & PAGE_PRESENT) === 0 ? -1 : entry >>> 8;
  }

  /** Whether the page is memory of zeros without a frame. */
  isAbsent(page: number): boolean {
    return page >= 0 && page < this.pages && !this.#released && this.#words[this.#first + page] === PAGE_ABSENT;
  }

  /** Maps a page. The harts of the instance must stand still, or be told to forget translations. */
  setFrame(page: number, frame: number): void {
    this.#words[this.#first + page] = (frame << 8) | PAGE_PRESENT | PAGE_WRITABLE;
  }

  /** Gives an absent page a cleared frame; harts may do the same meanwhile. False: there is none, or no such page. */
  fill(page: number): boolean {
    if (!this.isAbsent(page)) return this.frameOf(page) >= 0;
    const at = this.#first + page;
    if (this.#share.withinReach() === 0) return (this.#reserve.fill(at) & PAGE_PRESENT) !== 0;
    const [frame] = this.#share.take(1);
    if (this.#share.taken > this.guaranteed) this.host.tookOthers();
    const entry = (frame << 8) | PAGE_PRESENT | PAGE_WRITABLE;
    if (Atomics.compareExchange(this.#words, at, PAGE_ABSENT, entry) !== PAGE_ABSENT) this.#share.giveBack([frame]);
    return true;
  }

  /** Puts frames into the reserve, as many as are to be had and not too many. To be called when harts ask, and now and then. */
  replenish(): void {
    if (this.#released) return;
    this.#reserve.looking();
    const withinReach = this.#share.withinReach(cushion(this.machine.frames));
    const { level } = this.#reserve;
    const wanted = Math.min(RESERVE_FRAMES, this.pages - this.resident);
    const most = Math.min(wanted, Math.max(Math.ceil((withinReach + level) / RESERVE_PART), 1));
    const count = Math.min(withinReach, most - level);
    if (count > 0) this.#reserve.put(this.#share.take(count));
    this.#reserve.looked(wanted > level && withinReach === 0, Math.ceil(most / 2));
    if (this.#reserve.level > 0 && this.#reserve.takeWaits()) this.host.refilled();
    if (wanted > level && this.#share.taken >= this.guaranteed) this.host.tookOthers();
  }

  /** Frames that wait in its reserve, beyond what it was promised: to be given back where they are wanted more. */
  giveBackReserve(): void {
    this.#emptyReserve(this.guaranteed);
  }

  #emptyReserve(least: number): void {
    for (let frame = 1; frame !== 0 && this.#share.taken > least;) {
      frame = this.#reserve.take();
      if (frame !== 0) this.#share.giveBack([frame]);
    }
  }

  /**
   * Makes a page absent: it reads as zeros from now on, and its frame goes back to the computer when no hart can reach it
   * any more. Pages that are given back one after the other are waited for together. False: it has no frame to give.
   *
   * A guest's harts may go on meanwhile: what they read and write of a page that they have said to be free is nothing
   * to them. So they are not made to stand still, only to forget what they have translated.
   */
  giveBack(page: number): boolean {
    const frame = this.frameOf(page);
    if (frame < 0) return false;
    Atomics.store(this.#words, this.#first + page, PAGE_ABSENT);
    this.#leaving.push(frame);
    this.#forgetting ??= this.#letLeave();
    return true;
  }

  /** Resolves when the frames of all pages that were given back are the computer's. */
  async settled(): Promise<void> {
    while (this.#forgetting !== undefined) await this.#forgetting;
  }

  /** Gives all frames back. Nothing may run in this space any more. */
  release(): void {
    if (this.#released) return;
    const mapped: number[] = [];
    for (let page = 0; page < this.pages; page++) {
      const frame = this.frameOf(page);
      if (frame >= 0) mapped.push(frame);
    }
    this.#close(mapped);
  }

  /** Names all frames that it has: the pages', those that wait for pages or are about to be given back, its own. */
  eachFrame(name: (frame: number) => void): void {
    if (this.#released) return;
    for (const [first, count] of this.#runs) for (let frame = first; frame < first + count; frame++) name(frame);
    this.#reserve.each(name);
    this.#leaving.forEach(name);
    const { map } = this;
    for (let page = 0; page < map.length; page++) {
      const entry = map[page];
      if ((entry & PAGE_PRESENT) !== 0) name(entry >>> 8);
    }
  }

  /** Byte offset of `count` cleared frames in a row. */
  #allocate(count: number): number {
    const first = this.machine.frames.allocateRun(count);
    this.#runs.push([first, count]);
    return first * FRAME_SIZE;
  }

  async #letLeave(): Promise<void> {
    // Whoever gives back many pages gives back all of them first.
    await Promise.resolve();
    while (this.#leaving.length > 0 && !this.#released) {
      const { length } = this.#leaving;
      await this.host.forget();
      if (this.#released) break;
      this.#share.giveBack(this.#leaving.splice(0, length));
    }
    this.#forgetting = undefined;
  }

  #close(mapped: readonly number[]): void {
    this.#released = true;
    const frames = new Set(mapped);
    // Where it could not even be made there is no reserve.
    const reserved = this.#runs.length < 2 ? [] : this.#reserve.drain((frame) => frames.has(frame));
    this.#share.close([...mapped, ...reserved, ...this.#leaving.splice(0)]);
    for (const [first, count] of this.#runs) this.machine.frames.releaseRun(first, count);
  }
}
