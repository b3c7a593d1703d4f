/** What a hart knows of the code it has run: predecoded pages, arrivals, frame words. Layouts: tlb.ts. */
import { OP_STRADDLE, OP_UNDECODED } from '../slots.js';
import { FRAME_WORDS, HOT_THRESHOLD } from '../state.js';
import {
  COUNTERS,
  COUNT_QUEUED,
  DIRECTORY_ENTRY_SIZE,
  DIRECTORY_WORD,
  JUMP_CACHE,
  JUMP_CACHE_SIZE,
  PREDECODED,
  PREDECODED_OF_FRAME,
  PREDECODED_STRIDE,
  PREDECODE_DIRECTORY,
  REGIONS,
} from '../tlb.js';

/** Arrivals that make a place one that a jump may lead to. */
const OFTEN = 200;

export class HartCode {
  readonly words: Int32Array;
  readonly halfwords: Uint16Array;
  readonly #bytes: Uint8Array;

  constructor(
    buffer: ArrayBufferLike,
    /** Byte offset of the hart block. */
    readonly h: number,
  ) {
    this.words = new Int32Array(buffer);
    this.halfwords = new Uint16Array(buffer);
    this.#bytes = new Uint8Array(buffer);
  }

  /** The word that says whether code of a frame has changed. */
  frameWord(hostPage: number): number {
    const words = this.words[(this.h + FRAME_WORDS) >>> 2] >>> 0;
    return Atomics.load(this.words, (words >>> 2) + (hostPage >>> 12));
  }

  /** Address of the predecoded page of a host page if there is a current one. */
  predecoded(hostPage: number): number | undefined {
    const frame = hostPage >>> 12;
    const index = this.halfwords[(this.h + PREDECODED_OF_FRAME + 2 * frame) >>> 1] - 1;
    if (index < 0) return undefined;
    const entry = this.h + PREDECODE_DIRECTORY + index * DIRECTORY_ENTRY_SIZE;
    if (this.words[(entry + DIRECTORY_WORD) >>> 2] !== this.frameWord(hostPage)) return undefined;
    return this.h + PREDECODED + index * PREDECODED_STRIDE;
  }

  /** Whether the instruction at that offset of a host page has been decoded. */
  isDecoded(hostPage: number, offset: number): boolean {
    const slots = this.predecoded(hostPage);
    if (slots === undefined) return false;
    const operation = this.#bytes[slots + offset * 4];
    return operation !== OP_UNDECODED && operation !== OP_STRADDLE;
  }

  /** Offsets in a host page that jumps have often led to; undefined if there are more than `most`. */
  arrivals(hostPage: number, most: number): number[] | undefined {
    const slots = this.predecoded(hostPage);
    const offsets: number[] = [];
    if (slots === undefined) return offsets;
    const { halfwords } = this;
    const least = Math.min(OFTEN, this.words[(this.h + HOT_THRESHOLD) >>> 2]);
    const counters = (slots + COUNTERS) >>> 1;
    for (let i = 0; i < 2048; i++) {
      if (halfwords[counters + i] >= least && offsets.push(2 * i) > most) return undefined;
    }
    return offsets;
  }

  /** Sets the count of arrivals at a place, if its page is predecoded. */
  setCount(hostPage: number, offset: number, count: number): void {
    const slots = this.predecoded(hostPage);
    if (slots !== undefined) this.halfwords[(slots + COUNTERS + offset) >>> 1] = count;
  }

  /** Counts arrivals at a place, a host address, anew, unless it is being translated or is. */
  beginCount(place: number): void {
    const slots = this.predecoded(place & ~4095);
    if (slots === undefined) return;
    const count = (slots + COUNTERS + (place & 4095)) >>> 1;
    if (this.halfwords[count] < COUNT_QUEUED) this.halfwords[count] = 0;
  }

  /**
   * Has the run loop find that region at a place no more. Until the hart looks again at what it has fetched it still uses
   * a predecoded page that is not current any more: the page's frame is what counts.
   */
  unlink(hostPage: number, offset: number, region: number): void {
    const index = this.halfwords[(this.h + PREDECODED_OF_FRAME + 2 * (hostPage >>> 12)) >>> 1] - 1;
    if (index < 0) return;
    const at = (this.h + PREDECODED + index * PREDECODED_STRIDE + offset) >>> 1;
    if (this.halfwords[at + (REGIONS >>> 1)] !== region + 1) return;
    this.halfwords[at + (REGIONS >>> 1)] = 0;
    this.halfwords[at + (COUNTERS >>> 1)] = 0;
  }

  /** Tells the run loop which region begins at a place; see `forgetJumps`. */
  setRegion(hostPage: number, offset: number, region: number): void {
    const slots = this.predecoded(hostPage);
    if (slots !== undefined) this.halfwords[(slots + REGIONS + offset) >>> 1] = region + 1;
  }

  /** Empties the jump cache of what it remembers of places at that offset of any page, or of everything. */
  forgetJumps(offset?: number): void {
    const jump = this.h + JUMP_CACHE;
    if (offset === undefined) {
      this.#bytes.fill(0xff, jump, jump + JUMP_CACHE_SIZE);
      return;
    }
    // The cache is indexed by bits 12:1 of the pc: a page offset has two places in it.
    for (let at = offset << 3; at < JUMP_CACHE_SIZE; at += 0x8000) {
      const entry = (jump + (at & ~15)) >>> 2;
      this.words[entry] = this.words[entry + 1] = -1;
    }
  }
}
