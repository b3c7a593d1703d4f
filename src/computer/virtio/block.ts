/**
 * The block device (virtio 1.2, section 5.2). A request is
 *
 *   readable   type 4, reserved 4, sector 8, then what is to be written
 *   writable   what was read, then one status byte
 *
 * with any number of buffers. Data passes through a buffer of the host: the backend
 * may take its time, and a request whose device was reset meanwhile must not reach
 * the guest's memory, which may long be something else.
 */
import { BlockError, SECTOR_SIZE, type BlockBackend } from './block-backend.js';
import { Chain } from './chain.js';
import { VirtioDevice, type DeviceHost } from './device.js';

const BLOCK_ID = 2;
const CLASS_STORAGE = 0x01_8000;

const F_SIZE_MAX = 1 << 1;
const F_SEG_MAX = 1 << 2;
const F_RO = 1 << 5;
const F_BLK_SIZE = 1 << 6;
const F_FLUSH = 1 << 9;
const F_DISCARD = 1 << 13;
const F_WRITE_ZEROES = 1 << 14;

const T_IN = 0;
const T_OUT = 1;
const T_FLUSH = 4;
const T_GET_ID = 8;
const T_DISCARD = 11;
const T_WRITE_ZEROES = 13;
const S_OK = 0;
const S_IOERR = 1;
const S_UNSUPP = 2;

const HEADER_SIZE = 16;
const ID_SIZE = 20;
const RANGE_SIZE = 16;
const QUEUE_SIZE = 128;
const MAX_SEGMENTS = 126;
const MAX_SEGMENT = 64 * 1024;
/** More data than this in one request is no request we have offered to take. */
const MAX_DATA = MAX_SEGMENTS * MAX_SEGMENT;
/** Data of requests under way in all disks of an instance: with as much, each has one request at a time. */
const MAX_UNDER_WAY = 32 * 1024 * 1024;
const MAX_RANGE_SECTORS = 2 ** 16;
/** The flag of a range: its space may be given back (5.2.6). */
const UNMAP = 1;

/** A request taken from the queue and not yet finished. */
interface Request {
  readonly chain: Chain;
  generation: number;
}

/** A virtio block device (virtio 1.2, 5.2) over a backend. */
export class VirtioBlock extends VirtioDevice {
  readonly #backend: BlockBackend;
  readonly #free: Request[] = [];
  readonly #header = new Uint8Array(HEADER_SIZE);
  readonly #view = new DataView(this.#header.buffer);
  readonly #status = new Uint8Array(1);
  #underWay = 0;
  readonly #share: { bytes: number };
  /** The queue was left with requests in it. */
  #waiting = false;
  #idle: (() => void)[] = [];
  /** Codes of failures that have been told of. */
  readonly #told = new Set<string>();

  constructor(host: DeviceHost, backend: BlockBackend) {
    const features =
      F_SIZE_MAX |
      F_SEG_MAX |
      F_BLK_SIZE |
      F_FLUSH |
      (backend.readOnly ? F_RO : F_WRITE_ZEROES | (backend.discard === undefined ? 0 : F_DISCARD));
    super(host, { id: BLOCK_ID, classCode: CLASS_STORAGE, features, queues: [QUEUE_SIZE], config: configOf(backend) });
    this.#backend = backend;
    this.#share = host.underWay;
  }

  /** Requests the backend is working on. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Resolves when no request is under way. The device's state is whole then. */
  quiet(): Promise<void> {
    if (this.#underWay === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  protected override process(): void {
    const queue = this.queues[0];
    for (let n = 0; n < QUEUE_SIZE; n++) {
      // An honest driver has no more requests than descriptors; another may name one descriptor again and again.
      const full = this.#share.bytes >= MAX_UNDER_WAY && this.#underWay > 0;
      if (full || this.#underWay >= QUEUE_SIZE) {
        this.#waiting = true;
        return;
      }
      const request = this.#free.pop() ?? { chain: new Chain(this.memory), generation: 0 };
      if (!queue.pop(request.chain)) {
        this.#free.push(request);
        return;
      }
      request.generation = this.generation;
      this.#begin(request);
    }
    this.again(1);
  }

  #begin(request: Request): void {
    const { chain } = request;
    const n = chain.read(0, HEADER_SIZE, this.#header);
    if (n < HEADER_SIZE || chain.writable < 1) {
      this.fail('queue 0: a request without header or status');
      return;
    }
    const type = this.#view.getUint32(0, true);
    const sector = this.#view.getUint32(8, true) + this.#view.getUint32(12, true) * 0x1_0000_0000;
    switch (type) {
      case T_IN:
        return this.#read(request, sector);
      case T_OUT:
        return this.#write(request, sector);
      case T_FLUSH:
        return this.#run(request, 0, this.#backend.flush());
      case T_GET_ID: {
        const id = new Uint8Array(ID_SIZE);
        id.set(new TextEncoder().encode(this.#backend.id).subarray(0, ID_SIZE));
        return this.#finish(request, S_OK, id.subarray(0, Math.min(ID_SIZE, chain.writable - 1)));
      }
      case T_DISCARD:
      case T_WRITE_ZEROES:
        return this.#ranges(request, type);
      default:
        return this.#finish(request, S_UNSUPP);
    }
  }

  #read(request: Request, sector: number): void {
    const length = request.chain.writable - 1;
    if (!this.#valid(sector, length)) return this.#finish(request, S_IOERR);
    const data = new Uint8Array(length);
    this.#run(request, length, this.#backend.read(sector, data), data);
  }

  #write(request: Request, sector: number): void {
    const length = request.chain.readable - HEADER_SIZE;
    if (this.#backend.readOnly || !this.#valid(sector, length)) return this.#finish(request, S_IOERR);
    const data = new Uint8Array(length);
    if (request.chain.read(HEADER_SIZE, length, data) < length) {
      this.fail('queue 0: data that is not in memory');
      return;
    }
    this.#run(request, length, this.#backend.write(sector, data));
  }

  /** Discard and write zeroes carry ranges of { sector 8, count 4, flags 4 }; we offer one per request. */
  #ranges(request: Request, type: number): void {
    const { chain } = request;
    const discard = type === T_DISCARD ? this.#backend.discard?.bind(this.#backend) : undefined;
    if (this.#backend.readOnly || (type === T_DISCARD && discard === undefined)) return this.#finish(request, S_UNSUPP);
    if (chain.readable !== HEADER_SIZE + RANGE_SIZE || chain.read(HEADER_SIZE, RANGE_SIZE, this.#header) < RANGE_SIZE) {
      return this.#finish(request, S_UNSUPP);
    }
    const sector = this.#view.getUint32(0, true) + this.#view.getUint32(4, true) * 0x1_0000_0000;
    const count = this.#view.getUint32(8, true);
    const flags = this.#view.getUint32(12, true);
    // Flags that are reserved, and `unmap` with discard, are to be refused in this way (5.2.6.2).
    if ((flags & ~(type === T_DISCARD ? 0 : UNMAP)) !== 0) return this.#finish(request, S_UNSUPP);
    if (count === 0 || count > MAX_RANGE_SECTORS || sector + count > this.#backend.sectors) {
      return this.#finish(request, S_IOERR);
    }
    if (discard !== undefined) return this.#run(request, count * SECTOR_SIZE, discard(sector, count));
    const zero = (flags & UNMAP) !== 0 ? this.#backend.zero?.bind(this.#backend) : undefined;
    this.#run(request, count * SECTOR_SIZE, zero?.(sector, count) ?? this.#zero(sector, count));
  }

  async #zero(sector: number, count: number): Promise<void> {
    const step = MAX_SEGMENT / SECTOR_SIZE;
    const zeroes = new Uint8Array(Math.min(count, step) * SECTOR_SIZE);
    for (let done = 0; done < count; done += step) {
      await this.#backend.write(sector + done, zeroes.subarray(0, Math.min(step, count - done) * SECTOR_SIZE));
    }
  }

  #valid(sector: number, length: number): boolean {
    if (length > MAX_DATA || length % SECTOR_SIZE !== 0) return false;
    // Up to 2^64, but what is within the size is exact.
    return sector + length / SECTOR_SIZE <= this.#backend.sectors;
  }

  #run(request: Request, bytes: number, work: Promise<void>, data?: Uint8Array): void {
    this.#underWay++;
    this.#share.bytes += bytes;
    // A backend may have done all of it just now.
    this.budget.credit -= bytes / 1024;
    const done = (status: number, failure?: unknown): void => {
      this.#underWay--;
      this.#share.bytes -= bytes;
      try {
        if (status === S_IOERR) this.#tellOf(failure);
        if (this.enter()) {
          if (request.generation === this.generation) this.#finish(request, status, status === S_OK ? data : undefined);
          this.leave();
          if (this.#waiting) this.again(1);
          this.#waiting = false;
        }
      } catch (error) {
        this.crashed(error);
      }
      if (this.#underWay === 0) for (const resolve of this.#idle.splice(0)) resolve();
    };
    work.then(
      () => done(S_OK),
      (error: unknown) => done(S_IOERR, error),
    );
  }

  /** Once for each kind: a guest may try again without end. */
  #tellOf(failure: unknown): void {
    const code = failure instanceof BlockError ? failure.code : 'host';
    if (this.#told.has(code)) return;
    this.#told.add(code);
    const why = failure instanceof Error ? failure.message : String(failure);
    this.tell(`an I/O error for the guest: ${why}`);
  }

  /** Inside a turn: hands data and status to the driver. */
  #finish(request: Request, status: number, data?: Uint8Array): void {
    const { chain } = request;
    this.#status[0] = status;
    const length = data?.length ?? 0;
    const ok =
      (data === undefined || chain.write(0, length, data) === length) &&
      // The status is the very last byte, however much data there was (5.2.6).
      chain.write(chain.writable - 1, 1, this.#status) === 1;
    if (ok) this.queues[0].push(chain.head, length + 1);
    else this.fail('queue 0: a buffer that is not in memory');
    this.#free.push(request);
  }
}

function configOf(backend: BlockBackend): Uint8Array {
  const config = new Uint8Array(60);
  const view = new DataView(config.buffer);
  view.setUint32(0, backend.sectors >>> 0, true);
  view.setUint32(4, Math.floor(backend.sectors / 0x1_0000_0000), true);
  view.setUint32(8, MAX_SEGMENT, true);
  view.setUint32(12, MAX_SEGMENTS, true);
  view.setUint32(20, SECTOR_SIZE, true);
  view.setUint32(36, MAX_RANGE_SECTORS, true);
  view.setUint32(40, 1, true);
  view.setUint32(44, 1, true);
  view.setUint32(48, MAX_RANGE_SECTORS, true);
  view.setUint32(52, 1, true);
  view.setUint8(56, backend.zero === undefined ? 0 : 1);
  return config;
}
