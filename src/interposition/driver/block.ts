/** The monitor's driver of a disk (virtio 1.2, 5.2): what it offers is a disk again, for whoever uses it through the monitor. */
import { BlockError, SECTOR_SIZE, type BlockBackend, type Loan } from '../../computer/virtio/block-backend.js';
import * as b from '../../computer/virtio/block-request.js';
import type { VirtioBlock } from '../../computer/virtio/block.js';
import type { MonitorMemory } from '../monitor-memory.js';
import { Driver } from './driver.js';
import type { DriverBuffer } from './queue.js';

const SEGMENT = b.MAX_SEGMENT;
/** Data buffers that all requests share. */
const SEGMENTS = 128;
/** Requests that the device has at one time. */
const REQUESTS = 64;
/** A longer request is made in pieces: a quarter of the buffers at a time, so that others have theirs. */
const MOST_SEGMENTS = SEGMENTS / 4;
const HEADER_AREA = b.HEADER_SIZE + b.RANGE_SIZE;
/** Memory that a driver of a disk needs: buffers, requests' headers and status bytes, rings. */
export const BLOCK_DRIVER_BYTES = SEGMENTS * SEGMENT + 64 * 1024;

/** A request that waits for buffers, or that the device has. */
interface Job {
  readonly type: number;
  readonly sector: number;
  /** Data to write, or room for what is read. */
  readonly data: Uint8Array;
  /** Sectors of a range, for discard and write zeroes. */
  readonly count: number;
  readonly resolve: () => void;
  readonly reject: (error: BlockError) => void;
}

interface Submitted {
  readonly job: Job;
  /** Byte offset of header, range and status. */
  readonly slot: number;
  readonly segments: readonly number[];
}

/** The monitor's driver of a disk. */
export class BlockDriver extends Driver implements BlockBackend {
  readonly sectors: number;
  readonly readOnly: boolean;
  readonly id: string;
  readonly discard?: (sector: number, count: number) => Promise<void>;
  readonly zero?: (sector: number, count: number) => Promise<void>;
  readonly #disk: VirtioBlock;
  readonly #waiting: Job[] = [];
  readonly #submitted = new Map<number, Submitted>();
  readonly #slots: number[] = [];
  readonly #segments: number[] = [];
  /** Where a hart that does a request by itself has its header and status. */
  readonly #hartsScratch: number;

  constructor(device: VirtioBlock, memory: MonitorMemory) {
    super(device, memory, b.F_RO | b.F_FLUSH | b.F_DISCARD | b.F_WRITE_ZEROES);
    this.#disk = device;
    this.takeOver([b.QUEUE_SIZE]);
    for (let i = 0; i < SEGMENTS; i++) this.#segments.push(memory.take(SEGMENT, 4096));
    for (let i = 0; i < REQUESTS; i++) this.#slots.push(memory.take(HEADER_AREA + 1));
    this.#hartsScratch = memory.take(2 * b.HEADER_SIZE);
    const { buffer, byteOffset } = device.configuration();
    this.sectors = b.sectorAt(new DataView(buffer), byteOffset);
    this.readOnly = this.negotiated(b.F_RO);
    this.id = device.serial;
    if (this.negotiated(b.F_DISCARD)) this.discard = (sector, count) => this.#range(b.T_DISCARD, sector, count);
    if (this.negotiated(b.F_WRITE_ZEROES)) this.zero = (sector, count) => this.#range(b.T_WRITE_ZEROES, sector, count);
  }

  get goesOn(): string | undefined {
    return this.#submitted.size + this.#waiting.length > 0 ? 'requests under way' : undefined;
  }

  /** What is behind the device harts can reach, through the device's queue (virtio/driven-disk.ts). */
  lend(recall: () => boolean): Loan | undefined {
    const loan = this.#disk.backend.lend?.(recall);
    return loan && { ...loan, via: { page: this.#disk.page * 4, scratch: this.#hartsScratch } };
  }

  async read(sector: number, into: Uint8Array): Promise<void> {
    await this.#pieces(b.T_IN, sector, into);
  }

  async write(sector: number, from: Uint8Array): Promise<void> {
    await this.#pieces(b.T_OUT, sector, from);
  }

  async flush(): Promise<void> {
    if (this.negotiated(b.F_FLUSH)) await this.#ask(b.T_FLUSH, 0, new Uint8Array(0));
  }

  #range(type: number, sector: number, count: number): Promise<void> {
    return this.#ask(type, sector, new Uint8Array(0), count);
  }

  async #pieces(type: number, sector: number, data: Uint8Array): Promise<void> {
    const most = MOST_SEGMENTS * SEGMENT;
    if (data.length <= most) return this.#ask(type, sector, data);
    const pieces: Promise<void>[] = [];
    for (let at = 0; at < data.length; at += most) {
      pieces.push(this.#ask(type, sector + at / SECTOR_SIZE, data.subarray(at, at + most)));
    }
    // None may touch the caller's bytes after it has been answered.
    const ends = await Promise.allSettled(pieces);
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  #ask(type: number, sector: number, data: Uint8Array, count = 0): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.failure !== undefined) return reject(broken(this.failure));
      this.#waiting.push({ type, sector, data, count, resolve, reject });
      this.attempt(() => this.#submit());
    });
  }

  /** Gives the device what there are buffers for, in the order in which it was asked for. */
  #submit(): void {
    let any = false;
    for (let job = this.#waiting[0]; job !== undefined; job = this.#waiting[0]) {
      const needed = Math.ceil(job.data.length / SEGMENT);
      if (needed > this.#segments.length || this.#slots.length === 0 || needed + 3 > this.queues[0].room) break;
      // It is in one of the two lists at any time, whatever throws in between.
      this.#give(job, needed);
      this.#waiting.shift();
      any = true;
    }
    if (any) this.kick(0);
  }

  #give(job: Job, needed: number): void {
    const { bytes, view } = this.memory;
    const slot = this.#slots.pop() ?? 0;
    const segments = this.#segments.splice(this.#segments.length - needed, needed);
    const status = slot + HEADER_AREA;
    const hasRange = job.type === b.T_DISCARD || job.type === b.T_WRITE_ZEROES;
    b.writeHeader(view, slot, job.type, hasRange ? 0 : job.sector);
    bytes[status] = b.S_UNANSWERED;
    const buffers: DriverBuffer[] = [{ at: slot, length: b.HEADER_SIZE, write: false }];
    if (hasRange) {
      const range = slot + b.HEADER_SIZE;
      b.writeRange(view, range, job.sector, job.count, job.type === b.T_WRITE_ZEROES ? b.UNMAP : 0);
      buffers.push({ at: range, length: b.RANGE_SIZE, write: false });
    }
    segments.forEach((at, i) => {
      const length = Math.min(SEGMENT, job.data.length - i * SEGMENT);
      if (job.type === b.T_OUT) bytes.set(job.data.subarray(i * SEGMENT, i * SEGMENT + length), at);
      buffers.push({ at, length, write: job.type === b.T_IN });
    });
    buffers.push({ at: status, length: 1, write: true });
    this.#submitted.set(this.queues[0].add(buffers), { job, slot, segments });
  }

  protected override onFailed(error: Error): void {
    const jobs = [...[...this.#submitted.values()].map(({ job }) => job), ...this.#waiting.splice(0)];
    this.#submitted.clear();
    for (const job of jobs) job.reject(broken(error));
  }

  protected override finished(): void {
    const { bytes } = this.memory;
    for (let done = this.queues[0].next(); done !== undefined; done = this.queues[0].next()) {
      const submitted = this.#submitted.get(done.head);
      if (submitted === undefined) continue;
      const { job, slot, segments } = submitted;
      const status = bytes[slot + HEADER_AREA];
      if (status === b.S_OK && job.type === b.T_IN) {
        segments.forEach((at, i) => {
          const length = Math.min(SEGMENT, job.data.length - i * SEGMENT);
          job.data.set(bytes.subarray(at, at + length), i * SEGMENT);
        });
      }
      this.#submitted.delete(done.head);
      this.#slots.push(slot);
      this.#segments.push(...segments);
      if (status === b.S_OK) job.resolve();
      else
        job.reject(
          new BlockError('host', `the disk answers status ${status} to request type ${job.type}`, { told: true }),
        );
    }
    this.#submit();
  }
}

const broken = (cause: Error): BlockError =>
  new BlockError('host', `the driver has failed: ${cause.message}`, { cause });
