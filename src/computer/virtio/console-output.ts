/**
 * What the guest writes to its console ports, taken out of the transmit queues by
 * whichever thread comes first. Linux hands a console's text over in pieces of 16 bytes
 * and spins until each has been consumed: a hart's thread does that itself at once,
 * and the main thread finds the text here when it gets round to it.
 *
 * The ring (a power of two of bytes) holds pieces of { port 1 byte, length 2 bytes, text }:
 *
 *   0x00  bytes ever written      0x04  bytes ever read       0x40  the ring
 *
 * Both threads work on the transmit queues and the ring under the lock of the device's
 * state page, so a reset never falls in between. What does not fit the ring is left in
 * the queue, and what is garbage too: the main thread says so to the guest.
 *
 * What is in the ring has been said, to a driver's mind: a reset of the device does not
 * take it back. (Linux 7.2 resets all virtio devices just before it powers off: virtio_dev_shutdown.)
 */
import type { DmaSpace, InterruptLine } from '../dma.js';
import { COMMAND, COMMAND_BUS_MASTER } from '../pci/config-space.js';
import { lock, unlock } from '../state-page.js';
import { Chain } from './chain.js';
import { updateLine } from './control.js';
import { GuestMemory } from './guest-memory.js';
import { Virtqueue, type QueueOwner } from './queue.js';
import * as s from './state.js';

/** Word indices. */
const WRITTEN = 0;
const READ = 1;
const RING = 0x40;
const SIZE = 0x2000;
/** Bytes the ring takes in shared memory. */
export const OUTPUT_RING_SIZE = RING + SIZE;
const PIECE_HEADER = 3;
/** A longer write is split. */
const MAX_PIECE = 1024;
/** A write as long as this is garbage: Linux writes a page, or what fits a pipe, at a time. */
const MAX_WRITE = 1 << 20;

/** What a console's output needs of its surroundings, the same on every thread. */
export interface OutputHost {
  readonly buffer: SharedArrayBuffer;
  readonly stateOffset: number;
  readonly dma: DmaSpace;
  readonly line: InterruptLine;
  /** Where the ring's `OUTPUT_RING_SIZE` bytes lie in the buffer. None: memory of this thread's own. */
  readonly outputRing?: number | undefined;
}

/** A piece of text from a port. */
export type OutputPiece = readonly [port: number, bytes: Uint8Array];

export interface Drained {
  readonly pieces: readonly OutputPiece[];
  /** Queues that were left with something in them. */
  readonly more: number;
  /** The queues hold garbage: the device has to stop. */
  readonly problem: string | undefined;
}

/** What became of a chain. */
type Taken = 'taken' | 'no-room' | 'bad';

/** Which port transmits on a queue (5.3.2); -1: it is no transmit queue of a port. */
export function portOfQueue(queue: number): number {
  if (queue === 1) return 0;
  return queue >= 5 && queue % 2 === 1 ? (queue - 3) / 2 : -1;
}

export class ConsoleOutput implements QueueOwner {
  readonly words: Int32Array;
  readonly page: number;
  readonly memory: GuestMemory;
  turn = 0;
  broken = false;

  readonly #ring: Uint8Array;
  readonly #positions: Int32Array;
  readonly #queues: Virtqueue[] = [];
  readonly #chain: Chain;
  readonly #line: InterruptLine;
  readonly #piece = new Uint8Array(MAX_PIECE);
  #problem: string | undefined;

  constructor({ buffer, stateOffset, dma, line, outputRing }: OutputHost) {
    this.words = new Int32Array(buffer);
    this.page = stateOffset >>> 2;
    this.memory = new GuestMemory(dma);
    this.#chain = new Chain(this.memory);
    this.#line = line;
    const [at, memory] = outputRing === undefined ? [0, new ArrayBuffer(OUTPUT_RING_SIZE)] : [outputRing, buffer];
    this.#positions = new Int32Array(memory, at, 2);
    this.#ring = new Uint8Array(memory, at + RING, SIZE);
  }

  /** On a hart's thread: moves into the ring what waits in a transmit queue. What it leaves is the main thread's. */
  transmit(q: number): void {
    this.#locked(() => {
      if (this.#begin()) this.#each(q, Infinity, (chain) => this.#store(portOfQueue(q), chain));
    });
  }

  /** On the main thread: takes out what is in the ring, whether the driver is still there or not, then up to `limit` writes from each transmit queue of `kicked`. */
  drain(kicked: number, limit: number): Drained {
    const pieces: OutputPiece[] = [];
    let more = 0;
    this.#locked(() => {
      this.#take(pieces);
      if (!this.#begin()) return;
      for (let q = 1; q < s.MAX_QUEUES && !this.broken; q++) {
        if ((kicked & (1 << q)) === 0 || portOfQueue(q) < 0) continue;
        if (!this.#each(q, limit, (chain) => this.#copy(portOfQueue(q), chain, pieces))) more |= 1 << q;
      }
    });
    return { pieces, more, problem: this.broken ? this.#problem : undefined };
  }

  /** Called by a queue. The main thread tells the guest. */
  fail(message: string): void {
    this.broken = true;
    this.#problem = message;
  }

  #locked(work: () => void): void {
    const at = this.page + (s.LOCK >>> 2);
    lock(this.words, at);
    try {
      work();
    } finally {
      unlock(this.words, at);
    }
  }

  /** False: there is no driver to work for. */
  #begin(): boolean {
    this.turn++;
    this.broken = false;
    const load = (at: number): number => Atomics.load(this.words, this.page + (at >>> 2));
    const status = load(s.DEVICE_STATUS);
    if ((status & s.DRIVER_OK) === 0 || (status & s.DEVICE_NEEDS_RESET) !== 0) return false;
    return load(s.RESET_PENDING) === 0 && (load(COMMAND) & COMMAND_BUS_MASTER) !== 0;
  }

  /** Handles the queue's chains; false if it stopped at the limit. */
  #each(q: number, limit: number, handle: (chain: Chain) => Taken): boolean {
    const queue = (this.#queues[q] ??= new Virtqueue(this, q));
    const chain = this.#chain;
    let n = 0;
    while (n < limit && queue.pop(chain)) {
      n++;
      const taken = handle(chain);
      if (taken === 'taken') {
        queue.push(chain.head, 0);
        continue;
      }
      queue.rewind(1);
      if (taken === 'bad') this.fail(`queue ${q}: a write of ${chain.readable} bytes that cannot be read`);
      break;
    }
    if (queue.dirty && queue.wantsInterrupt()) {
      const isr = this.page + (s.ISR >>> 2);
      Atomics.store(this.words, isr, Atomics.load(this.words, isr) | s.ISR_QUEUE);
      updateLine(this.words, this.page, this.#line);
    }
    return n < limit;
  }

  #copy(port: number, chain: Chain, pieces: OutputPiece[]): Taken {
    const length = chain.readable;
    if (length > MAX_WRITE) return 'bad';
    const bytes = new Uint8Array(length);
    if (chain.read(0, length, bytes) < length) return 'bad';
    append(pieces, port, bytes);
    return 'taken';
  }

  #store(port: number, chain: Chain): Taken {
    let at = Atomics.load(this.#positions, WRITTEN);
    const room = SIZE - ((at - Atomics.load(this.#positions, READ)) | 0);
    const length = chain.readable;
    if (length + Math.ceil(length / MAX_PIECE) * PIECE_HEADER > room) return 'no-room';
    for (let done = 0; done < length;) {
      const n = Math.min(MAX_PIECE, length - done);
      if (chain.read(done, n, this.#piece) < n) return 'bad';
      for (const byte of [port, n & 0xff, n >>> 8]) this.#ring[at++ & (SIZE - 1)] = byte;
      for (let i = 0; i < n; i++) this.#ring[at++ & (SIZE - 1)] = this.#piece[i];
      done += n;
    }
    // Only whole writes become visible.
    Atomics.store(this.#positions, WRITTEN, at | 0);
    return 'taken';
  }

  #take(pieces: OutputPiece[]): void {
    let at = Atomics.load(this.#positions, READ);
    const end = Atomics.load(this.#positions, WRITTEN);
    const byte = (): number => this.#ring[at++ & (SIZE - 1)];
    while (((end - at) | 0) > 0) {
      const port = byte();
      const length = byte() | (byte() << 8);
      append(
        pieces,
        port,
        Uint8Array.from({ length }, () => byte()),
      );
    }
    Atomics.store(this.#positions, READ, end);
  }
}

/** Sixteen bytes at a time: whoever listens would rather have them together. */
function append(pieces: OutputPiece[], port: number, bytes: Uint8Array): void {
  const last = pieces.at(-1);
  if (last?.[0] !== port || last[1].length > MAX_PIECE) {
    pieces.push([port, bytes]);
    return;
  }
  const both = new Uint8Array(last[1].length + bytes.length);
  both.set(last[1]);
  both.set(bytes, last[1].length);
  pieces[pieces.length - 1] = [port, both];
}
