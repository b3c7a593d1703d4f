/**
 * A hart's thread takes a turn at a device's queues, in the main thread's stead: the driver has kicked on this very
 * thread, and what it asks for can be done at once. Who has a turn is written in BUSY, changed under the page's lock only:
 *
 *              ╭──── main thread: enter ────╮   ╭──── hart: serve ────╮
 *              ▼                            │   │                     ▼
 *     BUSY = BUSY_MAIN ──── leave ────▶  BUSY = 0  ◀──── end ──── BUSY = 2 × the thread's name
 *
 * No kick is lost. A bit in KICKED means that somebody will look at that queue; three keep that promise:
 *
 * - Whoever sets a bit without BUSY being a hart's rings the doorbell afterwards, if the bit was not set. The main thread
 *   clears it only to look.
 * - A thread that finds BUSY a hart's sets the bit while it has the lock. That hart gives BUSY up with the lock in its
 *   hand too, so it sees the bit: it looks again, or rings the doorbell after BUSY is 0. This holds for another hart's
 *   kick as for the main thread, which puts back what it had taken out of KICKED, and MAIN_WAITS (`VirtioDevice.enter`).
 * - A hart clears its queue's bit, with the lock in its hand, only when it is about to look. What it leaves, it sets.
 *
 * A driver that makes a chain available while the queue is being emptied kicks unless the device has yet to look:
 * `Virtqueue.pop` says that it wants a kick and looks once more before it says that there is nothing. A reset meanwhile
 * is done at the end of the turn, as by the main thread; the doorbell tells that one.
 *
 * Nothing is kept here from turn to turn: all of it is in the state page, so any thread goes on where another stopped.
 */
import type { DmaSpace, InterruptLine } from '../dma.js';
import { COMMAND, COMMAND_BUS_MASTER } from '../pci/config-space.js';
import { lock, threadName, unlock } from '../state-page.js';
import type { Budget } from '../turns.js';
import { resetState, updateLine } from './control.js';
import { GuestMemory } from './guest-memory.js';
import { Virtqueue, type QueueOwner } from './queue.js';
import * as s from './state.js';

/** What a hart's turns at a device need of its surroundings. */
export interface HartTurnHost {
  /** The computer's shared memory. */
  readonly buffer: SharedArrayBuffer;
  /** Byte offset of the device's state page. */
  readonly stateOffset: number;
  readonly dma: DmaSpace;
  readonly line: InterruptLine;
  /** Wakes the main thread, which then polls the device. */
  doorbell(): void;
}

/** How much of a queue was done. */
export type Done = 'empty' | 'left';

/** One device's queues, worked on by a hart's thread. */
export abstract class HartTurns implements QueueOwner {
  readonly words: Int32Array;
  readonly page: number;
  readonly memory: GuestMemory;
  turn = 0;
  broken = false;
  abstract readonly budget: Budget;

  readonly #lock: number;
  readonly #line: InterruptLine;
  readonly #doorbell: () => void;
  readonly #queues: Virtqueue[] = [];
  readonly #busy = 2 * threadName();

  protected constructor({ buffer, stateOffset, dma, line, doorbell }: HartTurnHost) {
    this.words = new Int32Array(buffer);
    this.page = stateOffset >>> 2;
    this.memory = new GuestMemory(dma);
    this.#lock = this.page + (s.LOCK >>> 2);
    this.#line = line;
    this.#doorbell = doorbell;
  }

  /** Called by a queue: the budget is used up. The turn is then `left`. */
  abstract leftOver(): void;

  /** Called by a queue that holds garbage. It is left to the main thread, which tells guest and host. */
  fail(): void {
    this.broken = true;
  }

  /** Whether there may be a turn, looked at with the lock held: the driver is there, and nobody holds the device. */
  protected mayServe(): boolean {
    const status = this.load(s.DEVICE_STATUS);
    const runs = (status & s.DRIVER_OK) !== 0 && (status & s.DEVICE_NEEDS_RESET) === 0;
    const free = this.load(s.RESET_PENDING) === 0 && this.load(s.HELD) === 0;
    return runs && free && (this.load(COMMAND) & COMMAND_BUS_MASTER) !== 0;
  }

  /** Does what waits in a queue, as far as this thread can. */
  protected abstract work(queue: Virtqueue): Done;

  /** The driver has kicked queue `q`. True: that is seen to; false: the main thread is to be kicked. */
  protected turns(q: number): boolean {
    const bit = 1 << q;
    lock(this.words, this.#lock);
    const busy = this.load(s.BUSY);
    const mine = busy === 0 && this.mayServe();
    const another = (busy & ~s.BUSY_MAIN) !== 0;
    if (mine) {
      this.store(s.BUSY, this.#busy);
      this.#kicked(bit, false);
    } else if (another) {
      this.#kicked(bit, true);
    }
    unlock(this.words, this.#lock);
    if (!mine) return another;

    const queue = (this.#queues[q] ??= new Virtqueue(this, q));
    for (let on = true; on;) {
      this.turn++;
      this.broken = false;
      let done: Done = 'left';
      try {
        // Where nothing can be given back, nothing is to be taken.
        if (queue.answerable()) done = this.work(queue);
      } finally {
        on = this.#end(queue, bit, done);
      }
    }
    return true;
  }

  /** As `turns`, for a driver on this thread: it looks at the queue itself afterwards, so no interrupt is raised. */
  protected turnWith(q: number, publish: () => void): boolean {
    lock(this.words, this.#lock);
    const mine = this.load(s.BUSY) === 0 && this.mayServe();
    if (mine) this.store(s.BUSY, this.#busy);
    unlock(this.words, this.#lock);
    if (!mine) return false;
    const queue = (this.#queues[q] ??= new Virtqueue(this, q));
    try {
      publish();
      this.turn++;
      this.broken = false;
      if (queue.answerable()) this.work(queue);
      if (queue.dirty) queue.wantsInterrupt();
    } finally {
      lock(this.words, this.#lock);
      this.store(s.BUSY, 0);
      // The main thread may have wanted to look meanwhile: there was nothing but this.
      this.store(s.KICKED, 0);
      unlock(this.words, this.#lock);
    }
    return true;
  }

  /** Tells the driver, and ends the turn unless there is more to do. */
  #end(queue: Virtqueue, bit: number, done: Done): boolean {
    const wanted = queue.dirty && queue.wantsInterrupt();
    const left = done === 'left' || this.broken;
    let on = false;
    let ring = false;
    lock(this.words, this.#lock);
    if (this.load(s.RESET_PENDING) !== 0) {
      this.store(s.BUSY, 0);
      resetState(this.words, this.page, this.#line);
      ring = true;
    } else {
      if (wanted) {
        this.store(s.ISR, this.load(s.ISR) | s.ISR_QUEUE);
        updateLine(this.words, this.page, this.#line);
      }
      if (left) this.#kicked(bit, true);
      on = !left && (this.load(s.KICKED) & bit) !== 0 && this.mayServe();
      if (on) this.#kicked(bit, false);
      else this.store(s.BUSY, 0);
      ring = !on && this.load(s.KICKED) !== 0;
    }
    unlock(this.words, this.#lock);
    if (ring) this.#doorbell();
    return on;
  }

  #kicked(bit: number, set: boolean): void {
    const at = this.page + (s.KICKED >>> 2);
    if (set) Atomics.or(this.words, at, bit);
    else Atomics.and(this.words, at, ~bit);
  }

  protected load(at: number): number {
    return Atomics.load(this.words, this.page + (at >>> 2));
  }
  protected store(at: number, value: number): void {
    Atomics.store(this.words, this.page + (at >>> 2), value);
  }
}
