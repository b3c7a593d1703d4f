/** Waits for a length of time, as data; what is done with them is in waits.ts. */

/** A thread seen asleep in a call that waits for a length of time. */
export interface Asleep {
  /** As `/proc/PID/task/TID/syscall` shows it: number, arguments, stack pointer, program counter. */
  readonly call: string;
  /** When it went to sleep, by the OS instance's CLOCK_MONOTONIC, in nanoseconds; a tick late at most. */
  readonly since: bigint;
  /** How often it had gone to sleep by then. */
  readonly switches: number;
  /** How long it wants to sleep, in nanoseconds. */
  readonly length: bigint;
}

/** What was seen of a running domain's sleepers. */
export interface Look {
  /** When it was looked, by the OS instance's CLOCK_MONOTONIC, in nanoseconds. */
  readonly at: bigint;
  /** By the threads' ids in the hands' namespace. */
  readonly asleep: ReadonlyMap<number, Asleep>;
  /** How many threads there were. */
  readonly threads: number;
}

/** A wait that was disturbed by a freeze that then failed: it goes on by `restart_syscall`. */
export interface Disturbed extends Asleep {
  /** How often it was disturbed since it was seen. */
  readonly times: number;
}

/** A wait that has an end, by the domain's CLOCK_MONOTONIC, in nanoseconds. */
export interface Wait {
  readonly nr: number;
  readonly end: bigint;
  /**
   * Whether the kernel it is in still knows it, where `restart_syscall` goes on with it, and `end` is its end there: where
   * nobody can tell, one is made up, for a kernel that knows nothing.
   */
  readonly known: boolean;
}

/** A wait that a thread is in by `restart_syscall`, which does not tell which call it was. */
export interface Restarted extends Wait {
  readonly pc: bigint;
  readonly sp: bigint;
}
