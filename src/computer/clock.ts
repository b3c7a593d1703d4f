/**
 * The computer's clock: what the `time` CSR shows, the same on every hart of every OS
 * instance. 10 MHz, as QEMU's virt machine has it.
 */
export const TIMEBASE_FREQUENCY = 10_000_000;
const TICKS_PER_MS = TIMEBASE_FREQUENCY / 1000;

/** Milliseconds on the host's monotonic clock that all threads share. */
export const hostNow = (): number => performance.timeOrigin + performance.now();

export class Clock {
  readonly #base: number;

  /** `epoch`: the `hostNow()` at which the computer's time was 0. */
  constructor(readonly epoch: number) {
    this.#base = performance.timeOrigin - epoch;
  }

  /** Ticks since the epoch. */
  ticks(): number {
    return Math.floor((this.#base + performance.now()) * TICKS_PER_MS);
  }

  /** Milliseconds until the clock shows `ticks`; negative when it has passed. */
  millisecondsUntil(ticks: number): number {
    return ticks / TICKS_PER_MS - (this.#base + performance.now());
  }
}
