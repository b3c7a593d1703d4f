/**
 * The computer's clock: what the `time` CSR shows, the same on every hart of every OS
 * instance. 10 MHz, as QEMU's virt machine has it.
 */
export const TIMEBASE_FREQUENCY = 10_000_000;
const TICKS_PER_MS = TIMEBASE_FREQUENCY / 1000;

/**
 * What to add to this thread's `performance.now()` for a clock that all threads share. `timeOrigin`
 * is only nearly that: it is taken from the wall clock when the thread begins, and a thread that
 * loses its core just then is off by as much. A platform that knows better says so.
 */
let origin = performance.timeOrigin;

/** Milliseconds on the host's monotonic clock that all threads share. */
export const hostNow = (): number => origin + performance.now();

/**
 * Sets this thread's part of the shared clock: `monotonic` reads, in milliseconds, a clock that is
 * the same on every thread. To be called before the thread asks for the time.
 */
export function shareHostClock(monotonic: () => number): void {
  let best = Infinity;
  for (let look = 0; look < 16; look++) {
    const before = performance.now();
    const shared = monotonic();
    const after = performance.now();
    // A look that was interrupted took longer than the others.
    if (after - before >= best) continue;
    best = after - before;
    origin = shared - (before + after) / 2;
  }
}

/** Milliseconds since 1970 on the host's wall clock, the same on every thread; it may be set, and jump. */
export const wallClock = (): number => Date.now();

/** The computer's clock: what `time` reads in every hart, at 10 MHz. */
export class Clock {
  readonly #base: number;

  /** `epoch`: the `hostNow()` at which the computer's time was 0. */
  constructor(readonly epoch: number) {
    this.#base = origin - epoch;
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
