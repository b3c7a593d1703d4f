/** Where a disk's contents are. */

export const SECTOR_SIZE = 512;

/**
 * What can be wrong with a disk:
 *
 * | code         | meaning                                                                    |
 * |--------------|----------------------------------------------------------------------------|
 * | `size`       | shorter than a sector, or no whole number of them                          |
 * | `range`      | the contents end before the sector that was asked for                      |
 * | `read-only`  | a write to a disk that cannot be written                                   |
 * | `missing`    | there is nothing of that name                                              |
 * | `permission` | the user, or the file system it lies on, does not allow it                 |
 * | `not-a-disk` | a folder, a pipe, or whatever else has no sectors                          |
 * | `format`     | an image in another format than raw                                        |
 * | `in-use`     | another machine or the host has it, in a way that does not go with this    |
 * | `no-lock`    | the host cannot say whether another machine has it                         |
 * | `full`       | as much has been written as may be kept                                    |
 * | `host`       | anything else that the host says                                           |
 */
export type BlockErrorCode =
  | 'size'
  | 'range'
  | 'read-only'
  | 'missing'
  | 'permission'
  | 'not-a-disk'
  | 'format'
  | 'in-use'
  | 'no-lock'
  | 'full'
  | 'host';

/** A disk cannot be opened, read or written. */
export class BlockError extends Error {
  override readonly name = 'BlockError';
  constructor(
    readonly code: BlockErrorCode,
    message: string,
    options?: ErrorOptions & { readonly told?: boolean },
  ) {
    super(message, options);
    this.told = options?.told === true;
  }

  /** Whoever met it first has told the host of it. */
  readonly told: boolean;
}

/** Where a hart's thread finds a device that the monitor drives. */
export interface DrivenDevice {
  /** Byte offset of the device's state page. */
  readonly page: number;
  /** Byte offset of 32 bytes of the driver's memory: a request's header, and its status. */
  readonly scratch: number;
}

/** A disk's leave for a hart's thread to read and write it without the main thread (local-disk.ts). */
export interface Loan {
  /** What the platform's `HartPlatform.openLocal` knows the disk by: a whole number from 1 to 2^31 - 1. */
  readonly handle: number;
  /** The disk is behind a device that the monitor drives: requests go through its queue (driven-disk.ts). */
  readonly via?: DrivenDevice;
  /** No hart will use the handle again. */
  giveBack(): void;
}

/**
 * A disk of `sectors` sectors of 512 bytes. The device asks for whole sectors within
 * its size only. A promise that is rejected becomes an I/O error in the guest.
 */
export interface BlockBackend {
  readonly sectors: number;
  readonly readOnly: boolean;
  /** Up to 20 ASCII characters, which the guest shows as the disk's serial number. */
  readonly id: string;
  read(sector: number, into: Uint8Array): Promise<void>;
  write(sector: number, from: Uint8Array): Promise<void>;
  /** What was written before is durable when this is done. */
  flush(): Promise<void>;
  /** Sectors whose contents no longer matter. Without it the disk offers no discard. */
  discard?(sector: number, count: number): Promise<void>;
  /** Sectors that read as zeroes from now on, and need not take space. Without it zeroes are written. */
  zero?(sector: number, count: number): Promise<void>;
  /**
   * For a disk that hart's threads of this process can reach themselves. Before the disk lets go of what the handle means
   * it calls `recall`: false says that a hart still uses it. Undefined: there is nothing to lend.
   */
  lend?(recall: () => boolean): Loan | undefined;
}

/** A disk in memory. */
export class MemoryDisk implements BlockBackend {
  readonly sectors: number;

  /** `bytes` is the disk, not a copy of it. Throws BlockError('size') if it is no whole number of sectors. */
  constructor(
    readonly bytes: Uint8Array,
    readonly id = 'memory',
    readonly readOnly = false,
  ) {
    if (bytes.length === 0 || bytes.length % SECTOR_SIZE !== 0) {
      throw new BlockError('size', `a disk of ${bytes.length} bytes is no whole number of ${SECTOR_SIZE}-byte sectors`);
    }
    this.sectors = bytes.length / SECTOR_SIZE;
  }

  read(sector: number, into: Uint8Array): Promise<void> {
    into.set(this.bytes.subarray(sector * SECTOR_SIZE, sector * SECTOR_SIZE + into.length));
    return Promise.resolve();
  }
  write(sector: number, from: Uint8Array): Promise<void> {
    this.bytes.set(from, sector * SECTOR_SIZE);
    return Promise.resolve();
  }
  flush(): Promise<void> {
    return Promise.resolve();
  }
  discard(sector: number, count: number): Promise<void> {
    return this.zero(sector, count);
  }
  zero(sector: number, count: number): Promise<void> {
    this.bytes.fill(0, sector * SECTOR_SIZE, (sector + count) * SECTOR_SIZE);
    return Promise.resolve();
  }
}
