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

/** A map from places; it keeps the values of those that are not in it any more. */
export class PlaceMap<T> {
  readonly #known: PlaceSet;
  readonly #values: (T | undefined)[];

  constructor(pages: number) {
    this.#known = new PlaceSet(pages);
    // All at once: an array that grows by leaps becomes a hash table.
    this.#values = new Array<T | undefined>(pages * HALFWORDS).fill(undefined);
  }

  clear(): void {
    this.#known.clear();
  }

  has(place: number): boolean {
    return this.#known.has(place);
  }

  /** The value of a place that is there. */
  at(place: number): T {
    return this.#values[place] as T;
  }

  set(place: number, value: T): T {
    this.#known.add(place);
    this.#values[place] = value;
    return value;
  }
}
