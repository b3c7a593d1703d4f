/**
 * Disks that a hart's thread reads and writes itself. What it needs to know is in a page of its board, written by the main
 * thread; it is no part of a device's state, which may come from a stranger:
 *
 *   slot 0 … 31    32 bytes each:
 *     +0x00  handle, 0: the main thread does it all
 *     +0x04  sectors, low and high
 *     +0x0c  1: the disk is read-only
 *     +0x10  the page of the device through which the monitor reaches the disk, 0: the disk is the slot's own
 *     +0x14  where the monitor's driver of that device has a request's header and status
 *
 * A hart looks at it with the lock of the device's page held, before it becomes BUSY; the main thread takes a handle away
 * under the same lock. So a handle that was withdrawn is used no more once BUSY is not a hart's (hart-turn.ts).
 */
import { lock, StateError, unlock } from '../state-page.js';
import { BlockError, SECTOR_SIZE, type Loan } from './block-backend.js';
import type { DiskShape } from './block-request.js';
import type { SyncDisk } from './block-requests.js';
import { DrivenDisk } from './driven-disk.js';
import * as s from './state.js';

const HANDLE = 0;
const SECTORS = 1;
const READ_ONLY = 3;
const VIA_PAGE = 4;
const VIA_SCRATCH = 5;
const ENTRY_WORDS = 8;
/** The main thread waits so long for a hart (ms). */
const PATIENCE = 2000;

/** A file that a thread reads and writes at once. Both answer how many bytes they moved, and may throw. */
export interface LocalFile {
  /** `position` in bytes. 0: the file ends there. */
  read(into: readonly Uint8Array[], position: number): number;
  write(from: readonly Uint8Array[], position: number): number;
}

/** The main thread's side, for one slot. */
export class LocalDiskSlot {
  readonly #words: Int32Array;
  readonly #entry: number;
  readonly #device: number;

  /** `page`: byte offset of the page drawn above; `stateOffset`: of the device's state page. */
  constructor(buffer: SharedArrayBuffer, page: number, slot: number, stateOffset: number) {
    this.#words = new Int32Array(buffer);
    this.#entry = (page >>> 2) + slot * ENTRY_WORDS;
    this.#device = stateOffset >>> 2;
  }

  /** From now on harts may use the handle. */
  offer({ handle, via }: Loan, { sectors, readOnly }: DiskShape): void {
    const put = (at: number, value: number): number => Atomics.store(this.#words, this.#entry + at, value);
    put(SECTORS, sectors | 0);
    put(SECTORS + 1, Math.floor(sectors / 2 ** 32));
    put(READ_ONLY, readOnly ? 1 : 0);
    put(VIA_PAGE, via?.page ?? 0);
    put(VIA_SCRATCH, via?.scratch ?? 0);
    put(HANDLE, handle);
  }

  /** No hart begins anything with it any more; one may be in the middle, see `idle`. */
  withdraw(): void {
    lock(this.#words, this.#device + (s.LOCK >>> 2));
    Atomics.store(this.#words, this.#entry + HANDLE, 0);
    unlock(this.#words, this.#device + (s.LOCK >>> 2));
  }

  /** Withdraws it, and waits for a hart that is in the middle: some milliseconds. Throws StateError `lock` if that does not end. */
  settle(): void {
    this.withdraw();
    const begin = performance.now();
    while (!this.idle()) {
      if (performance.now() - begin < PATIENCE) continue;
      throw new StateError('lock', 'a hart is at work on a disk and does not end');
    }
  }

  /** Whether no hart is in the middle of something. */
  idle(): boolean {
    return (Atomics.load(this.#words, this.#device + (s.BUSY >>> 2)) & ~s.BUSY_MAIN) === 0;
  }
}

/** What a hart's thread has for the disks of its board. */
export interface LocalDisksHost {
  readonly buffer: SharedArrayBuffer;
  /** Byte offset of the page drawn above. */
  readonly page: number;
  /** The platform's way to a file. */
  readonly open: (handle: number) => LocalFile | undefined;
  /** Wakes the main thread, which then looks at its devices. */
  doorbell(): void;
}

/** A hart thread's side. */
export class LocalDisks {
  readonly #host: LocalDisksHost;
  readonly #words: Int32Array;
  readonly #page: number;
  readonly #disks: (Known | undefined)[] = [];

  constructor(host: LocalDisksHost) {
    this.#host = host;
    this.#words = new Int32Array(host.buffer);
    this.#page = host.page >>> 2;
  }

  /**
   * The disk in a slot, as it is now, for who serves the queue of the device whose state page lies at `page`; undefined:
   * it is the main thread's alone.
   */
  at(slot: number, page: number): SyncDisk | undefined {
    const word = (at: number): number => Atomics.load(this.#words, this.#page + slot * ENTRY_WORDS + at);
    const handle = word(HANDLE);
    if (handle === 0) return undefined;
    const sectors = (word(SECTORS) >>> 0) + word(SECTORS + 1) * 2 ** 32;
    const readOnly = word(READ_ONLY) !== 0;
    const via = word(VIA_PAGE) >>> 0;
    const scratch = word(VIA_SCRATCH) >>> 0;
    // The monitor's driver has requests of the main thread under way: its queue is not a hart's then.
    if (via !== 0 && Atomics.load(this.#words, (page + s.UNDER_WAY) >>> 2) !== 0) return undefined;
    const now = { handle, sectors, readOnly, via, scratch };
    const known = this.#disks[slot];
    if (known !== undefined && same(known, now)) return known.disk;
    const file = this.#host.open(handle);
    if (file === undefined) return undefined;
    const medium = new LocalDisk(file, sectors, readOnly);
    const { buffer, doorbell } = this.#host;
    const disk = via === 0 ? medium : new DrivenDisk({ buffer, page: via, scratch, doorbell }, medium);
    this.#disks[slot] = { ...now, disk };
    return disk;
  }
}

interface Known {
  readonly handle: number;
  readonly sectors: number;
  readonly readOnly: boolean;
  readonly via: number;
  readonly scratch: number;
  readonly disk: SyncDisk;
}

const same = (a: Omit<Known, 'disk'>, b: Omit<Known, 'disk'>): boolean =>
  a.handle === b.handle &&
  a.sectors === b.sectors &&
  a.readOnly === b.readOnly &&
  a.via === b.via &&
  a.scratch === b.scratch;

class LocalDisk implements SyncDisk {
  constructor(
    private readonly file: LocalFile,
    readonly sectors: number,
    readonly readOnly: boolean,
  ) {}

  read(sector: number, into: readonly Uint8Array[]): void {
    let rest = into;
    for (let at = sector * SECTOR_SIZE; rest.length > 0;) {
      const n = this.file.read(rest, at);
      if (n === 0) throw new BlockError('range', `the image ends before byte ${at}`);
      rest = after(rest, n);
      at += n;
    }
  }

  write(sector: number, from: readonly Uint8Array[]): void {
    let rest = from;
    for (let at = sector * SECTOR_SIZE; rest.length > 0;) {
      const n = this.file.write(rest, at);
      rest = after(rest, n);
      at += n;
    }
  }
}

/** What is left of buffers after their first `done` bytes. */
function after(buffers: readonly Uint8Array[], done: number): readonly Uint8Array[] {
  let skip = done;
  for (let i = 0; i < buffers.length; i++) {
    const { length } = buffers[i];
    if (skip < length) return [buffers[i].subarray(skip), ...buffers.slice(i + 1)];
    skip -= length;
  }
  return [];
}
