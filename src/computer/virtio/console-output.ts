/**
 * What the guest writes to its console ports, taken out of the transmit queues by
 * whichever thread comes first. Linux hands a console's text over in pieces of 16 bytes
 * and spins until each has been consumed: a hart's thread does that itself at once,
 * and the main thread finds the text here when it gets round to it.
 *
 * The ring (a power of two of bytes) holds pieces of { port 1 byte, length 2 bytes, text }:
 *
 *   0x00  bytes ever written      0x04  bytes ever read       0x40  the ring
 *   0x08  bit p: port p is held, its reader has no room: what its queue has stays there
 *   0x0c  bit p: port p's driver spins while its text is not taken
 *   0x10  1: a hart naps because its driver would spin
 *
 * Both threads work on the transmit queues and the ring under the lock of the device's
 * state page, so a reset never falls in between. What does not fit the ring is left in
 * the queue, and what is garbage too: the main thread says so to the guest. A hart takes
 * no more than a few dozen chains with the lock in its hand; the rest is the main thread's.
 *
 * Interrupts are the main thread's as well, a moment later: a driver that spins has by
 * then seen its text taken and says through used_event that it wants none, which saves
 * an interrupt for every 16 bytes.
 *
 * What is in the ring has been said, to a driver's mind: a reset of the device does not
 * take it back. (Linux 7.2 resets all virtio devices just before it powers off: virtio_dev_shutdown.)
 */
import type { DmaSpace, InterruptLine } from '../dma.js';
import { COMMAND, COMMAND_BUS_MASTER } from '../pci/config-space.js';
import { lock, unlock } from '../state-page.js';
import type { Budget } from '../turns.js';
import { Chain } from './chain.js';
import { updateLine } from './control.js';
import { GuestMemory } from './guest-memory.js';
import { Virtqueue, type QueueOwner } from './queue.js';
import * as s from './state.js';

/** Word indices. */
const WRITTEN = 0;
const READ = 1;
const HELD = 2;
const SPINS = 3;
const NAPPING = 4;
const RING = 0x40;
const SIZE = 0x2000;
/** Bytes the ring takes in shared memory. */
export const OUTPUT_RING_SIZE = RING + SIZE;
const PIECE_HEADER = 3;
/** A longer write is split. */
const MAX_PIECE = 1024;
/** Buffers that a hart handles while it has the lock. */
const HART_CREDIT = 256;
/** Bytes that the main thread takes out of queues in one go. */
const MAX_DRAIN = 256 * 1024;
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
  /** The main thread's; a hart's thread has its own. */
  readonly budget?: Budget;
  /** As a device's surroundings have it. What a hart cannot reach the main thread meets again. */
  refused?(): void;
}

/** A piece of text from a port. */
export type OutputPiece = readonly [port: number, bytes: Uint8Array];

export interface Drained {
  readonly pieces: readonly OutputPiece[];
  /** Queues that were left with something in them. */
  readonly more: number;
  /** Harts that napped have something to go on with. */
  readonly wake: boolean;
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
  readonly budget: Budget;

  #ring: Uint8Array;
  #positions: Int32Array;
  readonly #queues: Virtqueue[] = [];
  readonly #chain: Chain;
  readonly #host: OutputHost;
  readonly #piece = new Uint8Array(MAX_PIECE);
  #problem: string | undefined;
  #left = 0;

  constructor(host: OutputHost) {
    const { buffer, stateOffset, dma, outputRing, budget } = host;
    this.#host = host;
    this.budget = budget ?? { credit: 0, renew: () => false };
    this.words = new Int32Array(buffer);
    this.page = stateOffset >>> 2;
    this.memory = new GuestMemory(dma, () => host.refused?.());
    this.#chain = new Chain(this.memory);
    [this.#positions, this.#ring] = ringAt(buffer, outputRing);
  }

  /** On the main thread: goes on with another ring; what was in the old one has been taken. No port is held. */
  moveTo(outputRing: number | undefined): void {
    const spins = Atomics.load(this.#positions, SPINS);
    [this.#positions, this.#ring] = ringAt(this.words.buffer as SharedArrayBuffer, outputRing);
    Atomics.store(this.#positions, HELD, 0);
    this.spinning(spins);
  }

  /** Nothing is in the ring. */
  get isEmpty(): boolean {
    return Atomics.load(this.#positions, WRITTEN) === Atomics.load(this.#positions, READ);
  }

  /**
   * On a hart's thread: moves into the ring what waits in a transmit queue. What it leaves is the main thread's.
   * True: the driver would spin until that is done, see `napping`.
   */
  transmit(q: number): boolean {
    const port = portOfQueue(q);
    let waits = false;
    this.#locked(() => {
      if (!this.#begin()) return;
      this.budget.credit = HART_CREDIT;
      // Where nothing can be given back, nothing is to be taken: the main thread tells the driver.
      if (!this.#queue(q).answerable()) return;
      const taken = this.#marked(HELD, port) ? 'no-room' : this.#each(q, (chain) => this.#store(port, chain));
      waits = taken === 'no-room' && this.#marked(SPINS, port);
      if (waits) Atomics.store(this.#positions, NAPPING, 1);
    });
    return waits;
  }

  /** Whether what `transmit` said waits still does. */
  napping(): boolean {
    return Atomics.load(this.#positions, NAPPING) !== 0;
  }

  /** A hart waits for the main thread, or will soon. */
  get isPressing(): boolean {
    const [written, read] = [WRITTEN, READ].map((word) => Atomics.load(this.#positions, word));
    return this.napping() || ((written - read) | 0) > SIZE / 2;
  }

  /** Says which ports' drivers spin, on the main thread. */
  spinning(ports: number): void {
    Atomics.store(this.#positions, SPINS, ports);
  }

  /** On the main thread: from now on nothing is taken from the port's queue, or again. */
  hold(port: number, on: boolean): void {
    if (on) Atomics.or(this.#positions, HELD, 1 << port);
    else Atomics.and(this.#positions, HELD, ~(1 << port));
  }

  /**
   * On the main thread: takes out what is in the ring, whether the driver is still there or not, then what the budget
   * allows from the transmit queues of `kicked`; from a port that is held only if it is in `closed`.
   */
  drain(kicked: number, closed = 0): Drained {
    const pieces: OutputPiece[] = [];
    this.#left = 0;
    let wake = false;
    this.#locked(() => {
      this.#take(pieces);
      wake = this.napping();
      if (this.#begin()) {
        let room = MAX_DRAIN;
        for (let q = 1; q < s.MAX_QUEUES && !this.broken; q++) {
          const port = portOfQueue(q);
          if (port < 0) continue;
          if ((kicked & (1 << q)) !== 0 && (!this.#marked(HELD, port) || (closed & (1 << port)) !== 0)) {
            const taken = this.#each(q, (chain) => {
              if (room <= 0) return 'no-room';
              room -= chain.readable;
              return this.#copy(port, chain, pieces);
            });
            if (taken === 'no-room') this.leftOver(q);
          }
          this.#interrupt(q);
        }
        const held = Atomics.load(this.#positions, HELD) & Atomics.load(this.#positions, SPINS);
        wake &&= held === 0;
      }
      if (wake) Atomics.store(this.#positions, NAPPING, 0);
    });
    return { pieces, more: this.#left, wake, problem: this.broken ? this.#problem : undefined };
  }

  /** Called by a queue, or for one. */
  leftOver(q: number): void {
    this.#left |= 1 << q;
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
    if ((status & s.DRIVER_OK) === 0 || (status & s.DEVICE_NEEDS_RESET) !== 0 || load(s.HELD) !== 0) return false;
    return load(s.RESET_PENDING) === 0 && (load(COMMAND) & COMMAND_BUS_MASTER) !== 0;
  }

  /** Handles the queue's chains until it is empty, the budget is used up, or one is not taken. */
  #each(q: number, handle: (chain: Chain) => Taken): Taken {
    const queue = this.#queue(q);
    const chain = this.#chain;
    while (queue.pop(chain)) {
      const taken = handle(chain);
      if (taken === 'taken') {
        queue.push(chain.head, 0);
        continue;
      }
      queue.rewind(1);
      if (taken === 'bad') this.fail(`queue ${q}: a write of ${chain.readable} bytes that cannot be read`);
      return taken;
    }
    return 'taken';
  }

  /** Interrupts the driver if it still wants to hear of what was taken from the queue. */
  #interrupt(q: number): void {
    const queue = this.#queue(q);
    if (!queue.unsignalled || !queue.wantsInterrupt()) return;
    const isr = this.page + (s.ISR >>> 2);
    Atomics.store(this.words, isr, Atomics.load(this.words, isr) | s.ISR_QUEUE);
    updateLine(this.words, this.page, this.#host.line);
  }

  #queue(q: number): Virtqueue {
    return (this.#queues[q] ??= new Virtqueue(this, q));
  }

  #marked(word: number, port: number): boolean {
    return (Atomics.load(this.#positions, word) & (1 << port)) !== 0;
  }

  #copy(port: number, chain: Chain, pieces: OutputPiece[]): Taken {
    const length = chain.readable;
    if (length > MAX_WRITE) return 'bad';
    const bytes = new Uint8Array(length);
    if (chain.read(0, length, bytes) < length) return 'bad';
    if (length > 0) pieces.push([port, bytes]);
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
    // Texts of one port that follow each other become one: whoever listens would rather have them together.
    const text = new Uint8Array(SIZE);
    let from = -1;
    let length = 0;
    const flush = (): void => {
      if (length > 0) pieces.push([from, text.slice(0, length)]);
      length = 0;
    };
    while (((end - at) | 0) > 0) {
      const port = byte();
      if (port !== from) flush();
      from = port;
      const count = byte() | (byte() << 8);
      for (let i = 0; i < count && length < SIZE; i++) text[length++] = byte();
    }
    flush();
    Atomics.store(this.#positions, READ, end);
  }
}

/** The ring at a byte offset of the computer's memory; none: in memory of this thread's own. */
function ringAt(buffer: SharedArrayBuffer, outputRing: number | undefined): [positions: Int32Array, ring: Uint8Array] {
  const [at, memory] = outputRing === undefined ? [0, new ArrayBuffer(OUTPUT_RING_SIZE)] : [outputRing, buffer];
  return [new Int32Array(memory, at, 5), new Uint8Array(memory, at + RING, SIZE)];
}
