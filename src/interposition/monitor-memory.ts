import type { DmaSpace } from '../computer/dma.js';
import { FRAME_SIZE, type MachineMemory } from '../computer/memory.js';
import type { Frames } from '../computer/frames.js';
import { ComputerError } from '../computer/errors.js';
import { InterpositionError } from './errors.js';

/** The memory that the monitor has its own in. */
export type MonitorMachine = Pick<MachineMemory, 'buffer' | 'bytes' | 'view' | 'words'>;

/**
 * A stretch of the monitor's own memory that a device reaches while the monitor drives it, and nothing else: an address
 * is a byte offset in machine memory. No guest can reach it, and no code is ever run from it.
 */
export class MonitorMemory implements DmaSpace {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly words: Int32Array;
  /** Byte offset of the first byte, a multiple of 4096. */
  readonly start: number;
  readonly #frames: Frames;
  readonly #count: number;
  #end: number;
  #free: number;

  /** Takes `size` cleared bytes. Throws InterpositionError `no-room`. */
  constructor(machine: MonitorMachine, frames: Frames, size: number) {
    this.bytes = machine.bytes;
    this.view = machine.view;
    this.words = machine.words;
    this.#frames = frames;
    this.#count = Math.ceil(size / FRAME_SIZE);
    try {
      this.start = frames.allocateRun(this.#count) * FRAME_SIZE;
    } catch (cause) {
      if (!(cause instanceof ComputerError)) throw cause;
      throw new InterpositionError('no-room', `the monitor has no ${size} bytes of memory left`, { cause });
    }
    this.#end = this.start + this.#count * FRAME_SIZE;
    this.#free = this.start;
  }

  offsetOf(address: number): number {
    return address >= this.start && address < this.#end ? address : -1;
  }

  written(): void {
    // Nobody runs code from here.
  }

  /** The next `size` bytes, aligned to `alignment`, a power of two. */
  take(size: number, alignment = 16): number {
    const at = (this.#free + alignment - 1) & -alignment;
    if (at + size > this.#end) throw new RangeError(`the monitor's ${this.#count} pages do not suffice`);
    this.#free = at + size;
    return at;
  }

  /** Gives it back. The device must not reach it any more. */
  release(): void {
    if (this.#end === this.start) return;
    this.#end = this.start;
    this.#frames.releaseRun(this.start / FRAME_SIZE, this.#count);
  }
}
