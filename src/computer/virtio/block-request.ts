/**
 * A request to a block device (virtio 1.2, section 5.2.6):
 *
 *   readable   type 4, reserved 4, sector 8, then what is to be written
 *   writable   what was read, then one status byte
 *
 * with any number of buffers. What a request means and when it is a wrong one is said here, for whichever thread does it.
 */
import { SECTOR_SIZE } from './block-backend.js';
import { Chain } from './chain.js';
import type { GuestMemory } from './guest-memory.js';
import type { Virtqueue } from './queue.js';

/** PCI device id. */
export const BLOCK_DEVICE = 0x1042;

export const T_IN = 0;
export const T_OUT = 1;
export const T_FLUSH = 4;
export const T_GET_ID = 8;
export const T_DISCARD = 11;
export const T_WRITE_ZEROES = 13;
export const S_OK = 0;
export const S_IOERR = 1;
export const S_UNSUPP = 2;

/** No status that a device answers with: it has not answered. */
export const S_UNANSWERED = 0xff;

/** Feature bits (5.2.3). */
export const F_SIZE_MAX = 1 << 1;
export const F_SEG_MAX = 1 << 2;
export const F_RO = 1 << 5;
export const F_BLK_SIZE = 1 << 6;
export const F_FLUSH = 1 << 9;
export const F_DISCARD = 1 << 13;
export const F_WRITE_ZEROES = 1 << 14;

export const HEADER_SIZE = 16;
export const ID_SIZE = 20;
/** A range of discard and write zeroes: sector 8, count 4, flags 4. */
export const RANGE_SIZE = 16;
/** The flag of a range: its space may be given back. */
export const UNMAP = 1;
/** With a header and a status, a MiB in single pages is one request, and no chain is longer than the queue (2.7.5.3.1). */
export const QUEUE_SIZE = 512;
export const MAX_SEGMENTS = QUEUE_SIZE - 2;
export const MAX_SEGMENT = 16 * 1024;
/** More data than this in one request is no request we have offered to take. */
const MAX_DATA = MAX_SEGMENTS * MAX_SEGMENT;

/** Writes the header of a request at byte offset `at`: what a driver does. */
export function writeHeader(view: DataView, at: number, type: number, sector: number): void {
  view.setUint32(at, type, true);
  view.setUint32(at + 4, 0, true);
  writeSector(view, at + 8, sector);
}

/** Writes the range of a discard, or of zeroes to be written. */
export function writeRange(view: DataView, at: number, sector: number, count: number, flags: number): void {
  writeSector(view, at, sector);
  view.setUint32(at + 8, count, true);
  view.setUint32(at + 12, flags, true);
}

/** The 64 bits of a sector, as far as a number has them. */
export const sectorAt = (view: DataView, at: number): number =>
  view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;

function writeSector(view: DataView, at: number, sector: number): void {
  view.setUint32(at, sector >>> 0, true);
  view.setUint32(at + 4, Math.floor(sector / 0x1_0000_0000), true);
}

/** What a request is held against. */
export interface DiskShape {
  readonly sectors: number;
  readonly readOnly: boolean;
}

/** A request taken from the queue. Reused. */
export class BlockRequest {
  readonly chain: Chain;
  /** The device's generation when it was taken. */
  generation = 0;
  type = 0;
  sector = 0;
  readonly #header = new Uint8Array(HEADER_SIZE);
  readonly #view = new DataView(this.#header.buffer);
  readonly #status = new Uint8Array(1);

  constructor(memory: GuestMemory) {
    this.chain = new Chain(memory);
  }

  /** Whether it has room for what every request has: a header and a status. Else it is garbage. */
  get isWhole(): boolean {
    return this.chain.readable >= HEADER_SIZE && this.chain.writable >= 1;
  }

  /** Reads the header of one that is whole. False: it is not in memory. */
  parse(): boolean {
    if (this.chain.read(0, HEADER_SIZE, this.#header) < HEADER_SIZE) return false;
    this.type = this.#view.getUint32(0, true);
    this.sector = sectorAt(this.#view, 8);
    return true;
  }

  /** Bytes of data to be read or written. */
  get length(): number {
    return this.type === T_OUT ? this.chain.readable - HEADER_SIZE : this.chain.writable - 1;
  }

  /** Whether what is to be read or written are sectors of that disk, and may be. */
  fits(disk: DiskShape): boolean {
    const { length } = this;
    if (this.type === T_OUT && disk.readOnly) return false;
    if (length > MAX_DATA || length % SECTOR_SIZE !== 0) return false;
    // Up to 2^64, but what is within the size is exact.
    return this.sector + length / SECTOR_SIZE <= disk.sectors;
  }

  /** Hands the status to the driver; `length` bytes of data were put into the buffers. False: a buffer is not in memory. */
  answer(queue: Virtqueue, status: number, length: number): boolean {
    const { chain } = this;
    this.#status[0] = status;
    // The status is the very last byte, however much data there was (5.2.6).
    if (chain.write(chain.writable - 1, 1, this.#status) !== 1) return false;
    queue.push(chain.head, length + 1);
    return true;
  }
}
