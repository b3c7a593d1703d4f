/**
 * The LZMA decoder, after Igor Pavlov's specification (lzma-specification.txt), with the chunks of
 * LZMA2 around it. What was written so far is the dictionary, so a match is a copy within the output.
 *
 * A probability is 11 bits in a Uint16Array; all of them lie in one array, so that a reset is one fill:
 *
 *   isMatch 12<<4 · isRep 12 · isRepG0 12 · isRepG1 12 · isRepG2 12 · isRep0Long 12<<4
 *   posSlot 4<<6 · posSpecial 115 · posAlign 16 · matchLength 514 · repLength 514 · literal 0x300 << (lc+lp)
 *
 * A length: choice, choice2, low 16<<3, mid 16<<3, high 256.
 */
import { ImageError } from './errors.js';

const POSITION_BITS_MAX = 4;
const STATES = 12;
const IS_MATCH = 0;
const IS_REP = IS_MATCH + (STATES << POSITION_BITS_MAX);
const IS_REP_G0 = IS_REP + STATES;
const IS_REP_G1 = IS_REP_G0 + STATES;
const IS_REP_G2 = IS_REP_G1 + STATES;
const IS_REP0_LONG = IS_REP_G2 + STATES;
const POS_SLOT = IS_REP0_LONG + (STATES << POSITION_BITS_MAX);
const POS_SPECIAL = POS_SLOT + (4 << 6);
const POS_ALIGN = POS_SPECIAL + 115;
const LENGTH_SIZE = 2 + (16 << 3) * 2 + 256;
const MATCH_LENGTH = POS_ALIGN + 16;
const REP_LENGTH = MATCH_LENGTH + LENGTH_SIZE;
const LITERAL = REP_LENGTH + LENGTH_SIZE;

const LENGTH_LOW = 2;
const LENGTH_MID = LENGTH_LOW + (16 << 3);
const LENGTH_HIGH = LENGTH_MID + (16 << 3);

const PROBABILITY_HALF = 1024;
const MATCH_MIN = 2;
/** LZMA2 allows no more literal bits than this (lc + lp). */
const LITERAL_BITS_MAX = 4;

const corrupt = (what: string): ImageError => new ImageError('corrupt', `xz: ${what}`);

/** Decodes LZMA2 chunks; the output grows as it comes. */
export class Lzma2Decoder {
  #out: Uint8Array;
  #size = 0;
  /** Where the dictionary begins in the output: nothing before it may be copied. */
  #dictionary = 0;
  readonly #prob = new Uint16Array(LITERAL + (0x300 << LITERAL_BITS_MAX));
  #input: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #range = 0;
  #code = 0;
  #state = 0;
  #rep0 = 0;
  #rep1 = 0;
  #rep2 = 0;
  #rep3 = 0;
  #literalContext = 0;
  #literalPositionMask = 0;
  #positionMask = 0;

  constructor(sizeHint: number) {
    this.#out = new Uint8Array(Math.max(sizeHint, 4096));
  }

  get output(): Uint8Array {
    return this.#out.subarray(0, this.#size);
  }

  /**
   * Decodes chunks from `at` to the end marker; returns where the byte behind it is.
   *
   * @throws ImageError `corrupt` for anything that is not LZMA2.
   */
  decode(input: Uint8Array, at: number): number {
    this.#input = input;
    let [needDictionary, needState, needProperties] = [true, true, true];
    for (;;) {
      if (at >= input.length) throw corrupt('the data ends early');
      const control = input[at++];
      if (control === 0) return at;
      const header = control >= 0x80 ? (control >= 0xc0 ? 5 : 4) : 2;
      if (at + header > input.length) throw corrupt('the data ends early');
      if (control < 0x80) {
        if (control > 2) throw corrupt(`${control} is not an LZMA2 chunk`);
        const size = ((input[at] << 8) | input[at + 1]) + 1;
        at += 2;
        if (control === 1) {
          this.#dictionary = this.#size;
          needDictionary = false;
        } else if (needDictionary) throw corrupt('the first chunk does not reset the dictionary');
        if (at + size > input.length) throw corrupt('the data ends early');
        this.#reserve(size);
        this.#out.set(input.subarray(at, at + size), this.#size);
        this.#size += size;
        at += size;
        continue;
      }
      const size = (((control & 0x1f) << 16) | (input[at] << 8) | input[at + 1]) + 1;
      const packed = ((input[at + 2] << 8) | input[at + 3]) + 1;
      const reset = (control >> 5) & 3;
      if (reset === 3) {
        this.#dictionary = this.#size;
        needDictionary = false;
      }
      if (reset >= 2) {
        this.#setProperties(input[at + 4]);
        needProperties = false;
      }
      if (reset >= 1) {
        this.#resetState();
        needState = false;
      }
      if (needDictionary || needState || needProperties) throw corrupt('a chunk needs what was never set');
      at += header;
      if (at + packed > input.length || packed < 5) throw corrupt('the data ends early');
      this.#reserve(size);
      this.#decodeChunk(at, packed, this.#size + size);
      at += packed;
    }
  }

  #reserve(size: number): void {
    const wanted = this.#size + size;
    if (wanted <= this.#out.length) return;
    const grown = new Uint8Array(Math.max(wanted, this.#out.length * 2));
    grown.set(this.#out.subarray(0, this.#size));
    this.#out = grown;
  }

  #setProperties(byte: number): void {
    const lc = byte % 9;
    const lp = Math.floor(byte / 9) % 5;
    const pb = Math.floor(byte / 45);
    if (pb > POSITION_BITS_MAX || lc + lp > LITERAL_BITS_MAX) throw corrupt('impossible LZMA properties');
    this.#literalContext = lc;
    this.#literalPositionMask = (1 << lp) - 1;
    this.#positionMask = (1 << pb) - 1;
  }

  #resetState(): void {
    this.#prob.fill(PROBABILITY_HALF);
    this.#state = this.#rep0 = this.#rep1 = this.#rep2 = this.#rep3 = 0;
  }

  #normalize(): void {
    if (this.#range >= 0x1000000) return;
    // One chunk's input is bounded: reading on would take the next chunk's header for data.
    if (this.#at >= this.#end) throw corrupt('a chunk ends early');
    this.#range = (this.#range << 8) >>> 0;
    this.#code = ((this.#code << 8) | this.#input[this.#at++]) >>> 0;
  }

  #bit(index: number): number {
    const prob = this.#prob[index];
    const bound = (this.#range >>> 11) * prob;
    let bit = 0;
    if (this.#code < bound) {
      this.#range = bound;
      this.#prob[index] = prob + ((2048 - prob) >> 5);
    } else {
      this.#range -= bound;
      this.#code -= bound;
      this.#prob[index] = prob - (prob >> 5);
      bit = 1;
    }
    this.#normalize();
    return bit;
  }

  /** Bits that were written without a probability, the highest first. */
  #direct(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++) {
      this.#range >>>= 1;
      const bit = this.#code >= this.#range ? 1 : 0;
      if (bit === 1) this.#code -= this.#range;
      this.#normalize();
      value = value * 2 + bit;
    }
    return value;
  }

  #tree(base: number, bits: number): number {
    let node = 1;
    for (let i = 0; i < bits; i++) node = (node << 1) | this.#bit(base + node);
    return node - (1 << bits);
  }

  /** A tree whose lowest bit comes first. */
  #reverseTree(base: number, bits: number): number {
    let node = 1;
    let value = 0;
    for (let i = 0; i < bits; i++) {
      const bit = this.#bit(base + node);
      node = (node << 1) | bit;
      value |= bit << i;
    }
    return value;
  }

  #length(base: number, position: number): number {
    if (this.#bit(base) === 0) return MATCH_MIN + this.#tree(base + LENGTH_LOW + (position << 3), 3);
    if (this.#bit(base + 1) === 0) return MATCH_MIN + 8 + this.#tree(base + LENGTH_MID + (position << 3), 3);
    return MATCH_MIN + 16 + this.#tree(base + LENGTH_HIGH, 8);
  }

  #distance(length: number): number {
    const slot = this.#tree(POS_SLOT + (Math.min(length - MATCH_MIN, 3) << 6), 6);
    if (slot < 4) return slot;
    const bits = (slot >> 1) - 1;
    const high = (2 | (slot & 1)) * 2 ** bits;
    if (slot < 14) return high + this.#reverseTree(POS_SPECIAL + high - slot, bits);
    return high + this.#direct(bits - 4) * 16 + this.#reverseTree(POS_ALIGN, 4);
  }

  #literal(): number {
    const position = (this.#size - this.#dictionary) & this.#literalPositionMask;
    const before = this.#size > this.#dictionary ? this.#out[this.#size - 1] : 0;
    const context = (position << this.#literalContext) + (before >> (8 - this.#literalContext));
    const base = LITERAL + 0x300 * context;
    let symbol = 1;
    if (this.#state >= 7) {
      // Behind a match the byte at the same distance tells which half of the tree is likely.
      let match = this.#byteAt(this.#rep0);
      do {
        const matchBit = (match >> 7) & 1;
        match <<= 1;
        const bit = this.#bit(base + ((1 + matchBit) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (matchBit !== bit) break;
      } while (symbol < 0x100);
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.#bit(base + symbol);
    return symbol & 0xff;
  }

  #byteAt(distance: number): number {
    const at = this.#size - distance - 1;
    if (at < this.#dictionary) throw corrupt('a match reaches before the beginning');
    return this.#out[at];
  }

  #decodeChunk(at: number, packed: number, end: number): void {
    const input = this.#input;
    this.#at = at + 5;
    this.#end = at + packed;
    this.#range = 0xffffffff;
    this.#code = ((input[at + 1] << 24) | (input[at + 2] << 16) | (input[at + 3] << 8) | input[at + 4]) >>> 0;
    if (input[at] !== 0) throw corrupt('a chunk begins wrong');
    while (this.#size < end) {
      const position = (this.#size - this.#dictionary) & this.#positionMask;
      const state = this.#state;
      if (this.#bit(IS_MATCH + (state << POSITION_BITS_MAX) + position) === 0) {
        this.#out[this.#size] = this.#literal();
        this.#size++;
        this.#state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
        continue;
      }
      let length = 0;
      if (this.#bit(IS_REP + state) === 0) {
        [this.#rep3, this.#rep2, this.#rep1] = [this.#rep2, this.#rep1, this.#rep0];
        length = this.#length(MATCH_LENGTH, position);
        this.#state = state < 7 ? 7 : 10;
        this.#rep0 = this.#distance(length);
      } else {
        length = this.#repeat(state, position);
      }
      this.#copy(length, end);
    }
    if (this.#at !== this.#end || this.#code !== 0) throw corrupt('a chunk does not end where it says');
  }

  /** A match at one of the last four distances; returns its length. */
  #repeat(state: number, position: number): number {
    if (this.#bit(IS_REP_G0 + state) === 0) {
      if (this.#bit(IS_REP0_LONG + (state << POSITION_BITS_MAX) + position) === 0) {
        this.#state = state < 7 ? 9 : 11;
        return 1;
      }
    } else {
      let distance = this.#rep1;
      if (this.#bit(IS_REP_G1 + state) === 1) {
        if (this.#bit(IS_REP_G2 + state) === 0) distance = this.#rep2;
        else {
          distance = this.#rep3;
          this.#rep3 = this.#rep2;
        }
        this.#rep2 = this.#rep1;
      }
      this.#rep1 = this.#rep0;
      this.#rep0 = distance;
    }
    this.#state = state < 7 ? 8 : 11;
    return this.#length(REP_LENGTH, position);
  }

  #copy(length: number, end: number): void {
    const from = this.#size - this.#rep0 - 1;
    if (from < this.#dictionary) throw corrupt('a match reaches before the beginning');
    if (this.#size + length > end) throw corrupt('a match reaches behind its chunk');
    // Byte by byte: the two ranges may overlap, and then what was just written is what is copied.
    for (let i = 0; i < length; i++) this.#out[this.#size + i] = this.#out[from + i];
    this.#size += length;
  }
}
