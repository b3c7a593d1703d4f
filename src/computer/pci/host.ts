/**
 * A PCI host bridge with one bus, as `pci-host-ecam-generic` describes it: a window
 * onto the functions' configuration spaces (ECAM) and a window of memory addresses
 * that the guest hands out to their BARs.
 *
 * The state page says which functions are there; everything else on the bus reads
 * as all ones, as on a computer that lacks it:
 *
 *   0x000  slot 0 … 31    word: byte offset of the page that answers, 0: nothing there; bit 0: held
 *   0x080  slot 0 … 31    word: byte offset of the function's own page
 *   0x100  hart 0 … 63    word: 1 while the hart's thread is at some function's registers
 *
 * A function's own registers are behind `PciFunction`. Hart threads look the slots
 * up at each access, so a function comes and goes by one store, and so does whoever
 * answers in its place. To exchange the page behind a slot in a moment in which no
 * hart is at its registers, the main thread holds the slot and looks at the harts'
 * words; a hart says first that it is there, and looks at the slot then:
 *
 *   main thread:  slot |= held;  while (some hart is there);  change;  slot = page
 *   hart:         there = 1;  look at the slot;  [held: there = 0, wait, again];  access;  there = 0
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

const OWN_PAGES = 0x080 >>> 2;
const AT_REGISTERS = 0x100 >>> 2;
const MAX_HARTS = 64;
/** Pages are aligned, so the low bits of a slot's word are free. */
const HELD = 1;

/** Byte offsets of the pages that are in a bus's slots, or belong to what is: all locks that a hart can hold are in them. */
export function pagesOnBus(words: Int32Array, stateOffset: number): readonly number[] {
  const pages = new Set<number>();
  for (let i = 0; i < 2 * PCI_SLOTS; i++) pages.add((Atomics.load(words, (stateOffset >>> 2) + i) & ~HELD) >>> 0);
  pages.delete(0);
  return [...pages];
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
    Atomics.store(this.#words, this.#page + OWN_PAGES + checked(slot), functionOffset);
    this.answer(slot, functionOffset);
  }

  /** Takes the function out. Its guest should have removed it before. */
  unplug(slot: number): void {
    Atomics.store(this.#words, this.#page + OWN_PAGES + checked(slot), 0);
    this.answer(slot, 0);
  }

  /** Offset of the page that answers in `slot`, 0 if there is none. */
  at(slot: number): number {
    return (Atomics.load(this.#words, this.#page + checked(slot)) & ~HELD) >>> 0;
  }

  /** Has the registers in the page at `offset` answer in `slot`, and lets accesses go on. */
  answer(slot: number, offset: number): void {
    Atomics.store(this.#words, this.#page + checked(slot), offset);
    Atomics.notify(this.#words, this.#page + slot);
  }

  /** From now on accesses to the slot's registers wait. */
  hold(slot: number): void {
    Atomics.or(this.#words, this.#page + checked(slot), HELD);
  }

  /** Whether some hart is at registers: with its slot held, it leaves them in a moment and does not come back. */
  get inUse(): boolean {
    for (let hart = 0; hart < MAX_HARTS; hart++) {
      if (Atomics.load(this.#words, this.#page + AT_REGISTERS + hart) !== 0) return true;
    }
    return false;
  }
}

/** A hart's thread that has died leaves the registers. */
export function leaveRegisters(words: Int32Array, stateOffset: number, hart: number): void {
  Atomics.store(words, (stateOffset >>> 2) + AT_REGISTERS + hart, 0);
}

const allOnes = (size: number): number => (size === 4 ? 0xffff_ffff : (1 << (8 * size)) - 1);

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
  /** Index of the word that says that this hart is at registers. */
  readonly #there: number;
  /** The slot that answered last; the next access is most likely for it too. */
  #last = 0;

  /**
   * @param hart the hart's id in its OS instance
   * @param attach makes the registers of the function whose state page lies at an offset
   */
  constructor(
    buffer: SharedArrayBuffer,
    stateOffset: number,
    hart: number,
    attach: (functionOffset: number, slot: number) => PciFunction,
  ) {
    this.#words = new Int32Array(buffer);
    this.#page = stateOffset >>> 2;
    this.#there = this.#page + AT_REGISTERS + hart;
    this.#attach = attach;
  }

  /** The configuration window: bits 19…15 of the offset are the slot, 14…12 the function, 11…0 the register. */
  get ecam(): MmioRegion {
    return {
      base: ECAM_BASE,
      size: ECAM_SIZE,
      read: (offset, size) => {
        this.#enter();
        const f = (offset & 0x7000) === 0 ? this.#function(offset >> 15) : undefined;
        const value = f === undefined ? allOnes(size) : natural(offset, size) ? f.configRead(offset & 0xfff, size) : 0;
        this.#leave();
        return value;
      },
      write: (offset, size, value) => {
        this.#enter();
        const f = (offset & 0x7000) === 0 ? this.#function(offset >> 15) : undefined;
        if (f !== undefined && natural(offset, size)) f.configWrite(offset & 0xfff, size, value);
        this.#leave();
      },
    };
  }

  /** The window of BARs. What no BAR decodes reads as all ones. */
  get memory(): MmioRegion {
    return {
      base: PCI_MEMORY_BASE,
      size: PCI_MEMORY_SIZE,
      read: (offset, size) => {
        this.#enter();
        const at = this.#decode(PCI_MEMORY_BASE + offset);
        const f = at < 0 ? undefined : this.#functions[this.#last];
        const value = f === undefined ? allOnes(size) : natural(offset, size) ? f.barRead(at, size) : 0;
        this.#leave();
        return value;
      },
      write: (offset, size, value) => {
        this.#enter();
        const at = this.#decode(PCI_MEMORY_BASE + offset);
        if (at >= 0 && natural(offset, size)) this.#functions[this.#last]?.barWrite(at, size, value);
        this.#leave();
      },
    };
  }

  #enter(): void {
    Atomics.store(this.#words, this.#there, 1);
  }

  #leave(): void {
    Atomics.store(this.#words, this.#there, 0);
  }

  #function(slot: number): PciFunction | undefined {
    const word = Atomics.load(this.#words, this.#page + slot);
    const offset = (word & HELD) === 0 ? word >>> 0 : this.#whenLetGo(slot);
    if (offset !== this.#offsets[slot]) {
      this.#offsets[slot] = offset;
      this.#functions[slot] = offset === 0 ? undefined : this.#attach(offset, slot);
    }
    return this.#functions[slot];
  }

  /** Waits until a held slot is let go; the page that answers in it then. */
  #whenLetGo(slot: number): number {
    for (;;) {
      this.#leave();
      const held = Atomics.load(this.#words, this.#page + slot);
      if ((held & HELD) !== 0) Atomics.wait(this.#words, this.#page + slot, held);
      this.#enter();
      const word = Atomics.load(this.#words, this.#page + slot);
      if ((word & HELD) === 0) return word >>> 0;
    }
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
