/** From instruction bits to predecoded slots. */
import { decode, indexOfFull } from './isa/decoder.js';
import { formats, rdOf, rmOf, rs1Of, rs2Of } from './isa/table/format.js';
import { instructions } from './isa/table/index.js';
import type { Instruction } from './isa/table/instruction.js';
import { fuseSlots } from './fuse.js';
import { operationNumber, operations } from './isa/operations.js';
import { OP_FIRST, OP_ILLEGAL, OP_STRADDLE, OP_UNDECODED, OPERATIONS, packSlot } from './slots.js';

/** What a slot needs of an instruction of the table. */
interface Shape {
  readonly integerRd: boolean;
  /** It has a rounding mode. */
  readonly rounds: boolean;
  readonly immediate: (bits: number) => number;
}

const shapes: readonly Shape[] = instructions.map(({ format }) => {
  const { files, syntax, immediate } = formats[format];
  return { integerRd: files.rd === 'x', rounds: syntax.includes('rm'), immediate };
});

/**
 * Where decoding ahead stops: a decoded slot then is one that has been reached, but for the
 * rest of its block. The translator takes that for "has been executed".
 */
const leaves = ({ flow }: Instruction): boolean => flow !== 'next';
/** 1 if decoding ahead stops behind a slot, by its operation. */
const stops = new Uint8Array(OPERATIONS);
stops[OP_ILLEGAL] = 1;
operations.forEach(([{ instruction }], index) => (stops[OP_FIRST + index] = leaves(instruction) ? 1 : 0));

/** Slots of compressed instructions by their bits, two words each; OP_UNDECODED until they are met. */
const short = new Int32Array(2 * 0x10000);

/** Makes the slot of a compressed instruction; returns its first word. */
function makeShort(low: number): number {
  const { index, operands } = decode(low);
  const { rd, rs1, rs2, imm, rm } = operands;
  short[2 * low + 1] = imm;
  return (short[2 * low] =
    index < 0
      ? packSlot(OP_ILLEGAL, rd, rs1, rs2, true, 0)
      : packSlot(operationNumber(index, 1), rd, rs1, rs2, shapes[index].integerRd, shapes[index].rounds ? rm : 0));
}

/** Fills the slots of a page for the core's `decode` and `decodeStraddle` imports (`CoreImports`). */
export class SlotDecoder {
  private readonly words: Int32Array;
  private readonly halfwords: Uint16Array;

  constructor(buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer);
    this.halfwords = new Uint16Array(buffer);
  }

  /** Decodes forward from `host` until control flow must leave, the page ends, or decoded slots begin. */
  decode(slots: number, host: number, count: number): void {
    const first = slots >>> 2;
    fuseSlots(this.words, first, this.fill(first, host, count));
  }

  /** From word offset `start`; returns that of the last slot it has looked at. */
  private fill(start: number, host: number, count: number): number {
    const { words, halfwords } = this;
    let at = host >>> 1;
    let slot = start;
    for (let left = count; left > 0;) {
      const low = halfwords[at];
      let first;
      let halves;
      if ((low & 3) !== 3) {
        first = short[2 * low] || makeShort(low);
        words[slot + 1] = short[2 * low + 1];
        words[slot] = first;
        halves = 1;
      } else if (left === 1) {
        words[slot] = OP_STRADDLE;
        return slot;
      } else {
        first = this.writeFull(slot, low | (halfwords[at + 1] << 16));
        halves = 2;
      }
      if (stops[first & 0xff] !== 0) return slot;
      at += halves;
      slot += 2 * halves;
      left -= halves;
      if (left > 0 && (words[slot] & 0xff) !== OP_UNDECODED) return slot;
    }
    return slot;
  }

  decodeStraddle(slots: number, hostLow: number, hostHigh: number): void {
    const { halfwords } = this;
    this.writeFull(slots >>> 2, halfwords[hostLow >>> 1] | (halfwords[hostHigh >>> 1] << 16));
  }

  /** Writes the slot of a full instruction at a word offset; returns its first word. */
  private writeFull(slot: number, bits: number): number {
    const { words } = this;
    const index = indexOfFull(bits);
    if (index < 0) {
      words[slot + 1] = bits;
      return (words[slot] = packSlot(OP_ILLEGAL, 0, 0, 0, true, 0));
    }
    const { integerRd, rounds, immediate } = shapes[index];
    const rm = rounds ? rmOf(bits) : 0;
    words[slot + 1] = immediate(bits);
    return (words[slot] = packSlot(operationNumber(index, 2), rdOf(bits), rs1Of(bits), rs2Of(bits), integerRd, rm));
  }
}
