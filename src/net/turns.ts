/**
 * A share of each turn of the event loop. Work that could go on for ever stops when the share is used up, and goes on
 * in the next turn: what else the process has to do (sockets, timers, other devices) comes in between.
 */
import type { Clock } from './clock.js';

/** Questions between two looks at the clock. */
const STRIDE = 8;

export class Turns {
  #since = 0;
  #armed = false;
  #over = false;
  #asked = 0;

  constructor(
    /** Left out: there are no turns, and everything is done at once (simulated time). */
    readonly clock: Pick<Clock, 'now' | 'turn'> | undefined,
    /** Milliseconds per turn, from when work begins in it. */
    readonly share: number,
    /** Called in the turn after one that had work. */
    readonly resume: () => void,
  ) {}

  /** Whether this turn has time for more work. To be asked before each small piece of it. */
  get hasTime(): boolean {
    if (this.clock === undefined) return true;
    if (!this.#armed) this.#begin(this.clock);
    else if (!this.#over && ++this.#asked % STRIDE === 0) this.#over = this.clock.now() - this.#since >= this.share;
    return !this.#over;
  }

  #begin(clock: Pick<Clock, 'now' | 'turn'>): void {
    this.#armed = true;
    this.#since = clock.now();
    clock.turn(() => {
      this.#armed = false;
      this.#over = false;
      this.resume();
    });
  }
}
