/** A disk of the computer and a guest that uses it by registers and queues only, a request at a time or several. */
import assert from 'node:assert/strict';
import type { BlockBackend } from '../../computer/virtio/block-backend.js';
import { VirtioBlock } from '../../computer/virtio/block.js';
import { interruptOf } from '../../computer/pci/host.js';
import type { Buffer, DriverQueue, TestDriver } from '../../computer/virtio/testing/driver.js';
import { DiskDevice } from '../kinds/disk.js';
import { InterpositionBench, SLOT } from './bench.js';

export const SECTOR = 512;
/** Requests at a time, and the sectors that each has room for. */
const SLOTS = 24;
const ROOM = 16;
/** How long a request may take (ms). */
const PATIENCE = 20_000;

export const READ = 0;
export const WRITE = 1;
export const FLUSH = 4;
export const DISCARD = 11;
export const ZERO = 13;

interface Slot {
  readonly header: number;
  readonly data: number;
  readonly status: number;
}

/** How a request ended: the status byte, and what was read. */
export interface Answer {
  readonly status: number;
  readonly data: Uint8Array;
}

export class DiskGuest {
  readonly bench = new InterpositionBench();
  readonly device: DiskDevice;
  readonly driver: TestDriver;
  readonly #queue: DriverQueue;
  readonly #slots: Slot[] = [];
  readonly #waiting = new Set<() => boolean>();
  #pumps = false;

  constructor(
    readonly disk: BlockBackend,
    release?: () => Promise<void>,
  ) {
    const { bench } = this;
    this.device = new DiskDevice('disk0', bench.ground, (host) => new VirtioBlock(host, disk), release);
    this.device.give(bench.board, SLOT, 'guest');
    this.driver = bench.driver();
    this.driver.negotiate(-1);
    this.#queue = this.driver.queue(0);
    const { plic } = bench.board;
    plic.write(4 * interruptOf(SLOT), 4, 1);
    plic.write(0x2000 + 4 * (interruptOf(SLOT) >> 5), 4, 1 << (interruptOf(SLOT) & 31));
    this.driver.start();
    for (let i = 0; i < SLOTS; i++) {
      const header = this.driver.allocate(32);
      this.#slots.push({ header, data: this.driver.allocate(ROOM * SECTOR), status: this.driver.allocate(1) });
    }
  }

  read(sector: number, sectors = 1): Promise<Answer> {
    return this.ask(READ, sector, new Uint8Array(sectors * SECTOR));
  }
  write(sector: number, data: Uint8Array): Promise<Answer> {
    return this.ask(WRITE, sector, data);
  }
  flush(): Promise<Answer> {
    return this.ask(FLUSH, 0, new Uint8Array(0));
  }
  /** Discard, or write zeroes. */
  range(type: typeof DISCARD | typeof ZERO, sector: number, sectors: number): Promise<Answer> {
    const range = new Uint8Array(16);
    new DataView(range.buffer).setUint32(0, sector, true);
    new DataView(range.buffer).setUint32(8, sectors, true);
    // Zeroes need not take space.
    if (type === ZERO) range[12] = 1;
    return this.ask(type, 0, range);
  }

  /** Makes a request and waits until it is answered; fails if it is answered twice, or never. */
  async ask(type: number, sector: number, data: Uint8Array): Promise<Answer> {
    const slot = this.#slots.pop();
    if (slot === undefined) throw new Error(`the guest has ${SLOTS} requests under way already`);
    const { machine } = this.bench;
    const header = new Uint8Array(16);
    new DataView(header.buffer).setUint32(0, type, true);
    new DataView(header.buffer).setUint32(8, sector, true);
    machine.poke(slot.header, header);
    machine.poke(slot.status, Uint8Array.of(0xee));
    const buffers: Buffer[] = [{ address: slot.header, length: 16, write: false }];
    if (type !== READ) machine.poke(slot.data, data);
    if (data.length > 0) buffers.push({ address: slot.data, length: data.length, write: type === READ });
    buffers.push({ address: slot.status, length: 1, write: true });
    this.#queue.addBuffers(buffers);
    this.#queue.kick();
    const begin = performance.now();
    await new Promise<void>((resolve, reject) => {
      this.#waiting.add(() => {
        if ((machine.peek(slot.status, 1)[0] ?? 0) === 0xee) {
          if (performance.now() - begin < PATIENCE) return false;
          reject(new Error(`request type ${type} of sector ${sector} is never answered`));
        } else resolve();
        return true;
      });
      this.#pump();
    });
    const answer = { status: machine.peek(slot.status, 1)[0] ?? -1, data: machine.peek(slot.data, data.length) };
    this.#slots.push(slot);
    return answer;
  }

  check(): void {
    assert.deepEqual(this.bench.failures, []);
    assert.equal(this.device.counters.monitorEntriesWhenDirect, 0);
  }

  /** Takes interrupts as long as something is waited for. */
  #pump(): void {
    if (this.#pumps) return;
    this.#pumps = true;
    const turn = (): void => {
      this.bench.interrupt(this.driver);
      this.#queue.harvest();
      for (const isOver of this.#waiting) if (isOver()) this.#waiting.delete(isOver);
      if (this.#waiting.size > 0) return void setImmediate(turn);
      this.#pumps = false;
      // The last interrupt is taken too.
      setImmediate(() => this.bench.interrupt(this.driver));
    };
    setImmediate(turn);
  }
}

/** So many sectors of one value. */
export const filled = (value: number, sectors = 1): Uint8Array => new Uint8Array(sectors * SECTOR).fill(value);
