/** The time and the timers the network code runs on. Tests bring a clock of their own. */
export interface Clock {
  /** Monotonic time in milliseconds; only differences mean anything. */
  now(): number;
  /** Calls `run` once, `ms` milliseconds from now. The returned function takes that back. */
  after(ms: number, run: () => void): () => void;
  /** Calls `run` once, when the frames of the batch now being handled have been seen. */
  soon(run: () => void): void;
  /** Calls `run` once, in a later turn of the event loop: sockets and timers that are due come before it. */
  turn(run: () => void): void;
}
