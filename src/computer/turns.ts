/**
 * Whose turn it is on the main thread. All OS instances' devices, and everything else of the process,
 * share it; a guest that always has something to do must not keep it.
 *
 *   event loop   ─ timers ─ sockets, doorbells ─ soon ─ timers ─ sockets, doorbells ─ soon ─
 *                           │ want: at once while     │ round: who waits gets one slice
 *                           │ nobody waits            │ each; who has more waits again
 *                           └──────── at most TURN milliseconds together ┘
 *
 * What is done for a guest (taking a chain out of a queue) spends credit; when that is used up the
 * clock is looked at. When the slice is over no queue gives anything more, whoever asks, until the
 * next turn.
 */

/** Milliseconds that the guests' devices may take before the event loop goes round. */
export const TURN = 12;
/** A slice is no shorter, however long the rest of the process took (ms). */
const LEAST_SLICE = 1;
/** Credit between looks at the clock: some ten microseconds' worth. */
const CREDIT = 64;

/** What a queue asks before it gives away a chain. */
export interface Budget {
  /** One for each buffer and each KiB, or thereabouts. At less than 0 ask `renew`. */
  credit: number;
  /** False: enough for now. */
  renew(): boolean;
}

/** Who has work that is done in turns. */
export interface TurnTaker {
  /** Does what there is to do, as far as the budget goes; what is left calls `later`. Must not throw. */
  work(): void;
}

/** Shares the main thread's time among those who have work on it. */
export class Turns implements Budget {
  credit = -1;
  readonly #soon: (run: () => void) => void;
  /** In the order in which they get their slices. */
  #waiting = new Set<TurnTaker>();
  /** Those of them whose slices are in the round that goes on. */
  #inRound = new Set<TurnTaker>();
  #scheduled = false;
  #working = false;
  /** When the turn, and the slice in it, are over; 0: no turn has begun. */
  #turnEnd = 0;
  #sliceEnd = 0;

  /** `soon` calls back after timers and sockets had their turn, as `setImmediate` does. */
  constructor(soon: (run: () => void) => void) {
    this.#soon = soon;
  }

  /** Has `taker` do its work: at once if nobody waits and there is time, else in its turn. */
  want(taker: TurnTaker): void {
    if (this.#working || this.#waiting.size > 0) return this.later(taker);
    this.credit = -1;
    if (!this.renew()) return this.later(taker);
    this.#give(taker, this.#turnEnd);
  }

  /** Has `taker` do its work when the event loop has gone round. */
  later(taker: TurnTaker): void {
    this.#waiting.add(taker);
    this.#schedule();
  }

  /** `taker` has no work any more: it is not called for what it asked for before. */
  forget(taker: TurnTaker): void {
    this.#waiting.delete(taker);
    this.#inRound.delete(taker);
  }

  renew(): boolean {
    const now = performance.now();
    if (this.#turnEnd === 0) {
      this.#turnEnd = now + TURN;
      this.#sliceEnd = this.#turnEnd;
      // The turn ends with the round, and the next begins afresh.
      this.#schedule();
    }
    if (now >= this.#sliceEnd) return false;
    this.credit = CREDIT;
    return true;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#soon(() => this.#round());
  }

  #round(): void {
    this.#scheduled = false;
    const takers = this.#waiting;
    this.#inRound = takers;
    this.#waiting = new Set();
    let now = performance.now();
    const end = Math.max(this.#turnEnd === 0 ? now + TURN : this.#turnEnd, now + LEAST_SLICE);
    this.#turnEnd = end;
    try {
      for (const taker of takers) {
        if (now >= end) break;
        const slice = Math.max(LEAST_SLICE, (end - now) / takers.size);
        takers.delete(taker);
        this.#give(taker, Math.min(end, now + slice));
        now = performance.now();
      }
    } finally {
      // Who had no slice comes before who has had one.
      for (const taker of this.#waiting) takers.add(taker);
      this.#waiting = takers;
      this.#turnEnd = 0;
      this.credit = -1;
      if (takers.size > 0) this.#schedule();
    }
  }

  #give(taker: TurnTaker, until: number): void {
    this.#working = true;
    this.#sliceEnd = until;
    this.credit = CREDIT;
    try {
      taker.work();
    } finally {
      this.#working = false;
      this.#sliceEnd = this.#turnEnd;
      this.credit = -1;
    }
  }
}
