/** Access to a guest's memory by physical address, for devices. Every access may find no memory there; none throws. */
import type { DmaSpace } from '../dma.js';
import type { MemoryRuns } from './memory-runs.js';

const PAGE = 4096;
/** Below this many bytes a loop beats making a view for `set`. */
const FEW = 32;

/** A guest's memory as a device reaches it: by guest-physical address, checked at each access. */
export class GuestMemory {
  readonly #dma: DmaSpace;
  readonly #bytes: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #i32: Int32Array;
  readonly #refused: ((address: number) => void) | undefined;

  /** `refused` hears of each access that was not made, because the guest has no memory there or may not write it. */
  constructor(dma: DmaSpace, refused?: (address: number) => void) {
    this.#dma = dma;
    this.#refused = refused;
    this.#bytes = dma.bytes;
    this.#u16 = new Uint16Array(dma.bytes.buffer);
    this.#i32 = new Int32Array(dma.bytes.buffer);
  }

  /** The 16 bits at `address`, even; -1 if no memory is there. */
  load16(address: number): number {
    const at = this.#dma.offsetOf(address);
    if (at >= 0) return Atomics.load(this.#u16, at >>> 1);
    this.#refuse(address);
    return -1;
  }

  /** Stores 16 bits at `address`, even. False if no memory is there. */
  store16(address: number, value: number): boolean {
    const at = this.#dma.offsetOf(address, true);
    if (at < 0) return this.#refuse(address);
    Atomics.store(this.#u16, at >>> 1, value);
    this.#dma.written(at, 2);
    return true;
  }

  /** Stores 32 bits at `address`, a multiple of 4. False if no memory is there. */
  store32(address: number, value: number): boolean {
    const at = this.#dma.offsetOf(address, true);
    if (at < 0) return this.#refuse(address);
    Atomics.store(this.#i32, at >>> 2, value);
    this.#dma.written(at, 4);
    return true;
  }

  /**
   * Index, in `words`, of `count` words at `address` if they lie within one page and
   * are aligned; -1 otherwise, and then `read` may still get at them.
   */
  wordsAt(address: number, count: number): number {
    if ((address & 3) !== 0 || (address & (PAGE - 1)) + 4 * count > PAGE) return -1;
    const at = this.#dma.offsetOf(address);
    return at < 0 ? -1 : at >>> 2;
  }

  /** Whether memory is at `address` that may be written. */
  mayWrite(address: number): boolean {
    return this.#dma.offsetOf(address, true) >= 0;
  }

  /** The whole shared memory as words. */
  get words(): Int32Array {
    return this.#i32;
  }

  /** Copies `length` bytes from `address` to `target[start…]`. False if some of it is not memory. */
  read(address: number, length: number, target: Uint8Array, start: number): boolean {
    let done = 0;
    while (done < length) {
      const from = address + done;
      const at = this.#dma.offsetOf(from);
      if (at < 0) return this.#refuse(from);
      const n = Math.min(length - done, PAGE - (at & (PAGE - 1)));
      if (n <= FEW) for (let i = 0; i < n; i++) target[start + done + i] = this.#bytes[at + i];
      else target.set(this.#bytes.subarray(at, at + n), start + done);
      done += n;
    }
    return true;
  }

  /** Copies `source[start … start + length]` to `address`. False if some of it may not be written. */
  write(address: number, length: number, source: Uint8Array, start: number): boolean {
    let done = 0;
    while (done < length) {
      const to = address + done;
      const at = this.#dma.offsetOf(to, true);
      if (at < 0) return this.#refuse(to);
      const n = Math.min(length - done, PAGE - (at & (PAGE - 1)));
      if (n <= FEW) for (let i = 0; i < n; i++) this.#bytes[at + i] = source[start + done + i];
      else this.#bytes.set(source.subarray(start + done, start + done + n), at);
      this.#dma.written(at, n);
      done += n;
    }
    return true;
  }

  /** Appends where `length` bytes from `address` lie to `runs`. False if some of it is not memory, or may not be written. */
  locate(address: number, length: number, write: boolean, runs: MemoryRuns): boolean {
    for (let done = 0; done < length;) {
      const at = this.#dma.offsetOf(address + done, write);
      if (at < 0) return this.#refuse(address + done);
      const n = Math.min(length - done, PAGE - (at & (PAGE - 1)));
      runs.add(at, n);
      done += n;
    }
    return true;
  }

  /** To be called after somebody has written there, other than through `write`. */
  written(runs: MemoryRuns): void {
    for (let i = 0; i < runs.count; i++) {
      const end = runs.end(i);
      for (let at = runs.start(i); at < end;) {
        const next = Math.min(end, at - (at % PAGE) + PAGE);
        this.#dma.written(at, next - at);
        at = next;
      }
    }
  }

  #refuse(address: number): false {
    this.#refused?.(address);
    return false;
  }
}
