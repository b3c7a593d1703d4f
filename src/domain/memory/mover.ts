import type { Hands } from '../../guest/hands/hands.js';
import type { Tracee } from '../trace/tracee.js';
import type { Range } from './ranges.js';

/** An address space of a process in an OS instance, as a mover knows it. */
export interface ProcessSpace {
  readonly hands: Hands;
  /** A thread of the process, in the hands' PID namespace. */
  readonly pid: number;
  /** satp of the process, where the mover walks page tables itself. */
  readonly satp?: bigint;
}

/** What page tables say of private anonymous memory. */
export interface PageLook {
  /** Where it has pages of its own. */
  readonly own: readonly Range[];
  /** Where they do not tell: pages that are away or on their way, huge pages that may not be written. */
  readonly unclear: readonly Range[];
}

/** Pages that shall change places. Addresses are page-aligned. */
export interface Move {
  readonly from: ProcessSpace;
  readonly fromVa: number;
  readonly to: ProcessSpace;
  readonly toVa: number;
  readonly pages: number;
}

/** Pages of a process that it may have in common with others in the destination, as the original may. */
export interface CommonPages {
  readonly from: ProcessSpace;
  readonly to: ProcessSpace;
  readonly ranges: readonly Range[];
}

/** What a flip did; also what undoes it. */
export interface FlipReceipt {
  readonly framesFlipped: number;
  /** Bytes that had to be copied: pages that several destinations wanted, each for itself. */
  readonly bytesCopied: number;
  /** Exchanges the mappings once more: everything is where it was. */
  undo(): Promise<void>;
  /**
   * Nothing will be taken back any more. Until then the memory of both OS instances outlives them: one that ends
   * meanwhile takes nothing with it that belongs to the other.
   */
  settle(): void;
}

/**
 * Moves the contents of pages between two OS instances.
 *
 * Prerequisites: neither process runs; each page is present on both sides, in the destination memory of its
 * own that was populated by writing. While it works no hart of either instance runs, and the page tables are walked only
 * then, for the kernels may move pages at any time before.
 *
 * Effects on success: the destination's pages hold what the source's held, and the source's hold what the
 * destination's held. A source page named twice goes to the first destination; another destination at the
 * same guest-physical page needs nothing more, any other gets a copy.
 *
 * Effects on failure: none. Throws DomainError `lost` naming the first page that was not there.
 */
export interface FrameMover {
  /**
   * Makes itself ready for what will be asked while a domain stands still, by looking at memory of a process that does
   * so already.
   */
  prepare(space: ProcessSpace, ranges: readonly Range[]): Promise<void>;
  /** `show`: has the process show a nonce by the ring instruction, unless told as {@link Tracee.showNonce} does. */
  space(tracee: Tracee, show?: (nonce: Uint8Array) => Promise<void>): Promise<ProcessSpace>;
  /** The hands' own address space. */
  handsSpace(hands: Hands): Promise<ProcessSpace>;
  /**
   * Where a process that stands still has pages of its own in these ranges, all of them private anonymous memory,
   * without asking its kernel.
   */
  look(space: ProcessSpace, ranges: readonly Range[]): Promise<PageLook>;
  /**
   * For each of these, in order: pages that must not be in common with those before them in the destination, for in the
   * source they are not; and pages that are not there on either side. All stand still.
   */
  strangers(common: readonly CommonPages[]): Promise<(readonly Range[])[]>;
  flip(moves: readonly Move[]): Promise<FlipReceipt>;
}
