/**
 * A table of a bounded size that stations share. Half of it is divided evenly: so much is kept for each station
 * whatever the others do. The other half goes to whoever comes first.
 *
 *   max ┬───────────┬───────────┬──────────────────────────────┐
 *       │ kept for a │ kept for b │ whoever comes first           │
 *       └───────────┴───────────┴──────────────────────────────┘
 */
export class Shares {
  readonly #taken = new Map<number, number>();

  constructor(
    readonly max: number,
    /** How many stations there are. */
    readonly stations: () => number,
  ) {}

  /** A place in the table for `station`; false if there is none for it. */
  take(station: number): boolean {
    const own = this.#taken.get(station) ?? 0;
    const kept = Math.floor(this.max / (2 * Math.max(1, this.stations())));
    if (own >= kept && this.#common(kept) >= this.max - kept * Math.max(1, this.stations())) return false;
    this.#taken.set(station, own + 1);
    return true;
  }

  /** Gives a place back that `take` gave to the same station. */
  give(station: number): void {
    const own = this.#taken.get(station) ?? 0;
    if (own > 1) this.#taken.set(station, own - 1);
    else this.#taken.delete(station);
  }

  of(station: number): number {
    return this.#taken.get(station) ?? 0;
  }

  /** Places beyond what is kept for their stations. */
  #common(kept: number): number {
    let sum = 0;
    for (const count of this.#taken.values()) sum += Math.max(0, count - kept);
    return sum;
  }
}
