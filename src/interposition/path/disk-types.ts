/** What the monitor can be asked to do at a disk in use. */
import type { BlockBackend } from '../../computer/virtio/block-backend.js';
import type { Use } from '../device.js';

/** What a disk can be asked for. */
export type DiskRequestKind = 'read' | 'write' | 'flush' | 'discard' | 'zero';

export const DISK_REQUEST_KINDS: readonly DiskRequestKind[] = ['read', 'write', 'flush', 'discard', 'zero'];

/** A request that was answered. */
export interface DiskRecord {
  /** When it came, in milliseconds of a clock that only goes forward (`performance.now`). */
  readonly at: number;
  readonly kind: DiskRequestKind;
  /** The first sector of 512 bytes, and how many; 0 and 0 for a flush. */
  readonly sector: number;
  readonly sectors: number;
  /** Milliseconds until it was answered, whatever the monitor did to it included. */
  readonly ms: number;
  /** False: the answer was an I/O error. */
  readonly ok: boolean;
}

/** Requests of a disk are being looked at. */
export interface DiskWatch extends Use {
  /** Requests since it began, by kind; `failed`: of all of them, those that were answered with an I/O error. */
  readonly counts: Readonly<Record<DiskRequestKind | 'failed', number>>;
  /** Bytes that were read and written, of requests that did not fail. */
  readonly bytes: Readonly<{ read: number; written: number }>;
  /** What the listener threw; it is not called any more then. */
  readonly broken: unknown;
}

/** What is done to a disk's requests. */
export interface DiskDisturbance {
  /** Milliseconds that a request waits before it is done, and how many more or less by chance; 0 unless told. */
  readonly latency?: number;
  readonly jitter?: number;
  /** Of 0 to 1: the share of requests that is answered with an I/O error, and not done. 0 unless told. */
  readonly errors?: number;
  /** The kinds that it concerns; all unless told. */
  readonly requests?: readonly DiskRequestKind[];
  /** It concerns requests that touch these sectors of 512 bytes, and a flush only if all are meant. */
  readonly first?: number;
  readonly sectors?: number;
  /** Where chance comes from: a number of 0 to below 1. `Math.random` unless told. */
  readonly random?: () => number;
}

/**
 * How a second OS instance sees the disk. One of the three has to be chosen:
 *
 * - a range of its own (`first`, `sectors`), which it can write: the first user cannot write there meanwhile, and gets an
 *   I/O error for it;
 * - `readOnly`: what the first user writes is seen as it comes;
 * - `overlay`: the disk as it is at this moment, whatever the first user writes to it later; what the second writes is
 *   kept in memory and gone at the end. With `readOnly`: a picture of the moment.
 */
export interface DiskShareOptions {
  /** Its sector 0 is this one of the disk; 0 unless told. */
  readonly first?: number;
  /** Sectors of 512 bytes, to the disk's end unless told. */
  readonly sectors?: number;
  readonly readOnly?: boolean;
  /**
   * The bytes of memory that it may keep, 1 GiB for `true`: what the second writes, and as much again of what the first
   * overwrites. A second that writes more gets I/O errors; if the first overwrites more, its write goes on and the view
   * is broken: what the second reads fails then.
   */
  readonly overlay?: boolean | number;
  /** Beside the first user's, which is 1: who has twice the weight gets twice as much when both want more than there is. */
  readonly weight?: number;
  /** Bytes per second that it may have at most, whatever the others want; what comes sooner waits. */
  readonly bandwidth?: number;
}

/**
 * A view of a disk that another OS instance uses: give it to `boot` among its disks. While it lasts the monitor does not
 * step away. `end` does not wait for that instance: requests under way are done, later ones are I/O errors; so it is when
 * the instance that has the disk itself is gone.
 */
export interface SharedDisk extends BlockBackend, Use {
  /**
   * Says that an OS instance has it; answers what says that it has it no more. Throws InterpositionError `in-use` if another
   * has it, `closed` after its end.
   */
  plug(): () => void;
}

/** How far a disk has moved. */
export interface MoveProgress {
  /** Bytes copied, those that had to be copied again included. */
  readonly copied: number;
  /** Bytes of the disk. */
  readonly total: number;
  /** Bytes that are to be copied yet: not at all so far, or written since. */
  readonly dirty: number;
}

/** How a disk is moved. */
export interface MoveOptions {
  readonly onProgress?: (progress: MoveProgress) => void;
  /** Gives the move up; the disk stays where it is. */
  readonly signal?: AbortSignal;
}

/** A disk has moved. */
export interface MoveReport {
  /** Bytes that were copied. */
  readonly bytes: number;
  /** Times that it was gone through: the first copies everything, each later one what was written meanwhile. */
  readonly rounds: number;
  /** Milliseconds in which the disk answered nothing, at the end. */
  readonly switchMs: number;
}
