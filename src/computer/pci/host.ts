/**
 * A PCI host bridge with one bus, as `pci-host-ecam-generic` describes it: a window
 * onto the functions' configuration spaces (ECAM) and a window of memory addresses
 * that the guest hands out to their BARs.
 *
 * The state page says which functions are there; everything else on the bus reads
 * as all ones, as on a computer that lacks it:
 *
 *   0x000  slot 0 … 31    word: byte offset of the function's state page, 0: nothing there
 *
 * A function's own registers are behind `PciFunction`. Hart threads look the slots
 * up at each access, so a function comes and goes by one store.
 */
import type { MmioRegion } from '../dma.js';
import { BAR0, COMMAND, COMMAND_MEMORY, natural } from './config-space.js';

/** As on QEMU's virt machine. One bus takes 1 MiB. */
export const ECAM_BASE = 0x3000_0000;
export const ECAM_SIZE = 0x10_0000;
export const PCI_MEMORY_BASE = 0x4000_0000;
export const PCI_MEMORY_SIZE = 0x4000_0000;
export const PCI_SLOTS = 32;
/** Each slot has an interrupt source of its own, so no handler has to ask around. */
export const PCI_FIRST_INTERRUPT = 32;

/** What a hart's thread needs to know of a function. Holds no state: all of it is in the state page. */
export interface PciFunction {
  /** Size of BAR 0 in bytes, a power of two. */
  readonly barSize: number;
  configRead(offset: number, size: number): number;
  configWrite(offset: number, size: number, value: number): void;
  barRead(offset: number, size: number): number;
  barWrite(offset: number, size: number, value: number): void;
}

/** The main thread's side: which functions are on the bus. */
export class PciSlots {
  readonly #words: Int32Array;
  readonly #page: number;

  constructor(buffer: SharedArrayBuffer, stateOffset: number) {
    this.#words = new Int32Array(buffer);
    this.#page = stateOffset >>> 2;
  }

  /** Puts the function whose state page lies at `functionOffset` into `slot`. The guest finds it at its next bus scan. */
  plug(slot: number, functionOffset: number): void {
    Atomics.store(this.#words, this.#page + checked(slot), functionOffset);
  }

  /** Takes the function out. Its guest should have removed it before. */
  unplug(slot: number): void {
    Atomics.store(this.#words, this.#page + checked(slot), 0);
  }

  /** Offset of the state page of the function in `slot`, 0 if there is none. */
  at(slot: number): number {
    return Atomics.load(this.#words, this.#page + checked(slot)) >>> 0;
  }
}

function checked(slot: number): number {
  if (!(slot >= 0 && slot < PCI_SLOTS)) throw new RangeError(`no PCI slot ${slot}`);
  return slot;
}

/** The interrupt source of a slot's INTA. */
export function interruptOf(slot: number): number {
  return PCI_FIRST_INTERRUPT + checked(slot);
}

/** A hart thread's side: the two windows. */
export class PciHost {
  readonly #words: Int32Array;
  readonly #page: number;
  readonly #attach: (functionOffset: number, slot: number) => PciFunction;
  readonly #functions: (PciFunction | undefined)[] = [];
  readonly #offsets = new Uint32Array(PCI_SLOTS);
  /** The slot that answered last; the next access is most likely for it too. */
  #last = 0;

  /**
   * @param attach makes the registers of the function whose state page lies at an offset
   */
  constructor(
    buffer: SharedArrayBuffer,
    stateOffset: number,
    attach: (functionOffset: number, slot: number) => PciFunction,
  ) {
    this.#words = new Int32Array(buffer);
    this.#page = stateOffset >>> 2;
    this.#attach = attach;
  }

  /** The configuration window: bits 19…15 of the offset are the slot, 14…12 the function, 11…0 the register. */
  get ecam(): MmioRegion {
    return {
      base: ECAM_BASE,
      size: ECAM_SIZE,
      read: (offset, size) => {
        const f = (offset & 0x7000) === 0 ? this.#function(offset >> 15) : undefined;
        if (f === undefined) return size === 4 ? 0xffff_ffff : (1 << (8 * size)) - 1;
        return natural(offset, size) ? f.configRead(offset & 0xfff, size) : 0;
      },
      write: (offset, size, value) => {
        const f = (offset & 0x7000) === 0 ? this.#function(offset >> 15) : undefined;
        if (f !== undefined && natural(offset, size)) f.configWrite(offset & 0xfff, size, value);
      },
    };
  }

  /** The window of BARs. What no BAR decodes reads as all ones. */
  get memory(): MmioRegion {
    return {
      base: PCI_MEMORY_BASE,
      size: PCI_MEMORY_SIZE,
      read: (offset, size) => {
        const at = this.#decode(PCI_MEMORY_BASE + offset);
        const f = at < 0 ? undefined : this.#functions[this.#last];
        if (f === undefined) return size === 4 ? 0xffff_ffff : (1 << (8 * size)) - 1;
        return natural(offset, size) ? f.barRead(at, size) : 0;
      },
      write: (offset, size, value) => {
        const at = this.#decode(PCI_MEMORY_BASE + offset);
        if (at >= 0 && natural(offset, size)) this.#functions[this.#last]?.barWrite(at, size, value);
      },
    };
  }

  #function(slot: number): PciFunction | undefined {
    const offset = Atomics.load(this.#words, this.#page + slot) >>> 0;
    if (offset !== this.#offsets[slot]) {
      this.#offsets[slot] = offset;
      this.#functions[slot] = offset === 0 ? undefined : this.#attach(offset, slot);
    }
    return this.#functions[slot];
  }

  /** Offset of `address` in the BAR that decodes it, and that function as `#last`; -1 if there is none. */
  #decode(address: number): number {
    let at = this.#inBar(this.#last, address);
    if (at >= 0) return at;
    for (let slot = 0; slot < PCI_SLOTS; slot++) {
      at = this.#inBar(slot, address);
      if (at < 0) continue;
      this.#last = slot;
      return at;
    }
    return -1;
  }

  #inBar(slot: number, address: number): number {
    const f = this.#function(slot);
    if (f === undefined) return -1;
    const config = this.#offsets[slot] >>> 2;
    if ((Atomics.load(this.#words, config + (COMMAND >>> 2)) & COMMAND_MEMORY) === 0) return -1;
    const at = address - ((Atomics.load(this.#words, config + (BAR0 >>> 2)) & -f.barSize) >>> 0);
    return at >= 0 && at < f.barSize ? at : -1;
  }
}
