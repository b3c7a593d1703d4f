/**
 * The block device (virtio 1.2, section 5.2), the main thread's side. Its data passes
 * through a buffer of the host: the backend may take its time, and a request whose
 * device was reset meanwhile must not reach the guest's memory, which may long be
 * something else. Harts do what can be done at once (block-requests.ts).
 */
import { BlockError, SECTOR_SIZE, type BlockBackend, type Loan } from './block-backend.js';
import * as r from './block-request.js';
import { BlockRequest } from './block-request.js';
import { VirtioDevice, type DeviceHost } from './device.js';
import type { LocalDiskSlot } from './local-disk.js';
import * as s from './state.js';

const BLOCK_ID = 2;
const CLASS_STORAGE = 0x01_8000;

/** Data of requests under way in all disks of an instance: with as much, each has one request at a time. */
const MAX_UNDER_WAY = 32 * 1024 * 1024;
const MAX_REQUESTS = 128;
/** Bytes of zeroes written at a time. */
const ZEROES = 64 * 1024;
const MAX_RANGE_SECTORS = 2 ** 16;

/** Among the codes of failures: a request's buffer was not the guest's memory. */
const UNREACHABLE = 'unreachable';

/** A request that the backend has done while a hart had its turn. */
type Finished = (inTurn: boolean) => void;

/** A virtio block device (virtio 1.2, 5.2) over a backend. */
export class VirtioBlock extends VirtioDevice {
  #backend: BlockBackend;
  readonly #free: BlockRequest[] = [];
  readonly #range = new Uint8Array(r.RANGE_SIZE);
  readonly #view = new DataView(this.#range.buffer);
  #underWay = 0;
  readonly #host: DeviceHost;
  /** The queue was left with requests in it. */
  #waiting = false;
  readonly #finished: Finished[] = [];
  #idle: (() => void)[] = [];
  #local: LocalDiskSlot | undefined;
  #loan: Loan | undefined;
  #lends = true;
  /** Codes of failures that have been told of. */
  readonly #told = new Set<string>();

  constructor(host: DeviceHost, backend: BlockBackend) {
    const features =
      r.F_SIZE_MAX |
      r.F_SEG_MAX |
      r.F_BLK_SIZE |
      r.F_FLUSH |
      (backend.readOnly ? r.F_RO : r.F_WRITE_ZEROES | (backend.discard === undefined ? 0 : r.F_DISCARD));
    const queues = [r.QUEUE_SIZE];
    super(host, { id: BLOCK_ID, classCode: CLASS_STORAGE, features, queues, config: configOf(backend) });
    this.#backend = backend;
    this.#host = host;
    this.#lend();
  }

  /** As the disk shows it. */
  get serial(): string {
    return this.#backend.id;
  }

  /** Where its contents are. */
  get backend(): BlockBackend {
    return this.#backend;
  }

  /**
   * Its contents are elsewhere from now on; what the driver was told of the disk must hold there too. Throws BlockError
   * `in-use` while a request is under way.
   */
  moveTo(backend: BlockBackend): void {
    if (this.#underWay > 0 || !this.#recall()) throw new BlockError('in-use', 'a request of the disk is under way');
    this.#backend = backend;
    this.#told.clear();
  }

  /** Whether harts may reach the disk themselves. False: one is in the middle, and it is to be asked again. */
  lendToHarts(may: boolean): boolean {
    this.#lends = may;
    if (may) this.#lend();
    return may || this.#recall();
  }

  override holdKicks(): void {
    super.holdKicks();
    this.#recall();
  }

  override goOn(): void {
    this.#lend();
    super.goOn();
  }

  /** Lets harts reach the disk themselves, where they are this device's to serve and the backend can be reached so. */
  #lend(): void {
    if (!this.#lends) return;
    this.#local = this.#host.local?.(this.#host.stateOffset);
    // A loan that could not be given back, because a hart was at it, stands.
    this.#loan ??= this.#local && this.#backend.lend?.(() => this.#recall());
    if (this.#loan !== undefined) this.#local?.offer(this.#loan, this.#backend);
  }

  /** Requests the backend is working on. */
  get underWay(): number {
    return this.#underWay;
  }

  override get requestsUnderWay(): number {
    return this.#underWay;
  }

  /** Resolves when no request is under way. The device's state is whole then. */
  quiet(): Promise<void> {
    if (this.#underWay === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  override detach(): void {
    // While a hart is at it the loan stays; whoever closes the file asks again, and so does the next `detach`.
    this.#recall();
    super.detach();
    this.#drop();
  }

  override poll(): void {
    super.poll();
    if (!this.heldOff) this.#drop();
  }

  /** No hart reaches the disk any more. False: one still does. */
  #recall(): boolean {
    const loan = this.#loan;
    if (loan === undefined) return true;
    this.#local?.withdraw();
    if (this.#local?.idle() === false) return false;
    this.#loan = undefined;
    loan.giveBack();
    return true;
  }

  protected override onReset(): void {
    this.#drop();
  }

  /** What was finished while a hart had its turn is no longer asked for. */
  #drop(): void {
    for (const finish of this.#finished.splice(0)) finish(false);
  }

  protected override process(): void {
    for (const finish of this.#finished.splice(0)) finish(true);
    const queue = this.queues[0];
    for (let n = 0; n < MAX_REQUESTS; n++) {
      // An honest driver has no more requests than descriptors; another may name one descriptor again and again.
      const full = this.#host.underWay.bytes >= MAX_UNDER_WAY && this.#underWay > 0;
      // What was asked for before a reset may still be written: nothing may overtake it.
      const stale = this.#underWay > 0 && this.load(s.UNDER_WAY_GENERATION) !== this.generation;
      if (full || stale || this.#underWay >= MAX_REQUESTS) {
        this.#waiting = true;
        return;
      }
      const request = this.#free.pop() ?? new BlockRequest(this.memory);
      if (!queue.pop(request.chain)) {
        this.#free.push(request);
        return;
      }
      request.generation = this.generation;
      this.#begin(request);
    }
    this.again(1);
  }

  #begin(request: BlockRequest): void {
    if (!request.isWhole) {
      this.fail('queue 0: a request without header or status');
      return;
    }
    if (!request.parse()) return this.#unreachable(request);
    const { chain, type } = request;
    switch (type) {
      case r.T_IN:
        return this.#read(request);
      case r.T_OUT:
        return this.#write(request);
      case r.T_FLUSH:
        return this.#run(request, 0, this.#backend.flush());
      case r.T_GET_ID: {
        const id = new Uint8Array(r.ID_SIZE);
        id.set(new TextEncoder().encode(this.#backend.id).subarray(0, r.ID_SIZE));
        return this.#finish(request, r.S_OK, id.subarray(0, Math.min(r.ID_SIZE, chain.writable - 1)));
      }
      case r.T_DISCARD:
      case r.T_WRITE_ZEROES:
        return this.#ranges(request, type);
      default:
        return this.#finish(request, r.S_UNSUPP);
    }
  }

  #read(request: BlockRequest): void {
    if (!request.fits(this.#backend)) return this.#finish(request, r.S_IOERR);
    const data = new Uint8Array(request.length);
    this.#run(request, data.length, this.#backend.read(request.sector, data), data);
  }

  #write(request: BlockRequest): void {
    if (!request.fits(this.#backend)) return this.#finish(request, r.S_IOERR);
    const { length } = request;
    const data = new Uint8Array(length);
    if (request.chain.read(r.HEADER_SIZE, length, data) < length) return this.#unreachable(request);
    this.#run(request, length, this.#backend.write(request.sector, data));
  }

  /** Discard and write zeroes carry ranges of { sector 8, count 4, flags 4 }; we offer one per request. */
  #ranges(request: BlockRequest, type: number): void {
    const { chain } = request;
    const discard = type === r.T_DISCARD ? this.#backend.discard?.bind(this.#backend) : undefined;
    if (this.#backend.readOnly || (type === r.T_DISCARD && discard === undefined))
      return this.#finish(request, r.S_UNSUPP);
    if (chain.readable !== r.HEADER_SIZE + r.RANGE_SIZE) return this.#finish(request, r.S_UNSUPP);
    if (chain.read(r.HEADER_SIZE, r.RANGE_SIZE, this.#range) < r.RANGE_SIZE) return this.#unreachable(request);
    const sector = r.sectorAt(this.#view, 0);
    const count = this.#view.getUint32(8, true);
    const flags = this.#view.getUint32(12, true);
    // Flags that are reserved, and `unmap` with discard, are to be refused in this way (5.2.6.2).
    if ((flags & ~(type === r.T_DISCARD ? 0 : r.UNMAP)) !== 0) return this.#finish(request, r.S_UNSUPP);
    if (count === 0 || count > MAX_RANGE_SECTORS || sector + count > this.#backend.sectors) {
      return this.#finish(request, r.S_IOERR);
    }
    if (discard !== undefined) return this.#run(request, count * SECTOR_SIZE, discard(sector, count));
    const zero = (flags & r.UNMAP) !== 0 ? this.#backend.zero?.bind(this.#backend) : undefined;
    this.#run(request, count * SECTOR_SIZE, zero?.(sector, count) ?? this.#zero(sector, count));
  }

  async #zero(sector: number, count: number): Promise<void> {
    const step = ZEROES / SECTOR_SIZE;
    const zeroes = new Uint8Array(Math.min(count, step) * SECTOR_SIZE);
    for (let done = 0; done < count; done += step) {
      await this.#backend.write(sector + done, zeroes.subarray(0, Math.min(step, count - done) * SECTOR_SIZE));
    }
  }

  #run(request: BlockRequest, bytes: number, work: Promise<void>, data?: Uint8Array): void {
    if (this.#underWay === 0) this.store(s.UNDER_WAY_GENERATION, request.generation);
    this.#count(1, bytes);
    // A backend may have done all of it just now.
    this.budget.credit -= bytes / 1024;
    const done = (status: number, failure?: unknown): void => {
      const finish = (inTurn: boolean): void => {
        this.#count(-1, bytes);
        if (inTurn && request.generation === this.generation) {
          this.#finish(request, status, status === r.S_OK ? data : undefined);
        }
        if (this.#underWay === 0) for (const resolve of this.#idle.splice(0)) resolve();
        if (status === r.S_IOERR) this.#tellOf(failure);
      };
      try {
        if (!this.enter(0, true)) {
          // A hart rings the doorbell when its turn is over.
          if (this.heldOff && !this.detached) this.#finished.push(finish);
          else finish(false);
          return;
        }
        finish(true);
        this.leave();
        if (this.#waiting) this.again(1);
        this.#waiting = false;
      } catch (error) {
        this.crashed(error);
      }
    };
    work.then(
      () => done(r.S_OK),
      (error: unknown) => done(r.S_IOERR, error),
    );
  }

  #count(more: 1 | -1, bytes: number): void {
    this.#underWay += more;
    this.#host.underWay.bytes += more * bytes;
    // Harts see it there; a page that may be somebody else's is left alone.
    if (!this.detached) this.store(s.UNDER_WAY, this.#underWay);
  }

  /** Once for each kind: a guest may try again without end. */
  #tellOf(failure: unknown): void {
    const code = failure instanceof BlockError ? failure.code : 'host';
    if (this.#told.has(code) || (failure instanceof BlockError && failure.told)) return;
    this.#told.add(code);
    const why = failure instanceof Error ? failure.message : String(failure);
    this.tell(`an I/O error for the guest: ${why}`);
  }

  /** Inside a turn: hands data and status to the driver. */
  #finish(request: BlockRequest, status: number, data?: Uint8Array): void {
    const length = data?.length ?? 0;
    if (data !== undefined && request.chain.write(0, length, data) < length) return this.#unreachable(request);
    if (!request.answer(this.queues[0], status, length)) this.fail('queue 0: a status that is not in memory');
    this.#free.push(request);
  }

  /**
   * Inside a turn: some of the request is not in the guest's memory, as it is for a controller behind an IOMMU. That is
   * this request's error and no other's.
   */
  #unreachable(request: BlockRequest): void {
    if (!this.#told.has(UNREACHABLE)) this.tell('an I/O error for the guest: a buffer that is not in its memory');
    this.#told.add(UNREACHABLE);
    this.#finish(request, r.S_IOERR);
  }
}

function configOf(backend: BlockBackend): Uint8Array {
  const config = new Uint8Array(60);
  const view = new DataView(config.buffer);
  view.setUint32(0, backend.sectors >>> 0, true);
  view.setUint32(4, Math.floor(backend.sectors / 0x1_0000_0000), true);
  view.setUint32(8, r.MAX_SEGMENT, true);
  view.setUint32(12, r.MAX_SEGMENTS, true);
  view.setUint32(20, SECTOR_SIZE, true);
  view.setUint32(36, MAX_RANGE_SECTORS, true);
  view.setUint32(40, 1, true);
  view.setUint32(44, 1, true);
  view.setUint32(48, MAX_RANGE_SECTORS, true);
  view.setUint32(52, 1, true);
  view.setUint8(56, backend.zero === undefined ? 0 : 1);
  return config;
}
