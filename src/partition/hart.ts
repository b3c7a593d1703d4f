import type { HartAssignment, HartMessage } from './assignment.js';

/** A worker thread that runs one hart at a time. */
export interface HartThread {
  /**
   * Runs an assignment. What is said of it goes to `onMessage`; `stopped` or `failed` is the last of it, whatever becomes
   * of the thread. A thread that has died is replaced first.
   */
  assign(assignment: HartAssignment, onMessage: (message: HartMessage) => void): void;
  /** Ends the thread, whatever it is doing: what it was assigned has failed. */
  terminate(): Promise<void>;
}

/** What the core asks of the platform it runs on. */
export interface Platform {
  /** Starts a thread that loads the hart's code and waits for an assignment. */
  startHartThread(): HartThread;
  /** Calls back when the event loop has gone round, timers and sockets included: as `setImmediate` does. */
  soon(run: () => void): void;
  /** Fills an array with random bytes fit for keys. */
  randomBytes(into: Uint8Array): void;
}

/** A hart as an OS instance sees it: a block of its state in machine memory, and a thread to run it. */
export interface LogicalHart {
  /** Byte offset of the hart block. */
  readonly block: number;
  /** None: the instance does not have the hart now. */
  thread: HartThread | undefined;
}

/** Where an OS instance gets its harts from. */
export interface HartSupply {
  /** A hart to run the logical hart with this block, as a thread. Throws ComputerError `no-hart`, or what starting a thread throws. */
  take(block: number): HartThread;
  giveBack(block: number, thread: HartThread): void;
  /** The thread that ran this block is dead, or has failed. */
  lost(block: number): void;
  /** If the harts are shared: byte offset of the table of seats (computer/seat-table.ts). */
  readonly seatTable: number | undefined;
}
