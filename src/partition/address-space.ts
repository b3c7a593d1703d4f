/**
 * A logical address space: an OS instance's guest-physical memory as a map from its
 * pages to frames. The map is a row of 32-bit entries in VMM frames, `PAGE_*` flags
 * and frame number << 8, that the harts' page walks read.
 */
import type { DmaSpace } from '../computer/dma.js';
import { FRAME_SIZE, type MachineMemory } from '../computer/memory.js';
import { FRAME_CODE, PAGE_PRESENT, PAGE_WRITABLE } from '../hart/state.js';

export { PAGE_PRESENT, PAGE_WRITABLE };

/** Where the memory of every OS instance starts, as on QEMU's virt machine. */
export const RAM_START = 0x8000_0000;

/** Drops what was decoded or translated from frames that somebody other than a hart has written to. */
export function noteWritten(words: Int32Array, frameWords: number, offset: number, length: number): void {
  const last = Math.floor((offset + length - 1) / FRAME_SIZE);
  for (let frame = Math.floor(offset / FRAME_SIZE); frame <= last; frame++) {
    const at = (frameWords >>> 2) + frame;
    if ((Atomics.load(words, at) & FRAME_CODE) === 0) continue;
    Atomics.and(words, at, ~FRAME_CODE);
    Atomics.add(words, at, 2);
  }
}

/** A guest's physical memory: a map from its pages to frames of the computer. */
export class LogicalAddressSpace implements DmaSpace {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Byte offset of the page map. */
  readonly pageMap: number;
  readonly #words: Int32Array;
  readonly #mapFrames: number;
  #released = false;

  /** Takes `pages` cleared frames. Throws ComputerError `no-frames`, taking none. */
  constructor(
    private readonly machine: MachineMemory,
    readonly pages: number,
  ) {
    this.bytes = machine.bytes;
    this.view = machine.view;
    this.#words = machine.words;
    this.#mapFrames = Math.ceil((pages * 4) / FRAME_SIZE);
    const first = machine.frames.allocateRun(this.#mapFrames);
    this.pageMap = first * FRAME_SIZE;
    try {
      machine.frames.allocate(pages).forEach((frame, page) => this.setFrame(page, frame));
    } catch (error) {
      machine.frames.releaseRun(first, this.#mapFrames);
      throw error;
    }
  }

  /** Size of the memory in bytes. */
  get size(): number {
    return this.pages * FRAME_SIZE;
  }

  offsetOf(address: number): number {
    const page = Math.floor((address - RAM_START) / FRAME_SIZE);
    if (!(page >= 0 && page < this.pages) || this.#released) return -1;
    const entry = this.#words[(this.pageMap >>> 2) + page];
    if ((entry & PAGE_PRESENT) === 0) return -1;
    return (entry >>> 8) * FRAME_SIZE + (address % FRAME_SIZE);
  }

  written(offset: number, length: number): void {
    noteWritten(this.#words, this.machine.frameWords, offset, length);
  }

  /** Copies `data` to a guest-physical address. Throws RangeError if it leaves the memory. */
  write(address: number, data: Uint8Array): void {
    for (let at = 0; at < data.length;) {
      const offset = this.offsetOf(address + at);
      if (offset < 0) throw new RangeError(`no memory at ${(address + at).toString(16)}`);
      const length = Math.min(data.length - at, FRAME_SIZE - (offset % FRAME_SIZE));
      this.bytes.set(data.subarray(at, at + length), offset);
      this.written(offset, length);
      at += length;
    }
  }

  /** The page map: an entry for each page, counted from RAM_START. It is written as {@link setFrame} writes it. */
  get map(): Int32Array {
    // A space that is released maps nothing any more.
    const from = this.pageMap >>> 2;
    return this.#words.subarray(from, this.#released ? from : from + this.pages);
  }

  /** The frame behind a page (counted from RAM_START), or -1. */
  frameOf(page: number): number {
    if (!(page >= 0 && page < this.pages) || this.#released) return -1;
    const entry = this.#words[(this.pageMap >>> 2) + page];
    return (entry & PAGE_PRESENT) === 0 ? -1 : entry >>> 8;
  }

  /** Maps a page. The harts of the instance must stand still, or be told to forget translations. */
  setFrame(page: number, frame: number): void {
    this.#words[(this.pageMap >>> 2) + page] = (frame << 8) | PAGE_PRESENT | PAGE_WRITABLE;
  }

  /** Gives all frames back. Nothing may run in this space any more. */
  release(): void {
    const { frames } = this.machine;
    if (this.#released) return;
    for (let page = 0; page < this.pages; page++) {
      const frame = this.frameOf(page);
      if (frame >= 0) frames.release(frame);
    }
    frames.releaseRun(this.pageMap / FRAME_SIZE, this.#mapFrames);
    this.#released = true;
  }
}
