import { GuestError } from '../errors.js';
import { ASKED, CONTROL, DONE, LEAST_MEMORY, LENGTH, TRANSCRIPT, TRANSCRIPT_SIZE } from './layout.js';

/** The memory of the instance that was booted from `proberKernel`. */
export interface ProberMemory {
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  offsetOf(address: number): number;
}

/** How often it is looked whether a round is over (ms). */
const LOOK = 2;
const PAGE = 4096;

/** The host's side of a prober: has it probe, and takes its transcript out of its memory. */
export class Prober {
  readonly #memory: ProberMemory;

  /** Throws GuestError `too-little-memory`. */
  constructor(memory: ProberMemory) {
    if (memory.size < LEAST_MEMORY) {
      throw new GuestError('too-little-memory', `a prober needs ${LEAST_MEMORY / 2 ** 20} MiB of memory`, {
        needed: LEAST_MEMORY,
      });
    }
    this.#memory = memory;
  }

  /** Rounds that are over. */
  get rounds(): number {
    return this.#get(DONE);
  }

  /**
   * One round: everything is asked once. Resolves with the transcript. The first has what memory held at boot besides. What
   * devices and clocks were left with by one round the next begins with, so that of two probers the same rounds are to be
   * compared. Throws GuestError `hart-failed` after `limit` ms, and `stopped` when the instance has ended.
   */
  async round(limit = 60_000): Promise<Uint8Array> {
    const before = this.rounds;
    this.#set(ASKED, before + 1);
    const end = performance.now() + limit;
    while (this.rounds === before) {
      if (performance.now() > end) throw new GuestError('hart-failed', `the prober was not done within ${limit} ms`);
      await new Promise<void>((resolve) => setTimeout(resolve, LOOK));
    }
    const length = this.#get(LENGTH);
    if (!(length < TRANSCRIPT_SIZE)) throw new GuestError('hart-failed', 'the transcript is longer than its place');
    return this.#read(TRANSCRIPT, length);
  }

  #read(address: number, length: number): Uint8Array {
    const result = new Uint8Array(length);
    for (let at = 0; at < length; at += PAGE) {
      const offset = this.#offset(address + at);
      result.set(this.#memory.bytes.subarray(offset, offset + Math.min(PAGE, length - at)), at);
    }
    return result;
  }

  #offset(address: number): number {
    const offset = this.#memory.offsetOf(address);
    if (offset < 0) throw new GuestError('stopped', 'the prober has no memory any more');
    return offset;
  }

  #get(field: number): number {
    return Number(this.#memory.view.getBigUint64(this.#offset(CONTROL + field), true));
  }
  #set(field: number, value: number): void {
    this.#memory.view.setBigUint64(this.#offset(CONTROL + field), BigInt(value), true);
  }
}
