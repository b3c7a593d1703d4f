/** A machine to test devices with: guest memory whose pages lie in another order than their addresses, a PLIC and a PCI bus. */
import type { DmaSpace } from '../../dma.js';
import type { Budget } from '../../turns.js';
import { interruptOf, PciHost, PciSlots } from '../../pci/host.js';
import { Plic } from '../../plic/plic.js';
import { LEVEL } from '../../plic/state.js';
import type { DeviceHost } from '../device.js';
import { VirtioRegisters } from '../registers.js';

export const MEMORY_BASE = 0x8000_0000;
const PAGE = 4096;
const PLIC_STATE = 0x1000;
const PCI_STATE = 0x2000;
const HART = 0x3000;
const DEVICES = 0x8000;
const FRAMES = 0x8_0000;

export class TestMachine implements DmaSpace {
  readonly buffer: SharedArrayBuffer;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly plic: Plic;
  readonly slots: PciSlots;
  /** The windows through which drivers reach functions. */
  pci: Pick<PciHost, 'ecam' | 'memory'>;
  /** Rings of the doorbell. */
  rings = 0;
  /** A test polls as often as it likes; what a budget does is asked by giving `credit` a number. */
  readonly budget: Budget = { credit: Infinity, renew: () => false };
  readonly underWay = { bytes: 0 };
  /** Times the harts were told to look again. */
  wakes = 0;
  readonly faults: string[] = [];
  /** Accesses that devices did not make. */
  refused = 0;
  /** Guest pages that have no memory, or may not be written. */
  readonly holes = new Set<number>();
  readonly readOnly = new Set<number>();
  readonly #pages: number;
  readonly #halves: Uint16Array;
  /** [start, length] of each report of a write. */
  readonly reports: [number, number][] = [];

  /** @param buffer the shared memory of another thread's machine */
  constructor(pages = 256, buffer = new SharedArrayBuffer(FRAMES + pages * PAGE)) {
    this.#pages = pages;
    this.buffer = buffer;
    this.bytes = new Uint8Array(this.buffer);
    this.#halves = new Uint16Array(this.buffer);
    this.view = new DataView(this.buffer);
    this.plic = new Plic(this.buffer, PLIC_STATE, [HART]);
    this.slots = new PciSlots(this.buffer, PCI_STATE);
    const doorbell = (): void => {
      this.rings++;
    };
    this.pci = new PciHost(
      this.buffer,
      PCI_STATE,
      0,
      (offset, slot) => new VirtioRegisters(this.buffer, offset, this.plic.line(interruptOf(slot)), doorbell),
    );
  }

  get memoryEnd(): number {
    return MEMORY_BASE + this.#pages * PAGE;
  }

  offsetOf(address: number, write = false): number {
    const page = Math.floor((address - MEMORY_BASE) / PAGE);
    if (!(page >= 0 && page < this.#pages) || this.holes.has(page) || (write && this.readOnly.has(page))) return -1;
    // Neighbours in the guest are no neighbours here.
    return FRAMES + (this.#pages - 1 - page) * PAGE + (address % PAGE);
  }

  written(offset: number, length: number): void {
    if (Math.floor(offset / PAGE) !== Math.floor((offset + length - 1) / PAGE))
      throw new Error('a report beyond a page');
    this.reports.push([offset, length]);
  }

  /** What a device in `slot` is given; puts it onto the bus. */
  host(slot: number): DeviceHost {
    const stateOffset = DEVICES + slot * PAGE;
    this.slots.plug(slot, stateOffset);
    return {
      buffer: this.buffer,
      stateOffset,
      dma: this,
      line: this.plic.line(interruptOf(slot)),
      doorbell: () => {
        this.rings++;
      },
      budget: this.budget,
      underWay: this.underWay,
      wakeHarts: () => {
        this.wakes++;
      },
      refused: () => {
        this.refused++;
      },
      fault: (message) => void this.faults.push(message),
    };
  }

  /** Whether the function in `slot` raises its interrupt. */
  raised(slot: number): boolean {
    const source = interruptOf(slot);
    return (this.view.getInt32(PLIC_STATE + LEVEL + 4 * (source >> 5), true) & (1 << (source & 31))) !== 0;
  }

  /** As the guest stores and loads. */
  poke(address: number, bytes: Uint8Array): void {
    bytes.forEach((byte, i) => (this.bytes[this.offsetOf(address + i)] = byte));
  }
  peek(address: number, length: number): Uint8Array {
    return Uint8Array.from({ length }, (_, i) => this.bytes[this.offsetOf(address + i)]);
  }
  poke16(address: number, value: number): void {
    // A guest's store is one store, and fences lie where they must: another thread may be looking.
    if (address % 2 === 0) Atomics.store(this.#halves, this.offsetOf(address) >> 1, value);
    else this.poke(address, Uint8Array.of(value & 0xff, value >>> 8));
  }
  peek16(address: number): number {
    if (address % 2 === 0) return Atomics.load(this.#halves, this.offsetOf(address) >> 1);
    return this.bytes[this.offsetOf(address)] | (this.bytes[this.offsetOf(address + 1)] << 8);
  }
  poke32(address: number, value: number): void {
    this.poke16(address, value & 0xffff);
    this.poke16(address + 2, value >>> 16);
  }
  peek32(address: number): number {
    return (this.peek16(address) | (this.peek16(address + 2) << 16)) >>> 0;
  }
}
