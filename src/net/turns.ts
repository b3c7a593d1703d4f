/**
 * A share of each turn of the event loop. Work that could go on for ever stops when the share is used up, and goes on
 * in the next turn: what else the process has to do (sockets, timers, other devices) comes in between.
 */
import type { Clock } from './clock.js';

export class Turns {
  #spent = 0;
  #since = 0;
  #armed = false;

  constructor(
    /** Left out: there are no turns, and everything is done at once (simulated time). */
    readonly clock: Pick<Clock, 'now' | 'turn'> | undefined,
    /** Milliseconds per turn. */
    readonly share: number,
    /** Called in the turn after one that has begun work. */
    readonly resume: () => void,
  ) {}

  /** Begins a stretch of work; false if this turn has no time left for it. To be followed by `end` if true. */
  begin(): boolean {
    if (this.clock === undefined) return true;
    if (!this.#armed) {
      this.#armed = true;
      this.clock.turn(() => {
        this.#armed = false;
        this.#spent = 0;
        this.resume();
      });
    }
    if (this.#spent >= this.share) return false;
    this.#since = this.clock.now();
    return true;
  }

  /** Whether the stretch has to stop. */
  get isOver(): boolean {
    return this.clock !== undefined && this.#spent + this.clock.now() - this.#since >= this.share;
  }

  end(): void {
    if (this.clock !== undefined) this.#spent += this.clock.now() - this.#since;
  }
}
