/**
 * A disk that keeps a ledger of what arrives at it: the far end of whatever lies between it and who asks. Blocks of
 * 4 KiB say themselves which write they are:
 *
 *     0x00  "LEDGER01"
 *     0x08  lane       32 bits          0x0c  block     32 bits: where it is to lie, in blocks from the disk's beginning
 *     0x10  number     64 bits          0x18  epoch     64 bits
 *     0x20  the rest follows from lane, block and number
 *
 * All little-endian. Requests that touch no block of the range that is watched pass without an entry.
 */
import { SECTOR_SIZE, type BlockBackend } from '../computer/virtio/block-backend.js';
import type { Ledger, Stamp, Token } from './ledger.js';

export const BLOCK_SIZE = 4096;
/** "LEDGER01" as a little-endian number. */
export const BLOCK_MAGIC = 0x3130_5245_4744_454cn;
export const STAMP_SIZE = 0x20;

/** Blocks from the disk's beginning. */
export interface BlockRange {
  readonly first: number;
  readonly count: number;
}

/** The stamp in a block; undefined if it carries none, or lies where it was not meant to. */
export function stampOf(block: Uint8Array, index: number): Stamp | undefined {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  if (view.getBigUint64(0, true) !== BLOCK_MAGIC || view.getUint32(12, true) !== index) return undefined;
  return {
    lane: view.getUint32(8, true),
    number: Number(view.getBigUint64(16, true)),
    epoch: Number(view.getBigUint64(24, true)),
  };
}

export class LedgerDisk implements BlockBackend {
  readonly sectors: number;
  readonly readOnly = false;
  readonly id = 'ledger';
  /** Blocks that were written without a stamp, or to a place that the stamp does not name. */
  strange = 0;

  constructor(
    private readonly disk: BlockBackend,
    private readonly ledger: Ledger,
    private readonly range: BlockRange,
  ) {
    this.sectors = disk.sectors;
  }

  read(sector: number, into: Uint8Array): Promise<void> {
    const tokens = this.#blocks(sector, into).map(() => this.ledger.read());
    return settled(this.disk.read(sector, into), tokens);
  }

  write(sector: number, from: Uint8Array): Promise<void> {
    const tokens: Token[] = [];
    for (const [index, block] of this.#blocks(sector, from)) {
      const stamp = block.length === BLOCK_SIZE ? stampOf(block, index) : undefined;
      if (stamp === undefined) this.strange++;
      else tokens.push(this.ledger.write(stamp));
    }
    return settled(this.disk.write(sector, from), tokens);
  }

  flush(): Promise<void> {
    return settled(this.disk.flush(), [this.ledger.flush()]);
  }

  /** The blocks of the range that a request touches, whole or in part. */
  #blocks(sector: number, bytes: Uint8Array): (readonly [index: number, block: Uint8Array])[] {
    const { first, count } = this.range;
    const blocks: (readonly [number, Uint8Array])[] = [];
    const begin = sector * SECTOR_SIZE;
    for (let index = Math.floor(begin / BLOCK_SIZE); index * BLOCK_SIZE < begin + bytes.length; index++) {
      if (index < first || index >= first + count) continue;
      const at = index * BLOCK_SIZE - begin;
      blocks.push([index, bytes.subarray(Math.max(0, at), at + BLOCK_SIZE)]);
    }
    return blocks;
  }
}

async function settled(work: Promise<void>, tokens: readonly Token[]): Promise<void> {
  try {
    await work;
  } catch (error) {
    for (const token of tokens) token.giveUp();
    throw error;
  }
  for (const token of tokens) token.complete();
}
