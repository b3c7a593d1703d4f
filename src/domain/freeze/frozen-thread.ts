/** What stands still: data that the freeze, the checkpoint and the kinds of resources share. */
import type { ProcessSpace } from '../memory/mover.js';
import type { Registers, Tracee } from '../trace/tracee.js';
import type { Wait } from './wait.js';

/** A thread of the domain at the moment it was stopped. */
export interface FrozenThread {
  readonly tracee: Tracee;
  readonly regs: Registers;
  readonly fp: Uint8Array;
  readonly mask: bigint;
  /** The signal that stopped the job of which it is a part. */
  readonly stoppedBy?: number;
  /** Where it was in the middle of a wait for a length of time. */
  readonly wait?: Wait;
}

export interface FrozenProcess {
  readonly hostPid: number;
  /** The signal that its threads stop by when they have made their calls: none that is pending. */
  readonly signal: number;
  /** Its address space, known once it has a runner. */
  space?: ProcessSpace;
  readonly leader: FrozenThread;
  readonly threads: readonly FrozenThread[];
}
