/**
 * A descriptor chain taken from a queue: what the device may read, then what it may
 * write, each a list of buffers in guest memory. Reused from request to request.
 */
import type { GuestMemory } from './guest-memory.js';
import type { MemoryRuns } from './memory-runs.js';

/** More buffers than this in one chain is taken for garbage. Linux stays below 256. */
export const MAX_BUFFERS = 1024;

/** A chain of descriptors that the driver made available: one request. */
export class Chain {
  /** Index of the first descriptor: the chain's name in the used ring. */
  head = 0;
  /** Bytes the device may read. */
  readable = 0;
  /** Bytes the device may write. */
  writable = 0;

  readonly #memory: GuestMemory;
  #addresses = new Float64Array(16);
  #lengths = new Float64Array(16);
  #count = 0;
  #readers = 0;

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  /** What it takes to work on it: its buffers, and the KiB in them. */
  get effort(): number {
    return this.#count + (this.readable + this.writable) / 1024;
  }

  clear(head: number): void {
    this.head = head;
    this.readable = 0;
    this.writable = 0;
    this.#count = 0;
    this.#readers = 0;
  }

  /** Appends a buffer. False if that makes no chain: too many, or a readable one after a writable one (virtio 1.2, 2.7.4.2). */
  add(address: number, length: number, write: boolean): boolean {
    if (this.#count === MAX_BUFFERS || (!write && this.#readers !== this.#count)) return false;
    if (this.#count === this.#addresses.length) this.#grow();
    this.#addresses[this.#count] = address;
    this.#lengths[this.#count] = length;
    this.#count++;
    if (write) {
      this.writable += length;
    } else {
      this.#readers++;
      this.readable += length;
    }
    return true;
  }

  /** Copies up to `length` bytes from `offset` in the readable part to `target[start…]`. How many there were, -1 if a buffer is not in memory. */
  read(offset: number, length: number, target: Uint8Array, start = 0): number {
    return this.#copy(0, this.#readers, offset, length, target, start, false);
  }

  /** Copies `source[start … start + length]` to `offset` in the writable part, as far as there is room. How many went in, -1 if a buffer is not in memory. */
  write(offset: number, length: number, source: Uint8Array, start = 0): number {
    return this.#copy(this.#readers, this.#count, offset, length, source, start, true);
  }

  /**
   * Appends to `runs` where `length` bytes from `offset` in the readable or writable part lie. False if there are not so
   * many, or some are not in memory, or may not be written.
   */
  locate(part: 'readable' | 'writable', offset: number, length: number, runs: MemoryRuns): boolean {
    const write = part === 'writable';
    const to = write ? this.#count : this.#readers;
    let skip = offset;
    let rest = length;
    for (let i = write ? this.#readers : 0; i < to && rest > 0; i++) {
      const room = this.#lengths[i];
      if (skip >= room) {
        skip -= room;
        continue;
      }
      const n = Math.min(room - skip, rest);
      if (!this.#memory.locate(this.#addresses[i] + skip, n, write, runs)) return false;
      rest -= n;
      skip = 0;
    }
    return rest === 0;
  }

  /** The buffers that the device may write: guest-physical address, bytes. */
  eachWritable(visit: (address: number, length: number) => void): void {
    for (let i = this.#readers; i < this.#count; i++) visit(this.#addresses[i], this.#lengths[i]);
  }

  #copy(
    from: number,
    to: number,
    offset: number,
    length: number,
    bytes: Uint8Array,
    start: number,
    write: boolean,
  ): number {
    let skip = offset;
    let done = 0;
    for (let i = from; i < to && done < length; i++) {
      const room = this.#lengths[i];
      if (skip >= room) {
        skip -= room;
        continue;
      }
      const n = Math.min(room - skip, length - done);
      const address = this.#addresses[i] + skip;
      const ok = write
        ? this.#memory.write(address, n, bytes, start + done)
        : this.#memory.read(address, n, bytes, start + done);
      if (!ok) return -1;
      done += n;
      skip = 0;
    }
    return done;
  }

  #grow(): void {
    const addresses = new Float64Array(2 * this.#addresses.length);
    const lengths = new Float64Array(2 * this.#lengths.length);
    addresses.set(this.#addresses);
    lengths.set(this.#lengths);
    this.#addresses = addresses;
    this.#lengths = lengths;
  }
}
