/** A driver as a guest has one: it knows the device only by its registers and queues. */
import { PCI_MEMORY_BASE } from '../../pci/host.js';
import { MEMORY_BASE, type TestMachine } from './machine.js';

const VERSION_1 = 2 ** 32;
const DESC_F_NEXT = 1;
const DESC_F_WRITE = 2;
const DESC_F_INDIRECT = 4;

export class TestDriver {
  readonly common: number;
  readonly notify: number;
  readonly isrAt: number;
  readonly config: number;
  readonly multiplier: number;
  /** Next free guest address. */
  #free: number;

  /** Finds the function in `slot`, gives its BAR an address and walks its capabilities. */
  constructor(
    readonly machine: TestMachine,
    readonly slot: number,
    memory = MEMORY_BASE + 0x1000,
  ) {
    this.#free = memory;
    const bar = PCI_MEMORY_BASE + 0x10_0000 + slot * 0x1_0000;
    this.configWrite(0x10, 4, 0xffff_ffff);
    const size = -(this.configRead(0x10, 4) & ~0xf) >>> 0;
    if (size < 16 || (size & (size - 1)) !== 0) throw new Error(`BAR 0 has a size of ${size}`);
    this.configWrite(0x10, 4, bar);
    this.configWrite(0x04, 2, 6);
    const at = new Map<number, number>();
    let cap = this.configRead(0x34, 1);
    for (let n = 0; cap !== 0 && n < 48; n++) {
      if (this.configRead(cap, 1) === 9) at.set(this.configRead(cap + 3, 1), cap);
      cap = this.configRead(cap + 1, 1);
    }
    const where = (type: number): number => bar + this.configRead((at.get(type) ?? 0) + 8, 4);
    this.common = where(1);
    this.notify = where(2);
    this.isrAt = where(3);
    this.config = where(4);
    this.multiplier = this.configRead((at.get(2) ?? 0) + 16, 4);
  }

  configRead(offset: number, size: number): number {
    return this.machine.pci.ecam.read((this.slot << 15) | offset, size);
  }
  configWrite(offset: number, size: number, value: number): void {
    this.machine.pci.ecam.write((this.slot << 15) | offset, size, value);
  }
  read(address: number, size: number): number {
    return this.machine.pci.memory.read(address - PCI_MEMORY_BASE, size);
  }
  write(address: number, size: number, value: number): void {
    this.machine.pci.memory.write(address - PCI_MEMORY_BASE, size, value);
  }

  get deviceId(): number {
    return this.configRead(2, 2);
  }
  get status(): number {
    return this.read(this.common + 0x14, 1);
  }
  set status(value: number) {
    this.write(this.common + 0x14, 1, value);
  }
  /** Reads and clears the ISR status. */
  get isr(): number {
    return this.read(this.isrAt, 1);
  }
  get features(): number {
    this.write(this.common, 4, 0);
    const low = this.read(this.common + 4, 4);
    this.write(this.common, 4, 1);
    return low + this.read(this.common + 4, 4) * 2 ** 32;
  }

  /** Resets, negotiates `wanted` (bits 0 … 31) and what every driver must take. The status FEATURES_OK was accepted with. */
  negotiate(wanted: number): number {
    this.status = 0;
    this.status = 1;
    this.status = 3;
    const features = ((wanted & (this.features | 0)) >>> 0) + VERSION_1;
    this.write(this.common + 8, 4, 0);
    this.write(this.common + 0xc, 4, features % 2 ** 32);
    this.write(this.common + 8, 4, 1);
    this.write(this.common + 0xc, 4, Math.floor(features / 2 ** 32));
    this.status = 0xb;
    return this.status;
  }

  start(): void {
    this.status = 0xf;
  }

  allocate(size: number, alignment = 16): number {
    const at = Math.ceil(this.#free / alignment) * alignment;
    this.#free = at + size;
    if (this.#free > this.machine.memoryEnd) throw new Error('the test driver ran out of memory');
    return at;
  }

  /** Sets up queue `index` with the features negotiated. */
  queue(index: number, options: { eventIdx?: boolean; size?: number } = {}): DriverQueue {
    this.write(this.common + 0x16, 2, index);
    const size = options.size ?? this.read(this.common + 0x18, 2);
    this.write(this.common + 0x18, 2, size);
    const desc = this.allocate(16 * size);
    // Rings that begin just before a page's end: they straddle it, and so does a used element.
    this.#free = Math.ceil(this.#free / 4096) * 4096 + 4096 - 6;
    const avail = this.allocate(6 + 2 * size, 2);
    this.#free = Math.ceil(this.#free / 4096) * 4096 + 4096 - 8;
    const used = this.allocate(6 + 8 * size, 4);
    this.machine.poke(desc, new Uint8Array(this.#free - desc));
    [desc, avail, used].forEach((area, i) => {
      this.write(this.common + 0x20 + 8 * i, 4, area);
      this.write(this.common + 0x24 + 8 * i, 4, 0);
    });
    this.write(this.common + 0x1c, 2, 1);
    const notify = this.notify + this.multiplier * this.read(this.common + 0x1e, 2);
    return new DriverQueue(this, index, size, desc, avail, used, notify, options.eventIdx === true);
  }
}

export interface Buffer {
  address: number;
  length: number;
  write: boolean;
}

export class DriverQueue {
  #next = 0;
  #lastUsed = 0;
  #freeDescriptors: number[];
  readonly #chains = new Map<number, number[]>();

  constructor(
    readonly driver: TestDriver,
    readonly index: number,
    readonly size: number,
    readonly desc: number,
    readonly avail: number,
    readonly used: number,
    readonly notifyAt: number,
    readonly eventIdx: boolean,
  ) {
    this.#freeDescriptors = Array.from({ length: size }, (_, i) => size - 1 - i);
  }

  describe(table: number, i: number, address: number, length: number, flags: number, next: number): void {
    const m = this.driver.machine;
    m.poke32(table + 16 * i, address);
    m.poke32(table + 16 * i + 4, 0);
    m.poke32(table + 16 * i + 8, length);
    m.poke16(table + 16 * i + 12, flags);
    m.poke16(table + 16 * i + 14, next);
  }

  /** Makes a chain available: `out` is copied into the guest's memory, `room` are buffers for the device to fill. */
  add(out: readonly Uint8Array[], room: readonly number[] = [], indirect = false): Buffer[] {
    const m = this.driver.machine;
    const buffers = [
      ...out.map((bytes) => {
        const address = this.driver.allocate(Math.max(bytes.length, 1), 1);
        m.poke(address, bytes);
        return { address, length: bytes.length, write: false };
      }),
      ...room.map((length) => ({ address: this.driver.allocate(length, 1), length, write: true })),
    ];
    this.addBuffers(buffers, indirect);
    return buffers;
  }

  addBuffers(buffers: readonly Buffer[], indirect = false): number {
    const taken = (indirect ? [0] : buffers).map(() => {
      const i = this.#freeDescriptors.pop();
      if (i === undefined) throw new Error('no free descriptor');
      return i;
    });
    const head = taken[0];
    let table = this.desc;
    let at = taken;
    if (indirect) {
      table = this.driver.allocate(16 * buffers.length, 8);
      this.describe(this.desc, head, table, 16 * buffers.length, DESC_F_INDIRECT, 0);
      at = buffers.map((_, i) => i);
    }
    buffers.forEach((b, i) => {
      const last = i === buffers.length - 1;
      const flags = (b.write ? DESC_F_WRITE : 0) | (last ? 0 : DESC_F_NEXT);
      this.describe(table, at[i], b.address, b.length, flags, last ? 0 : at[i + 1]);
    });
    this.#chains.set(head, taken);
    this.publish(head);
    return head;
  }

  /** Puts `head` into the available ring, whatever it is. */
  publish(head: number): void {
    const m = this.driver.machine;
    m.poke16(this.avail + 4 + 2 * (this.#next % this.size), head);
    this.#next = (this.#next + 1) & 0xffff;
    m.poke16(this.avail + 2, this.#next);
  }

  kick(): void {
    this.driver.write(this.notifyAt, 2, this.index);
  }

  /** Whether the device wants a kick for the chain made available last (EVENT_IDX). */
  get kickWanted(): boolean {
    const event = this.driver.machine.peek16(this.used + 4 + 8 * this.size);
    return ((this.#next - event - 1) & 0xffff) < 1;
  }

  /** With EVENT_IDX: asks for an interrupt at the used element after `ahead` more. */
  interruptAfter(ahead: number): void {
    this.driver.machine.poke16(this.avail + 4 + 2 * this.size, (this.#lastUsed + ahead) & 0xffff);
  }

  /** Takes what the device has finished. */
  harvest(): { head: number; length: number }[] {
    const m = this.driver.machine;
    const done = [];
    while (this.#lastUsed !== m.peek16(this.used + 2)) {
      const at = this.used + 4 + 8 * (this.#lastUsed % this.size);
      const head = m.peek32(at);
      this.#freeDescriptors.push(...(this.#chains.get(head) ?? []));
      this.#chains.delete(head);
      done.push({ head, length: m.peek32(at + 4) });
      this.#lastUsed = (this.#lastUsed + 1) & 0xffff;
    }
    return done;
  }
}
