import { ComputerError } from './errors.js';

const FRAME_SIZE = 4096;

/**
 * Hands out frames, always cleared. Runs are contiguous and lie at the beginning, first fit; single frames are taken from
 * the end, so that whoever has many and gives some of them back leaves no holes where runs are to lie. Some of the free
 * ones may be promised: they are kept for whoever has the promise.
 */
export class Frames {
  /** 1: in use. */
  readonly #used: Uint8Array;
  /** 1: was in use once, must be cleared before it is given to anybody. */
  readonly #dirty: Uint8Array;
  #free: number;
  /** Frames at the end that the computer does not have yet. */
  #withheld = 0;
  #promised = 0;
  /** Frames that are to be left for runs; negative: runs have more than was kept for them. */
  #forRuns = 0;
  /** No free frame lies below, and none above. */
  #lowest: number;
  #highest: number;

  /** `stale` is told of frames that somebody has had before: what has been translated from them is worth nothing. */
  constructor(
    private readonly bytes: Uint8Array,
    readonly first: number,
    readonly end: number,
    private readonly stale: (frame: number) => void = () => undefined,
  ) {
    this.#used = new Uint8Array(end);
    this.#dirty = new Uint8Array(end);
    this.#used.fill(1, 0, first);
    this.#free = end - first;
    this.#lowest = first;
    this.#highest = end - 1;
  }

  get free(): number {
    return this.#free;
  }

  /** Frames that there are, whoever has them. */
  get total(): number {
    return this.there - this.first;
  }

  /** The first frame that the computer does not have yet: none is behind it that it has. */
  get there(): number {
    return this.end - this.#withheld;
  }

  /** Whether nobody has a frame that is there. */
  isFree(frame: number): boolean {
    return this.#used[frame] === 0;
  }

  /** From now on the computer has the last `count` frames not yet: nobody gets them before they are added. */
  withhold(count: number): void {
    this.#withheld = count;
    this.#used.fill(1, this.end - count);
    this.#free -= count;
    this.#highest = this.there - 1;
  }

  /** Adds `count` of the frames that were withheld. Throws ComputerError `too-large` if there are not so many. */
  add(count: number): void {
    if (count > this.#withheld) {
      throw new ComputerError('too-large', `${count * 4} KiB to be added, and room for ${this.#withheld * 4} KiB`);
    }
    const from = this.there;
    this.#used.fill(0, from, from + count);
    this.#withheld -= count;
    this.#free += count;
    this.#lowest = Math.min(this.#lowest, from);
    this.#highest = this.there - 1;
  }

  /** Free frames that are promised to nobody. */
  get available(): number {
    return this.#free - this.#promised;
  }

  /** Those of them that an absent page may get; the others are for runs. */
  get loose(): number {
    return Math.max(0, this.available - Math.max(0, this.#forRuns));
  }

  /** So many more frames are for runs: as long as runs have less, `loose` does not count the difference. */
  keepForRuns(count: number): void {
    this.#forRuns += count;
  }

  /** Keeps `count` frames for the caller (a negative number: fewer than before). Throws ComputerError `no-frames`. */
  promise(count: number): void {
    if (count > this.available) throw this.#tooFew(count);
    this.#promised += count;
  }

  /** First frame of `count` frames in a row. Throws ComputerError `no-frames`. */
  allocateRun(count: number): number {
    if (count > this.available) throw this.#tooFew(count);
    let start = this.#lowest;
    for (let at = start; at < this.end; at++) {
      if (this.#used[at] === 1) start = at + 1;
      else if (at - start + 1 === count) {
        for (let frame = start; frame <= at; frame++) this.#take(frame);
        if (start === this.#lowest) this.#lowest = at + 1;
        this.#forRuns -= count;
        return start;
      }
    }
    throw new ComputerError(
      'no-frames',
      `no ${count * 4} KiB of machine memory in a row; ${this.available * 4} KiB are free`,
    );
  }

  /** `count` frames, wherever they are; `promised` of them were promised to the caller. Throws ComputerError `no-frames`. */
  allocate(count: number, promised = 0): Int32Array {
    if (count - promised > this.available) throw this.#tooFew(count);
    this.#promised -= promised;
    const frames = new Int32Array(count);
    let at = this.#highest;
    for (let n = count; n > 0; at--) {
      if (this.#used[at] === 1) continue;
      this.#take(at);
      frames[--n] = at;
    }
    this.#highest = at;
    return frames;
  }

  release(frame: number): void {
    if (frame < this.first || frame >= this.there || this.#used[frame] === 0) {
      throw new ComputerError('no-frames', `frame ${frame} is not in use`);
    }
    this.#used[frame] = 0;
    this.#free++;
    if (frame < this.#lowest) this.#lowest = frame;
    if (frame > this.#highest) this.#highest = frame;
  }

  releaseRun(first: number, count: number): void {
    for (let frame = first; frame < first + count; frame++) this.release(frame);
    this.#forRuns += count;
  }

  #tooFew(count: number): ComputerError {
    return new ComputerError(
      'no-frames',
      `${count * 4} KiB of machine memory asked for, ${this.available * 4} KiB are free`,
    );
  }

  #take(frame: number): void {
    this.#used[frame] = 1;
    this.#free--;
    if (this.#dirty[frame] === 1) {
      this.bytes.fill(0, frame * FRAME_SIZE, (frame + 1) * FRAME_SIZE);
      this.stale(frame);
    }
    this.#dirty[frame] = 1;
  }
}
