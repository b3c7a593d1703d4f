/**
 * The RISC-V platform-level interrupt controller (PLIC specification 1.0.0), with
 * one supervisor context per hart: context i is the OS instance's hart i.
 *
 * All state lies in the state page; an object of this class is only a way to it,
 * so every thread has its own.
 */
import type { InterruptLine, MmioRegion } from '../dma.js';
import { lock, unlock } from '../state-page.js';
import { hartsThere, SEIP, setPending } from '../../hart/state.js';
import {
  CONTEXT,
  CONTEXT_SIZE,
  ENABLE,
  IN_SERVICE,
  LEVEL,
  LOCK,
  OUTPUT,
  PENDING,
  PLIC_CONTEXTS,
  PLIC_SOURCES,
  PRIORITY,
  PRIORITY_MASK,
  SOURCE_WORDS,
  THRESHOLD,
} from './state.js';

/** Where QEMU's virt machine has it. */
export const PLIC_BASE = 0x0c00_0000;
export const PLIC_SIZE = 0x60_0000;

// The memory map (PLIC specification, chapter 3).
const REG_PENDING = 0x1000;
const REG_ENABLE = 0x2000;
const REG_ENABLE_STRIDE = 0x80;
const REG_CONTEXT = 0x20_0000;
const REG_CONTEXT_STRIDE = 0x1000;
const REG_THRESHOLD = 0;
const REG_CLAIM = 4;

/** A platform-level interrupt controller: which lines are pending, and which hart hears of them. */
export class Plic implements MmioRegion {
  readonly base = PLIC_BASE;
  readonly size = PLIC_SIZE;
  readonly #words: Int32Array;
  readonly #page: number;
  readonly #harts: readonly number[];

  /**
   * @param buffer the computer's shared memory
   * @param stateOffset byte offset of the state page
   * @param harts byte offset of the hart block of each context's hart; there are as many contexts as harts (`hartsThere`)
   */
  constructor(buffer: SharedArrayBuffer, stateOffset: number, harts: readonly number[]) {
    if (harts.length > PLIC_CONTEXTS) throw new RangeError(`a PLIC has at most ${PLIC_CONTEXTS} contexts`);
    this.#words = new Int32Array(buffer);
    this.#page = stateOffset >>> 2;
    this.#harts = harts;
  }

  /** The line into source `source`, 1 … 95. */
  line(source: number): InterruptLine {
    if (!(source >= 1 && source <= PLIC_SOURCES)) throw new RangeError(`no interrupt source ${source}`);
    return { set: (level) => this.setLevel(source, level) };
  }

  /**
   * The gateway of a level-triggered source (section 1.3): a high line becomes one
   * request; the next is made when that one is completed and the line is high still.
   * A request once made stays even if the line drops.
   */
  setLevel(source: number, level: boolean): void {
    const bit = 1 << (source & 31);
    const w = source >> 5;
    lock(this.#words, this.#page + (LOCK >>> 2));
    if (!level) {
      this.#clear(LEVEL, w, bit);
    } else if ((this.#get(LEVEL, w) & bit) === 0) {
      this.#setBit(LEVEL, w, bit);
      if ((this.#get(IN_SERVICE, w) & bit) === 0) {
        this.#setBit(PENDING, w, bit);
        this.#update();
      }
    }
    unlock(this.#words, this.#page + (LOCK >>> 2));
  }

  /** Whether nobody has an interrupt of `source` to take or to complete. */
  isIdle(source: number): boolean {
    const bit = 1 << (source & 31);
    const w = source >> 5;
    lock(this.#words, this.#page + (LOCK >>> 2));
    const busy = (this.#get(LEVEL, w) | this.#get(PENDING, w) | this.#get(IN_SERVICE, w)) & bit;
    unlock(this.#words, this.#page + (LOCK >>> 2));
    return busy === 0;
  }

  /** Says the present outputs to the harts again: after the state was put back, or harts were exchanged. */
  refresh(): void {
    lock(this.#words, this.#page + (LOCK >>> 2));
    for (let c = 0; c < this.#harts.length; c++) this.#store(this.#context(c) + OUTPUT, -1);
    this.#update();
    unlock(this.#words, this.#page + (LOCK >>> 2));
  }

  read(offset: number, size: number): number {
    if (size !== 4 || (offset & 3) !== 0) return 0;
    if (offset >= REG_CONTEXT) {
      const c = Math.floor((offset - REG_CONTEXT) / REG_CONTEXT_STRIDE);
      if (c >= this.#contexts()) return 0;
      const register = (offset - REG_CONTEXT) % REG_CONTEXT_STRIDE;
      if (register === REG_THRESHOLD) return this.#load(this.#context(c) + THRESHOLD);
      return register === REG_CLAIM ? this.#claim(c) : 0;
    }
    const at = this.#plain(offset);
    return at < 0 ? 0 : this.#load(at) >>> 0;
  }

  write(offset: number, size: number, value: number): void {
    if (size !== 4 || (offset & 3) !== 0) return;
    if (offset >= REG_CONTEXT) {
      const c = Math.floor((offset - REG_CONTEXT) / REG_CONTEXT_STRIDE);
      if (c >= this.#contexts()) return;
      const register = (offset - REG_CONTEXT) % REG_CONTEXT_STRIDE;
      if (register === REG_CLAIM) this.#complete(c, value >>> 0);
      else if (register === REG_THRESHOLD) this.#change(this.#context(c) + THRESHOLD, value & PRIORITY_MASK);
      return;
    }
    const at = this.#plain(offset);
    if (at < 0 || (offset >= REG_PENDING && offset < REG_ENABLE)) return;
    if (offset < REG_PENDING) this.#change(at, value & PRIORITY_MASK);
    // Source 0 does not exist and cannot be enabled.
    else this.#change(at, (offset - REG_ENABLE) % REG_ENABLE_STRIDE === 0 ? value & ~1 : value);
  }

  /** Offset in the state page of a register below the contexts, or -1. */
  #plain(offset: number): number {
    if (offset < REG_PENDING) return offset >= 4 && offset <= PLIC_SOURCES * 4 ? PRIORITY + offset : -1;
    if (offset < REG_ENABLE) return offset - REG_PENDING < SOURCE_WORDS * 4 ? PENDING + offset - REG_PENDING : -1;
    const c = Math.floor((offset - REG_ENABLE) / REG_ENABLE_STRIDE);
    const word = (offset - REG_ENABLE) % REG_ENABLE_STRIDE;
    return c < this.#contexts() && word < SOURCE_WORDS * 4 ? this.#context(c) + ENABLE + word : -1;
  }

  #change(at: number, value: number): void {
    lock(this.#words, this.#page + (LOCK >>> 2));
    this.#store(at, value);
    this.#update();
    unlock(this.#words, this.#page + (LOCK >>> 2));
  }

  /** Takes the best pending source, whatever the threshold says (section 9); 0 if there is none. */
  #claim(c: number): number {
    lock(this.#words, this.#page + (LOCK >>> 2));
    const source = this.#best(c, 0);
    if (source !== 0) {
      this.#clear(PENDING, source >> 5, 1 << (source & 31));
      this.#setBit(IN_SERVICE, source >> 5, 1 << (source & 31));
      this.#update();
    }
    unlock(this.#words, this.#page + (LOCK >>> 2));
    return source;
  }

  /** Section 10: a completion of a source that the context has not enabled is ignored. */
  #complete(c: number, source: number): void {
    if (source < 1 || source > PLIC_SOURCES) return;
    const w = source >> 5;
    const bit = 1 << (source & 31);
    lock(this.#words, this.#page + (LOCK >>> 2));
    if ((this.#load(this.#context(c) + ENABLE + 4 * w) & this.#get(IN_SERVICE, w) & bit) !== 0) {
      this.#clear(IN_SERVICE, w, bit);
      if ((this.#get(LEVEL, w) & bit) !== 0) {
        this.#setBit(PENDING, w, bit);
        this.#update();
      }
    }
    unlock(this.#words, this.#page + (LOCK >>> 2));
  }

  /** The enabled pending source of highest priority above `threshold`, the lowest number among equals. */
  #best(c: number, threshold: number): number {
    let best = 0;
    let priority = threshold;
    const enable = this.#context(c) + ENABLE;
    for (let w = 0; w < SOURCE_WORDS; w++) {
      let bits = this.#get(PENDING, w) & this.#load(enable + 4 * w);
      while (bits !== 0) {
        const source = 32 * w + 31 - Math.clz32(bits & -bits);
        const p = this.#load(PRIORITY + 4 * source);
        if (p > priority) {
          priority = p;
          best = source;
        }
        bits &= bits - 1;
      }
    }
    return best;
  }

  /** Raises or drops each hart's external interrupt. Under the lock, so that two threads cannot say it in the wrong order. */
  #update(): void {
    for (let c = 0; c < this.#harts.length; c++) {
      const context = this.#context(c);
      const level = this.#best(c, this.#load(context + THRESHOLD)) !== 0 ? 1 : 0;
      if (level === this.#load(context + OUTPUT)) continue;
      this.#store(context + OUTPUT, level);
      setPending(this.#words, this.#harts[c], SEIP, level === 1);
    }
  }

  /** Contexts that there are for the guest. */
  #contexts(): number {
    return hartsThere(this.#words, this.#harts);
  }

  #context(c: number): number {
    return CONTEXT + c * CONTEXT_SIZE;
  }
  // Plain accesses, several times quicker: the lock's atomics order them, and a lone aligned word never tears.
  #load(at: number): number {
    return this.#words[this.#page + (at >>> 2)];
  }
  #store(at: number, value: number): void {
    this.#words[this.#page + (at >>> 2)] = value;
  }
  #get(set: number, w: number): number {
    return this.#load(set + 4 * w);
  }
  #setBit(set: number, w: number, bit: number): void {
    this.#words[this.#page + (set >>> 2) + w] |= bit;
  }
  #clear(set: number, w: number, bit: number): void {
    this.#words[this.#page + (set >>> 2) + w] &= ~bit;
  }
}
