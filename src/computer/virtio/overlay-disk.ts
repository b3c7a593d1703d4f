/**
 * A disk over one that stays as it is. Of each block of 64 KiB it knows one of three things:
 *
 *   kept      a copy, with what was written            65,536 bytes of memory, counted as that
 *   zero      that it is all zeroes                    an entry in a set, counted as 64
 *   neither   nothing: it is as in the disk below      none
 */
import { BlockError, SECTOR_SIZE, type BlockBackend } from './block-backend.js';

const BLOCK = 64 * 1024;
/** About what a number in a set takes, with the room that a set keeps for more. */
const ZERO_BLOCK = 64;
const GIB = 2 ** 30;

/** How much an `OverlayDisk` may keep. */
export interface OverlayOptions {
  /** Bytes of memory for what is written, 1 GiB unless told; `Infinity`: without limit. */
  readonly most?: number;
}

/**
 * A writable disk over one that stays as it is: what is written is kept in memory, in blocks of 64 KiB, and gone when
 * the computer is. A write that would need more memory than there may be is refused with BlockError `full`, which is
 * an I/O error in the guest. A block that is discarded takes no memory any more, and reads as in the disk below; one
 * that is all zeroes takes next to none.
 */
export class OverlayDisk implements BlockBackend {
  readonly readOnly = false;
  readonly sectors: number;
  readonly id: string;
  readonly #most: number;
  readonly #blocks = new Map<number, Uint8Array>();
  readonly #zeroes = new Set<number>();
  /** Blocks being fetched from below: two writes to one block must fetch it once. */
  readonly #fetching = new Map<number, Promise<void>>();

  /** Throws BlockError `size` for a `most` that is no number of bytes. */
  constructor(
    readonly below: BlockBackend,
    { most = GIB }: OverlayOptions = {},
  ) {
    if (typeof most !== 'number' || !(most >= 0)) {
      throw new BlockError('size', `what an overlay keeps at most is a number of bytes, not ${most}`);
    }
    this.sectors = below.sectors;
    this.id = below.id;
    this.#most = most;
  }

  /** Bytes of memory that what was written takes. */
  get kept(): number {
    return (this.#blocks.size + this.#fetching.size) * BLOCK + this.#zeroes.size * ZERO_BLOCK;
  }

  async read(sector: number, into: Uint8Array): Promise<void> {
    await this.#each(sector, into.length, async (block, within, from, length) => {
      const target = into.subarray(from, from + length);
      const kept = this.#blocks.get(block);
      if (kept !== undefined) target.set(kept.subarray(within, within + length));
      else if (this.#zeroes.has(block)) target.fill(0);
      else await this.below.read((block * BLOCK + within) / SECTOR_SIZE, target);
    });
  }

  async write(sector: number, from: Uint8Array): Promise<void> {
    await this.#each(sector, from.length, async (block, within, at, length) => {
      const data = from.subarray(at, at + length);
      const isWhole = length === this.#lengthOf(block);
      const isZeroes = isZero(data);
      if (isZeroes && this.#zeroes.has(block)) return;
      if (isZeroes && isWhole) return this.#makeZero(block);
      await this.#change(block, isWhole, (copy) => copy.set(data, within));
      if (isZeroes) this.#dropIfZero(block);
    });
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  async discard(sector: number, count: number): Promise<void> {
    await this.#each(sector, count * SECTOR_SIZE, async (block, _within, _at, length) => {
      // The rest of a block that is not discarded whole may have been written.
      if (length < this.#lengthOf(block)) return;
      await this.#fetching.get(block)?.catch(() => undefined);
      this.#blocks.delete(block);
      this.#zeroes.delete(block);
    });
  }

  async zero(sector: number, count: number): Promise<void> {
    await this.#each(sector, count * SECTOR_SIZE, async (block, within, _at, length) => {
      if (this.#zeroes.has(block)) return;
      if (length === this.#lengthOf(block)) return this.#makeZero(block);
      await this.#change(block, false, (copy) => copy.fill(0, within, within + length));
      this.#dropIfZero(block);
    });
  }

  async #makeZero(block: number): Promise<void> {
    await this.#fetching.get(block)?.catch(() => undefined);
    if (this.#zeroes.has(block)) return;
    if (!this.#blocks.delete(block)) this.#reserve(ZERO_BLOCK);
    this.#zeroes.add(block);
  }

  /** A guest writes zeroes in requests that begin and end within blocks. */
  #dropIfZero(block: number): void {
    const copy = this.#blocks.get(block);
    if (copy === undefined || !isZero(copy)) return;
    this.#blocks.delete(block);
    this.#zeroes.add(block);
  }

  /** Changes a block's copy, which is made first if there is none. `isWhole`: nothing of what it was will remain. */
  async #change(block: number, isWhole: boolean, change: (copy: Uint8Array) => void): Promise<void> {
    for (;;) {
      // In one go: while one waits, somebody else may drop the copy.
      const copy = this.#blocks.get(block);
      if (copy !== undefined) return change(copy);
      await (this.#fetching.get(block) ?? this.#fetch(block, isWhole));
    }
  }

  async #fetch(block: number, isWhole: boolean): Promise<void> {
    this.#reserve(BLOCK);
    const wasZero = this.#zeroes.has(block);
    const bytes = new Uint8Array(this.#lengthOf(block));
    if (isWhole || wasZero) return this.#keep(block, bytes);
    const fetching = this.below.read((block * BLOCK) / SECTOR_SIZE, bytes).then(
      () => this.#keep(block, bytes),
      (error: unknown) => {
        this.#fetching.delete(block);
        throw error;
      },
    );
    this.#fetching.set(block, fetching);
    return fetching;
  }

  #keep(block: number, bytes: Uint8Array): void {
    this.#fetching.delete(block);
    this.#zeroes.delete(block);
    this.#blocks.set(block, bytes);
  }

  #reserve(bytes: number): void {
    if (this.kept + bytes <= this.#most) return;
    throw new BlockError(
      'full',
      `what was written takes the ${this.#most} bytes of memory that it may, and no more is kept`,
    );
  }

  /** The last block of a disk may be shorter. */
  #lengthOf(block: number): number {
    return Math.min(BLOCK, this.sectors * SECTOR_SIZE - block * BLOCK);
  }

  async #each(
    sector: number,
    length: number,
    part: (block: number, within: number, at: number, length: number) => Promise<void>,
  ): Promise<void> {
    const start = sector * SECTOR_SIZE;
    for (let at = 0; at < length;) {
      const within = (start + at) % BLOCK;
      const n = Math.min(BLOCK - within, length - at);
      await part((start + at - within) / BLOCK, within, at, n);
      at += n;
    }
  }
}

function isZero(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte !== 0) return false;
  return true;
}
