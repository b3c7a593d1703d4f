/** What the demonstration finds out. With --json this is what is printed. */
import type { Step } from '../../../remapping/migrate.js';

export interface DemoResult {
  /** Everything went as it should. */
  ok: boolean;
  /** As `uname -r` says in the OS instance that serves, before and after the move. */
  kernelBefore: string;
  kernelAfter: string;
  /** The same process ids before and after, seen from inside the domain. */
  pidsKept: boolean;
  pids: number[];
  /** Redis's own process answers as before: its `process_id` and `run_id` did not change. */
  sameProcess: boolean;
  keysWritten: number;
  keysVerified: number;
  commandsSent: number;
  commandsAnswered: number;
  /** Answers that say that a command was lost or done twice. */
  wrongAnswers: number;
  connectionsBroken: number;
  /** The longest time between two replies on the steady connection around the move. */
  pauseMs: number;
  /** What the move itself took from freezing to going on, and its parts. */
  movePauseMs: number;
  pauseParts: Record<string, number>;
  /** The longest time between two replies at any time, and what is usual while nothing moves. */
  longestGapMs: number;
  usualGapMs: { median: number; p99: number };
  framesFlipped: number;
  /** Bytes of memory that are the domain's own. */
  domainBytes: number;
  /** Bytes of the domain's memory that the VMM copied. */
  bytesCopied: number;
  /** Bytes of what the kernel holds for the domain, which go through the hands: sockets' queues, pipes, written files. */
  kernelBytesCopied: number;
  bootSeconds: { a: number; b: number };
  /** Harts and memory of `a` are in the free pool again. */
  returnedToPool: { harts: number; bytes: number };
  /** What could not be tidied after the move, which is done all the same. */
  untidied: string[];
  memoryMiB: number;
  totalSeconds: number;
  error?: { code: string; message: string };
}

/** One stretch of time for the timeline, in ms of `performance.now()`. */
export interface Span {
  readonly what: 'boot' | 'ready' | 'serve' | 'shutdown';
  readonly from: number;
  readonly to: number;
}

/** What the timeline is drawn from. */
export interface Chronicle {
  readonly start: number;
  readonly end: number;
  readonly lanes: { readonly name: string; readonly kernel: string; readonly spans: readonly Span[] }[];
  readonly replies: readonly number[];
  /** When each step of the move began; the last entry is its end. */
  readonly steps: readonly { readonly step: Step | 'end'; readonly at: number }[];
}
