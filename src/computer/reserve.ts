/**
 * Cleared frames that wait for an OS instance's absent pages, in a page of shared memory. The main thread puts frames
 * in, the instance's harts take them out, without locks:
 *
 *   +0x000  LEVEL    frames in it
 *   +0x004  CURSOR   counts the slots that were looked at: where the next one looks
 *   +0x008  ASKED    1: the main thread has been told to look
 *   +0x00c  LOW      below so many frames it is to be told
 *   +0x010  NONE     1: the main thread has looked, and the computer has no frame for it
 *   +0x014  WAITS    1: a hart sleeps until there are frames again, if it finds none once more
 *   +0x800  512 slots: a frame, 0, or while somebody takes it the frame with its sign changed
 *
 *     slot F ──▶ -F ──▶ the page's entry: absent ──▶ F      ──▶ slot 0
 *                                         somebody was first ──▶ slot F
 *
 * A frame is at each moment in a slot or in the map, so that none is lost with a thread that dies in between.
 */
import { PAGE_ABSENT, PAGE_PRESENT, PAGE_WRITABLE } from '../hart/state.js';

const LEVEL = 0;
const CURSOR = 1;
const ASKED = 2;
const LOW = 3;
const NONE = 4;
const WAITS = 5;
const FIRST_SLOT = 512;
/** As many frames as a reserve has room for. */
export const RESERVE_FRAMES = 512;

/** An OS instance's reserve; `at` is the byte offset of its page. */
export class Reserve {
  readonly #at: number;

  constructor(
    private readonly words: Int32Array,
    at: number,
  ) {
    this.#at = at >>> 2;
  }

  /** Frames in it. */
  get level(): number {
    return Atomics.load(this.words, this.#at + LEVEL);
  }

  /** The main thread has looked, and there was nothing to put in. */
  get none(): boolean {
    return Atomics.load(this.words, this.#at + NONE) === 1;
  }

  /**
   * Gives an absent page a frame, on any thread. `entryAt`: word index of the page's entry. Answers the entry, which
   * somebody else may have written meanwhile; PAGE_ABSENT if there is no frame.
   */
  fill(entryAt: number): number {
    const { words } = this;
    const at = this.#at;
    for (let tries = 0; tries < RESERVE_FRAMES && Atomics.load(words, at + LEVEL) > 0; tries++) {
      const slot = at + FIRST_SLOT + (Atomics.add(words, at + CURSOR, 1) & (RESERVE_FRAMES - 1));
      const frame = Atomics.load(words, slot);
      if (frame <= 0 || Atomics.compareExchange(words, slot, frame, -frame) !== frame) continue;
      const entry = (frame << 8) | PAGE_PRESENT | PAGE_WRITABLE;
      const found = Atomics.compareExchange(words, entryAt, PAGE_ABSENT, entry);
      if (found !== PAGE_ABSENT) {
        Atomics.store(words, slot, frame);
        return found;
      }
      Atomics.store(words, slot, 0);
      Atomics.sub(words, at + LEVEL, 1);
      return entry;
    }
    return Atomics.load(words, entryAt);
  }

  /** Whether the main thread is to be told that frames are wanted: once, until it has looked. */
  ask(): boolean {
    const { words } = this;
    const at = this.#at;
    const level = Atomics.load(words, at + LEVEL);
    return (level === 0 || level < Atomics.load(words, at + LOW)) && Atomics.exchange(words, at + ASKED, 1) === 0;
  }

  /** To be called before a hart looks whether it is still empty, and sleeps if it is. */
  waits(): void {
    Atomics.store(this.words, this.#at + WAITS, 1);
  }

  /** Whether a hart may sleep that is to be woken now, after frames were put in: once. Main thread only. */
  takeWaits(): boolean {
    return Atomics.exchange(this.words, this.#at + WAITS, 0) === 1;
  }

  /** Puts cleared frames in; main thread only, who knows that there is room. */
  put(frames: Iterable<number>): void {
    const { words } = this;
    const slots = this.#at + FIRST_SLOT;
    let slot = slots;
    for (const frame of frames) {
      while (Atomics.compareExchange(words, slot, 0, frame) !== 0) {
        if (++slot === slots + RESERVE_FRAMES) throw new RangeError('a reserve has room for no more frames');
      }
      Atomics.add(words, this.#at + LEVEL, 1);
    }
  }

  /** Takes a frame out, or answers 0. Main thread only. */
  take(): number {
    const { words } = this;
    for (let slot = this.#at + FIRST_SLOT; slot < this.#at + FIRST_SLOT + RESERVE_FRAMES; slot++) {
      const frame = Atomics.load(words, slot);
      if (frame <= 0 || Atomics.compareExchange(words, slot, frame, 0) !== frame) continue;
      Atomics.sub(words, this.#at + LEVEL, 1);
      return frame;
    }
    return 0;
  }

  /** Names the frames in it, also one that a thread is just taking. */
  each(name: (frame: number) => void): void {
    for (let slot = this.#at + FIRST_SLOT; slot < this.#at + FIRST_SLOT + RESERVE_FRAMES; slot++) {
      const frame = Math.abs(Atomics.load(this.words, slot));
      if (frame !== 0) name(frame);
    }
  }

  /** The main thread is about to look: it is told again of what it may not see. */
  looking(): void {
    Atomics.store(this.words, this.#at + ASKED, 0);
  }

  /** What the main thread has seen: whether there is nothing to put in, and below which level it is to be asked again. */
  looked(none: boolean, low: number): void {
    Atomics.store(this.words, this.#at + LOW, low);
    Atomics.store(this.words, this.#at + NONE, none ? 1 : 0);
  }

  /** Its frames, when no thread takes any more. One that was being taken counts unless `mapped` says that it is in the map. */
  drain(mapped: (frame: number) => boolean): number[] {
    const slots = this.#at + FIRST_SLOT;
    const left: number[] = [];
    for (let slot = slots; slot < slots + RESERVE_FRAMES; slot++) {
      const frame = Atomics.exchange(this.words, slot, 0);
      if (frame > 0 || (frame < 0 && !mapped(-frame))) left.push(Math.abs(frame));
    }
    Atomics.store(this.words, this.#at + LEVEL, 0);
    return left;
  }
}
