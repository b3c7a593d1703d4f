/**
 * Segments that came before those that precede them (RFC 9293, 3.10.7.4), and the SACK blocks that tell the sender
 * (RFC 2018). Sorted by sequence number, disjoint. Bounded by the receive window in bytes, and in number: a peer that
 * sends single bytes in disorder has them dropped, and sends them again.
 */
import { after, before, diff } from './sequence.js';

const MAX_PIECES = 1024;
const MAX_BLOCKS = 3;

interface Piece {
  readonly seq: number;
  readonly data: Uint8Array;
}

function endOf(piece: Piece): number {
  return (piece.seq + piece.data.length) | 0;
}

export class Reassembly {
  #pieces: Piece[] = [];
  /** A sequence number inside the block that changed last: it is reported first (RFC 2018, 4). */
  #latest = 0;

  get isEmpty(): boolean {
    return this.#pieces.length === 0;
  }

  /** Keeps what of the data is new, in at most `most` pieces. The array is kept, not copied. */
  insert(seq: number, data: Uint8Array, most = MAX_PIECES): void {
    const end = (seq + data.length) | 0;
    this.#latest = seq;
    let at = this.#pieces.length;
    while (at > 0 && after(this.#pieces[at - 1].seq, seq)) at--;
    let from = seq;
    if (at > 0 && after(endOf(this.#pieces[at - 1]), from)) from = endOf(this.#pieces[at - 1]);
    const added: Piece[] = [];
    // Fill the gaps between the pieces that are there already.
    let next = at;
    while (before(from, end)) {
      const stop = next < this.#pieces.length && before(this.#pieces[next].seq, end) ? this.#pieces[next].seq : end;
      if (before(from, stop)) added.push({ seq: from, data: data.subarray(diff(from, seq), diff(stop, seq)) });
      if (stop === end) break;
      const covered = this.#pieces[next++];
      added.push(covered);
      from = endOf(covered);
    }
    if (this.#pieces.length + added.length - (next - at) > Math.min(most, MAX_PIECES)) return;
    this.#pieces.splice(at, next - at, ...added);
  }

  /** Takes out the data that follows `seq` directly, trimmed; undefined if there is a gap. */
  take(seq: number): Uint8Array | undefined {
    while (this.#pieces.length > 0) {
      const piece = this.#pieces[0];
      const skip = diff(seq, piece.seq);
      if (skip < 0) return undefined;
      this.#pieces.shift();
      if (skip < piece.data.length) return skip === 0 ? piece.data : piece.data.subarray(skip);
    }
    return undefined;
  }

  /** Edges of up to three blocks, the one that changed last first. */
  blocks(): number[] {
    const all: [number, number][] = [];
    for (const piece of this.#pieces) {
      const last = all.at(-1);
      if (last !== undefined && last[1] === piece.seq) last[1] = endOf(piece);
      else all.push([piece.seq, endOf(piece)]);
    }
    const first = all.findIndex(([left, right]) => !before(this.#latest, left) && before(this.#latest, right));
    if (first > 0) all.unshift(...all.splice(first, 1));
    return all.slice(0, MAX_BLOCKS).flat();
  }

  clear(): void {
    this.#pieces = [];
  }
}
