/**
 * The computer runs out of free frames: OS instances that have more than what they were guaranteed are asked to do with
 * less, as guest/pressure.ts says, and may have it again when there is enough.
 */
import type { MemorySize } from '../guest/memory-size.js';
import { ease, press } from '../guest/pressure.js';

/** So often it is looked whether there is enough again (ms). */
const EASE = 250;
/** There is when so much of the computer's memory is free, of which so much stays free. */
const ENOUGH_PART = 8;
/** It is urgent when less than so much is. */
const URGENT_PART = 64;

/** Who says that frames are running out. */
export interface PressureTeller {
  /** Told how many frames others should give. */
  onPressure: (frames: number) => void;
}

/** The computer's frames, and those of them that anybody could take. */
export interface FreeFrames {
  readonly total: number;
  readonly loose: number;
}

/** Looks after a computer's free frames. */
export class MemoryPressure {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(
    teller: PressureTeller,
    private readonly frames: FreeFrames,
    /** Those whose memory can be lent. */
    private readonly sizes: () => readonly MemorySize[],
  ) {
    teller.onPressure = (frames) => this.#press(frames);
  }

  close(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  #press(frames: number): void {
    if (this.#isOver) return;
    const sizes = this.sizes();
    const isUrgent = this.frames.loose < this.frames.total / URGENT_PART;
    const after = press(
      frames,
      isUrgent,
      sizes.map(({ holder }) => holder),
    );
    this.#apply(sizes, after);
    // For the next time, which is soon.
    for (const size of sizes) size.ask();
    this.#timer ??= setTimeout(() => this.#ease(), EASE);
  }

  #ease(): void {
    this.#timer = undefined;
    const sizes = this.sizes();
    const { total, loose } = this.frames;
    // What they may have again they may take at once.
    const spare = Math.floor((loose - total / ENOUGH_PART) / 2);
    const after = ease(
      spare,
      sizes.map(({ holder }) => holder),
    );
    this.#apply(sizes, after);
    if (sizes.some(({ holder }) => holder.ceiling < holder.size)) this.#timer = setTimeout(() => this.#ease(), EASE);
  }

  #apply(sizes: readonly MemorySize[], ceilings: readonly number[]): void {
    sizes.forEach((size, i) => {
      const ceiling = ceilings[i];
      if (ceiling !== undefined && ceiling !== size.holder.ceiling) size.lend(ceiling);
    });
  }
}
