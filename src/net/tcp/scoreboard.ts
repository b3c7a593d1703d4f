/**
 * What the peer has reported by SACK (RFC 2018; RFC 6675): ranges above the cumulative acknowledgment, sorted and
 * disjoint. The peer's word is checked before it gets here; the number of ranges is bounded.
 */
import { after, before, diff } from './sequence.js';

const MAX_RANGES = 512;

export class Scoreboard {
  /** Left and right edges in turn. */
  #edges: number[] = [];

  get isEmpty(): boolean {
    return this.#edges.length === 0;
  }

  /** Right edge of the last range; only when not empty. */
  get highest(): number {
    return this.#edges[this.#edges.length - 1];
  }

  /** Octets reported. */
  get total(): number {
    let sum = 0;
    for (let i = 0; i < this.#edges.length; i += 2) sum += diff(this.#edges[i + 1], this.#edges[i]);
    return sum;
  }

  /** Adds a range. True if it told something new. */
  add(left: number, right: number): boolean {
    const edges = this.#edges;
    let low = edges.length;
    // The first range that touches or follows the new one.
    while (low > 0 && !before(edges[low - 1], left)) low -= 2;
    let high = low;
    let from = left;
    let to = right;
    while (high < edges.length && !after(edges[high], right)) {
      if (!after(edges[high], left) && !before(edges[high + 1], right)) return false;
      if (before(edges[high], from)) from = edges[high];
      if (after(edges[high + 1], to)) to = edges[high + 1];
      high += 2;
    }
    if (high === low && edges.length >= 2 * MAX_RANGES) return false;
    edges.splice(low, high - low, from, to);
    return true;
  }

  /** Forgets what lies below the cumulative acknowledgment. */
  trim(una: number): void {
    const edges = this.#edges;
    let gone = 0;
    while (gone < edges.length && !after(edges[gone + 1], una)) gone += 2;
    if (gone > 0) edges.splice(0, gone);
    if (edges.length > 0 && before(edges[0], una)) edges[0] = una;
  }

  clear(): void {
    this.#edges = [];
  }

  /** The right edge of the range that contains `seq`, or `seq` itself if none does. */
  skip(seq: number): number {
    const edges = this.#edges;
    for (let i = 0; i < edges.length && !after(edges[i], seq); i += 2)
      if (before(seq, edges[i + 1])) return edges[i + 1];
    return seq;
  }

  /** Where the first range after `seq` begins, or `limit` if none begins before it. */
  nextLeft(seq: number, limit: number): number {
    for (let i = 0; i < this.#edges.length; i += 2) {
      const left = this.#edges[i];
      if (after(left, seq)) return before(left, limit) ? left : limit;
    }
    return limit;
  }
}
