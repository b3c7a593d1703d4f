/**
 * What a computer has of harts, and who has it:
 *
 *   harts     as many OS instances' harts can run at once; each belongs to one instance, or to nobody
 *   blocks    room for the state of logical harts: more than there are harts, because an instance may have harts some
 *             day that it does not have now, and harts may be shared
 *   threads   one for each logical hart that runs; kept for the next one
 */
import { ComputerError } from '../computer/errors.js';
import { FRAME_SIZE } from '../computer/memory.js';
import type { HartSupply, HartThread, Platform } from './hart.js';

/** Where the blocks lie: frames in a row. */
export interface HartBlocks {
  readonly first: number;
  /** Frames of each. */
  readonly frames: number;
  readonly count: number;
}

export class Harts implements HartSupply {
  /** Every thread there is. */
  readonly #threads = new Set<HartThread>();
  /** Those that run nothing, the longest idle first. */
  readonly #idle: HartThread[] = [];
  /** Byte offsets of the blocks that nobody has; the last one used comes first, because the host has memory for it already. */
  readonly #blocks: number[];
  #owned = 0;
  #total = 0;

  /** Starts a thread for each hart, so that they are there when they are needed; throws what that throws, and no thread remains. */
  constructor(
    private readonly platform: Platform,
    total: number,
    blocks: HartBlocks,
  ) {
    this.#blocks = Array.from({ length: blocks.count }, (_, n) => (blocks.first + n * blocks.frames) * FRAME_SIZE);
    try {
      this.add(total);
    } catch (error) {
      void this.close();
      throw error;
    }
  }

  /** How many there are. */
  get total(): number {
    return this.#total;
  }

  /** Harts that belong to no OS instance. */
  get free(): number {
    return this.#total - this.#owned;
  }

  /** Adds harts, each with its thread. Throws what starting a thread throws: then there are none more than before. */
  add(count: number): void {
    for (let n = 0; n < count; n++) this.#idle.push(this.#start());
    this.#total += count;
  }

  take(): HartThread {
    this.check(1);
    const thread = this.#idle.shift() ?? this.#start();
    this.#owned++;
    return thread;
  }

  giveBack(thread: HartThread): void {
    this.#owned--;
    this.#idle.push(thread);
  }

  /** Throws ComputerError `no-hart` if fewer than `count` are free. */
  check(count: number): void {
    if (count <= this.free) return;
    throw new ComputerError('no-hart', `${count} harts asked for, ${this.free} of ${this.total} are free`);
  }

  /** Blocks for so many logical harts. Throws ComputerError `no-hart`, having taken none. */
  takeBlocks(count: number): number[] {
    if (count > this.#blocks.length) {
      const left = `there is room for ${this.#blocks.length} more`;
      throw new ComputerError('no-hart', `${count} harts asked for; ${left}, with those that instances may get later`);
    }
    return this.#blocks.splice(0, count);
  }

  giveBackBlocks(blocks: readonly number[]): void {
    this.#blocks.unshift(...blocks);
  }

  /** Ends all threads. */
  async close(): Promise<void> {
    await Promise.all([...this.#threads].map((thread) => thread.terminate()));
  }

  #start(): HartThread {
    const thread = this.platform.startHartThread();
    this.#threads.add(thread);
    return thread;
  }
}
