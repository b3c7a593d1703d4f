/**
 * What one OS instance has of the computer's frames, and what it has been promised: the first `guaranteed` frames that it
 * has are its own, whatever others do; beyond them it gets what is free when it asks.
 *
 *     taken:   0 ─────────── guaranteed ─────────── limit ─────── all its pages
 *              │ promised, kept for it │ first come, first served │ never
 */
import type { Frames } from '../computer/frames.js';

/** The books of one OS instance's frames. */
export class FrameShare {
  /** It takes no more frames than this, whatever is free. */
  limit = Infinity;
  #taken = 0;
  #guaranteed: number;

  /** Throws ComputerError `no-frames`: so many cannot be promised any more. */
  constructor(
    private readonly frames: Frames,
    guaranteed: number,
  ) {
    frames.promise(guaranteed);
    this.#guaranteed = guaranteed;
  }

  get guaranteed(): number {
    return this.#guaranteed;
  }

  /** Changes what is promised; what it has it keeps. Throws ComputerError `no-frames`, changing nothing. */
  guarantee(count: number): void {
    this.frames.promise(Math.max(0, count - this.#taken) - this.#promised);
    this.#guaranteed = count;
  }

  /** Frames that it has. */
  get taken(): number {
    return this.#taken;
  }

  /** Frames that it could take now, if of those that are promised to nobody so many are left. */
  withinReach(left = 0): number {
    const free = this.#promised + Math.max(0, this.frames.loose - left);
    return Math.max(0, Math.min(free, this.limit - this.#taken));
  }

  get #promised(): number {
    return Math.max(0, this.guaranteed - this.#taken);
  }

  /** Takes `count` cleared frames. Throws ComputerError `no-frames`, taking none. */
  take(count: number): Int32Array {
    const frames = this.frames.allocate(count, Math.min(count, this.#promised));
    this.#taken += count;
    return frames;
  }

  /** Gives frames back; the first of them are promised to it again. */
  giveBack(frames: Iterable<number>): void {
    for (const frame of frames) {
      this.frames.release(frame);
      if (--this.#taken < this.guaranteed) this.frames.promise(1);
    }
  }

  /** Gives back `left`, all that it still has, and needs nothing any more. */
  close(left: Iterable<number>): void {
    this.giveBack(left);
    this.frames.promise(-this.#promised);
  }
}
