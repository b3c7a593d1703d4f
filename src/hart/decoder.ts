/** From instruction bits to an entry of the instruction table and its operands. */
import { compressed, type Compressed } from './table/compressed.js';
import { decodeOperands, formats, type Operands } from './table/format.js';
import { instructions } from './table/index.js';
import type { Instruction } from './table/instruction.js';
import { fuseSlots } from './fuse.js';
import { operationNumber } from './operations.js';
import { OP_ILLEGAL, OP_STRADDLE, OP_UNDECODED, packSlot } from './slots.js';

export interface Decoded {
  /** Index in the instruction table, or -1: illegal. */
  readonly index: number;
  readonly operands: Readonly<Operands>;
  /** 2 or 4 bytes. */
  readonly length: 2 | 4;
}

/** Candidates by opcode and funct3 of a full instruction (10 bits). */
const full: Instruction[][] = Array.from({ length: 1024 }, (_, key) => {
  const keyBits = (key & 0x7f) | ((key >> 7) << 12);
  return instructions.filter(({ match, mask }) => ((keyBits ^ match) & mask & 0x707f) === 0);
});
const indexOf = new Map(instructions.map((instruction, index) => [instruction, index]));
const byName = new Map(instructions.map((instruction, index) => [instruction.name, index]));

/** Candidates by quadrant and funct3 of a compressed instruction (5 bits). */
const short: Compressed[][] = Array.from({ length: 32 }, (_, key) => {
  const keyBits = (key & 3) | ((key >> 2) << 13);
  return compressed.filter(({ match, mask }) => ((keyBits ^ match) & mask & 0xe003) === 0);
});

const illegal = (bits: number, length: 2 | 4): Decoded => ({
  index: -1,
  operands: { rd: 0, rs1: 0, rs2: 0, imm: bits, rm: 0 },
  length,
});

/** Programs use few different encodings: most have been decoded before. */
const recent = new Map<number, Decoded>();
const MAX_RECENT = 1 << 16;

/** Decodes the instruction that starts with `bits`; of a compressed one only the low 16 bits count. */
export function decode(bits: number): Decoded {
  const key = (bits & 3) === 3 ? bits : bits & 0xffff;
  let decoded = recent.get(key);
  if (decoded === undefined) {
    if (recent.size >= MAX_RECENT) recent.clear();
    decoded = decodeAfresh(key);
    recent.set(key, decoded);
  }
  return decoded;
}

function decodeAfresh(bits: number): Decoded {
  if ((bits & 3) !== 3) {
    const low = bits & 0xffff;
    for (const c of short[(low & 3) | ((low >>> 13) << 2)]) {
      if (((low ^ c.match) & c.mask) === 0 && (c.valid === undefined || c.valid(low))) {
        return { index: byName.get(c.expandsTo)!, operands: c.operands(low), length: 2 };
      }
    }
    return illegal(low, 2);
  }
  for (const instruction of full[(bits & 0x7f) | (((bits >>> 12) & 7) << 7)]) {
    if (((bits ^ instruction.match) & instruction.mask) === 0) {
      return {
        index: indexOf.get(instruction)!,
        operands: decodeOperands(formats[instruction.format], bits),
        length: 4,
      };
    }
  }
  return illegal(bits, 4);
}

/** Writes a decoded instruction into the slot at `slots`, a byte offset. */
function writeSlot(words: Int32Array, slots: number, decoded: Decoded): void {
  const { index, operands, length } = decoded;
  const format = index < 0 ? undefined : formats[instructions[index].format];
  const integerRd = format === undefined || format.files.rd === 'x';
  const rm = format?.syntax.includes('rm') === true ? operands.rm : 0;
  const operation = index < 0 ? OP_ILLEGAL : operationNumber(index, length === 4 ? 2 : 1);
  words[(slots >> 2) + 1] = operands.imm;
  words[slots >> 2] = packSlot(operation, operands, integerRd, rm);
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
    fuseSlots(this.words, slots >>> 0, this.fill(slots, host, count));
  }

  /** Returns the byte offset of the last slot that it has looked at. */
  private fill(slots: number, host: number, count: number): number {
    const { words, halfwords } = this;
    let at = host >>> 1;
    let slot = slots >>> 0;
    for (let left = count; left > 0;) {
      const low = halfwords[at];
      if ((low & 3) === 3 && left === 1) {
        words[slot >> 2] = OP_STRADDLE;
        return slot;
      }
      const decoded = decode((low & 3) === 3 ? low | (halfwords[at + 1] << 16) : low);
      writeSlot(words, slot, decoded);
      if (decoded.index < 0 || leaves(instructions[decoded.index])) return slot;
      const halves = decoded.length >> 1;
      at += halves;
      slot += 8 * halves;
      left -= halves;
      if (left > 0 && (words[slot >> 2] & 0xff) !== OP_UNDECODED) return slot;
    }
    return slot;
  }

  decodeStraddle(slots: number, hostLow: number, hostHigh: number): void {
    const { words, halfwords } = this;
    writeSlot(words, slots >>> 0, decode(halfwords[hostLow >>> 1] | (halfwords[hostHigh >>> 1] << 16)));
  }
}

/**
 * Where decoding ahead stops: a decoded slot then is one that has been reached, but for the
 * rest of its block. The translator takes that for "has been executed".
 */
const leaves = ({ flow }: Instruction): boolean => flow !== 'next';
