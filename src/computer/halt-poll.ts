/**
 * An idle hart looks for a moment whether there is something to do before its thread sleeps: to be woken takes the host
 * longer than a guest waits for the answer to a packet. How long it looks follows what came of it, as in Linux's KVM
 * (halt_poll_ns): a sleep that was short makes it look longer the next time, one that was long makes it not look at all.
 * So a guest with nothing to do costs nothing, and at most as much time is spent on looking as sleeping would have taken.
 */

/** Milliseconds: the longest look, and the first one after a short sleep. */
export const MOST = 0.3;
const LEAST = 0.02;

/** When, and for how long, one hart looks before it sleeps. */
export class HaltPoll {
  /** Milliseconds that it looks now. */
  window = 0;

  /** Looks for `milliseconds` at the most whether the word at index `at` is something else than 0. False: nothing came. */
  look(words: Int32Array, at: number, milliseconds: number): boolean {
    const window = Math.min(this.window, milliseconds);
    if (window <= 0) return false;
    for (const end = performance.now() + window; performance.now() < end;) {
      if (Atomics.load(words, at) !== 0) return true;
    }
    return false;
  }

  /** It looked in vain, if it looked, and then slept that long. */
  slept(milliseconds: number): void {
    if (milliseconds >= MOST) this.window = 0;
    else this.window = Math.min(MOST, Math.max(LEAST, 2 * this.window));
  }
}
