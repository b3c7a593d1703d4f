/** A token bucket: so much per second in the long run, and what was saved up to `burst` seconds at once. */

export class TokenBucket {
  #tokens: number;
  #at: number;
  readonly #most: number;

  /** `rate`: per second. `now`: milliseconds. */
  constructor(
    readonly rate: number,
    burst: number,
    now: number,
  ) {
    this.#most = rate * burst;
    this.#tokens = this.#most;
    this.#at = now;
  }

  /** Milliseconds until something may pass; 0: now. */
  wait(now: number): number {
    this.#tokens = Math.min(this.#most, this.#tokens + ((now - this.#at) * this.rate) / 1000);
    this.#at = now;
    return this.#tokens > 0 ? 0 : Math.max(1, Math.ceil((-this.#tokens * 1000) / this.rate));
  }

  /** Something of that size passes. It may be larger than all that fits in: what comes next waits the longer. */
  take(amount: number): void {
    this.#tokens -= amount;
  }
}
