/**
 * What is known of places in code while a region is being found. They lie in few pages, so
 * that an array does what a map would: the translator asks a hundred thousand times a second.
 */
const HALFWORDS = 2048;

/** Index of a halfword: its page's number, its offset in the page in bytes. */
export const placeIndex = (page: number, offset: number): number => page * HALFWORDS + (offset >>> 1);

/** A set of places that is emptied in no time. */
export class PlaceSet {
  readonly #stamps: Uint32Array;
  #generation = 1;
  size = 0;

  constructor(pages: number) {
    this.#stamps = new Uint32Array(pages * HALFWORDS);
  }

  clear(): void {
    this.#generation++;
    this.size = 0;
    if (this.#generation < 2 ** 32) return;
    this.#stamps.fill(0);
    this.#generation = 1;
  }

  has(place: number): boolean {
    return this.#stamps[place] === this.#generation;
  }

  /** False if it was there. */
  add(place: number): boolean {
    if (this.has(place)) return false;
    this.#stamps[place] = this.#generation;
    this.size++;
    return true;
  }
}

/** A map from places. */
export class PlaceMap<T> {
  readonly #known: PlaceSet;
  readonly #values: T[] = [];

  constructor(pages: number) {
    this.#known = new PlaceSet(pages);
  }

  clear(): void {
    this.#known.clear();
  }

  /** The value of a place; `make` is asked once. */
  get(place: number, make: () => T): T {
    if (this.#known.add(place)) this.#values[place] = make();
    return this.#values[place];
  }
}
