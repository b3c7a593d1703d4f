/** Which parts of a disk have still to be copied: a byte for each 64 KiB. */
import type { DiskKeeper, DiskRequest } from './disk-path.js';

/** Sectors of a part. */
export const PART = 128;

export class DirtyMap implements DiskKeeper {
  readonly #parts: Uint8Array;
  /** Parts that are dirty. */
  count: number;
  #brake = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(readonly sectors: number) {
    this.#parts = new Uint8Array(Math.ceil(sectors / PART)).fill(1);
    this.count = this.#parts.length;
  }

  /** From now on one write is made in so many milliseconds; 0: as they come. */
  set brake(ms: number) {
    this.#brake = ms;
  }
  get brake(): number {
    return this.#brake;
  }

  before(): Promise<void> | void {
    if (this.#brake === 0) return;
    this.#last = this.#last.then(() => new Promise((resolve) => setTimeout(resolve, this.#brake)));
    return this.#last;
  }

  /** Said when it is over: what was copied while it was under way is copied again. */
  after({ sector, sectors }: DiskRequest): void {
    const last = Math.min(Math.floor((sector + sectors - 1) / PART), this.#parts.length - 1);
    for (let part = Math.floor(sector / PART); part <= last; part++) {
      this.count += 1 - this.#parts[part];
      this.#parts[part] = 1;
    }
  }

  /** The next run of dirty parts from `part` on, at most `most` of them, which are clean from now on. */
  take(part: number, most: number): { readonly first: number; readonly end: number } | undefined {
    const first = this.#parts.indexOf(1, part);
    if (first < 0) return undefined;
    let end = first;
    while (end - first < most && this.#parts[end] === 1) this.#parts[end++] = 0;
    this.count -= end - first;
    return { first, end };
  }
}
