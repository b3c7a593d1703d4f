/**
 * A disk behind a device that the monitor drives, on a hart's thread: the driver and the device do a request at once, one
 * after the other, and its data goes between the file and the guest's memory without a copy.
 *
 *   the guest's queue ──▶ the monitor's emulation ──▶ this driver ──▶ the device's queue ──▶ the device ──▶ the file
 *   (block-requests.ts on the monitor's page)                        (block-requests.ts on the device's page)
 *
 * The queue is the one that the driver on the main thread uses (src/interposition/driver). It is one thread's at a time:
 * a hart comes here while it has its turn at the monitor's page and nothing of the main thread is under way there
 * (UNDER_WAY), and then the main thread begins nothing. What a hart publishes it has answered, or has taken back, when it
 * leaves: nothing of it is ever found by anybody else.
 */
import type { DmaSpace } from '../dma.js';
import { BlockError, type DrivenDevice } from './block-backend.js';
import { BlockRequests, type SyncDisk } from './block-requests.js';
import { HEADER_SIZE, QUEUE_SIZE, S_OK, S_UNANSWERED, T_IN, T_OUT, writeHeader } from './block-request.js';
import { headAt, INDEX, writeDescriptor } from './ring-format.js';
import * as s from './state.js';

export interface DrivenDiskHost extends DrivenDevice {
  readonly buffer: SharedArrayBuffer;
  /** Wakes the main thread. */
  doorbell(): void;
}

export class DrivenDisk implements SyncDisk {
  readonly sectors: number;
  readonly readOnly: boolean;
  readonly #host: DrivenDiskHost;
  readonly #device: BlockRequests;
  readonly #view: DataView;
  readonly #halves: Uint16Array;
  /** What is to be published. */
  #type = 0;
  #sector = 0;
  #data: readonly Uint8Array[] = [];
  readonly #publish = (): void => this.#put();

  /** @param medium what is behind the device */
  constructor(host: DrivenDiskHost, medium: SyncDisk) {
    const { buffer, page, doorbell } = host;
    this.#host = host;
    this.sectors = medium.sectors;
    this.readOnly = medium.readOnly;
    this.#view = new DataView(buffer);
    this.#halves = new Uint16Array(buffer);
    this.#device = new BlockRequests({
      buffer,
      stateOffset: page,
      dma: machineSpace(buffer),
      line: { set: () => undefined },
      doorbell,
      disk: () => medium,
    });
  }

  read(sector: number, into: readonly Uint8Array[]): boolean {
    return this.#ask(T_IN, sector, into);
  }

  write(sector: number, from: readonly Uint8Array[]): boolean {
    return this.#ask(T_OUT, sector, from);
  }

  #ask(type: number, sector: number, data: readonly Uint8Array[]): boolean {
    if (data.length + 2 > QUEUE_SIZE) return false;
    this.#type = type;
    this.#sector = sector;
    this.#data = data;
    if (!this.#device.do(this.#publish)) return false;
    const status = this.#view.getUint8(this.#host.scratch + HEADER_SIZE);
    if (status === S_OK) return true;
    if (status !== S_UNANSWERED) throw new BlockError('host', `the disk answers status ${status}`);
    this.#takeBack();
    return false;
  }

  /** Puts the request into the device's queue: header, data and status, from descriptor 0 on. */
  #put(): void {
    const { scratch } = this.#host;
    const view = this.#view;
    writeHeader(view, scratch, this.#type, this.#sector);
    view.setUint8(scratch + HEADER_SIZE, S_UNANSWERED);
    const table = this.#area(s.QUEUE_DESC);
    const { length } = this.#data;
    writeDescriptor(view, table, 0, scratch, HEADER_SIZE, false, 1);
    for (let i = 0; i < length; i++) {
      const { byteOffset, length: bytes } = this.#data[i];
      writeDescriptor(view, table, i + 1, byteOffset, bytes, this.#type === T_IN, i + 2);
    }
    writeDescriptor(view, table, length + 1, scratch + HEADER_SIZE, 1, true, undefined);
    const available = this.#area(s.QUEUE_DRIVER);
    const next = Atomics.load(this.#halves, (available + INDEX) >>> 1);
    const size = view.getInt32(this.#host.page + s.QUEUE + s.QUEUE_SIZE, true);
    view.setUint16(available + headAt(next, size), 0, true);
    Atomics.store(this.#halves, (available + INDEX) >>> 1, next + 1);
  }

  /** What the device has not looked at was never there. */
  #takeBack(): void {
    const at = (this.#area(s.QUEUE_DRIVER) + INDEX) >>> 1;
    Atomics.store(this.#halves, at, Atomics.load(this.#halves, at) - 1);
  }

  /** Byte offset of one of the queue's three areas, which the monitor's driver has set up in its own memory. */
  #area(which: number): number {
    return this.#view.getUint32(this.#host.page + s.QUEUE + which, true);
  }
}

/** All of the computer's memory, by its byte offsets: for a device that is driven by the monitor. */
function machineSpace(buffer: SharedArrayBuffer): DmaSpace {
  const { byteLength } = buffer;
  return {
    bytes: new Uint8Array(buffer),
    view: new DataView(buffer),
    offsetOf: (address) => (address >= 0 && address < byteLength ? address : -1),
    // Whoever had it read there says so.
    written: () => undefined,
  };
}
