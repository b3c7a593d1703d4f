/**
 * A perfect hash for the targets of jumps through a table: WebAssembly's br_table over all
 * addresses in between would be thousands of edges, which the optimizing compiler takes
 * one by one.
 */

import { GOLDEN } from '../golden.js';

/** The place of `at` in `places` is (at * factor mod 2^32) >>> shift. */
export interface DispatchHash {
  readonly factor: number;
  readonly shift: number;
  /** Index of the target with that hash, if there is one. */
  readonly places: readonly (number | undefined)[];
}

/** Factors tried before the table is made larger. */
const TRIES = 64;

/** A hash under which no two of `targets` meet. They must differ; there must be one at least. */
export function hashOf(targets: readonly number[]): DispatchHash {
  for (let bits = Math.max(1, Math.ceil(Math.log2(targets.length))); ; bits++) {
    for (let k = 0; k < TRIES; k++) {
      const factor = Math.imul(GOLDEN, 2 * k + 1);
      const places = placesOf(targets, factor, 32 - bits);
      if (places !== undefined) return { factor, shift: 32 - bits, places };
    }
  }
}

function placesOf(targets: readonly number[], factor: number, shift: number): (number | undefined)[] | undefined {
  const places = new Array<number | undefined>(2 ** (32 - shift)).fill(undefined);
  for (const [i, target] of targets.entries()) {
    const place = Math.imul(target, factor) >>> shift;
    if (places[place] !== undefined) return undefined;
    places[place] = i;
  }
  return places;
}
