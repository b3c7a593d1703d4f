/**
 * Many programs in one image, the same bytes for both sides:
 *
 *   base      harness: for each program four instructions that enter it, then what writes all
 *             contexts to standard output and exits (Linux system calls)
 *   …         programs, one after the other
 *   contexts  4 KiB each, 0x400 after a page boundary
 */
import { encode } from '../../isa/encoder.js';
import { ANCHOR, CONTEXT_RETURN, CONTEXT_SIZE, assembleProgram, type Program } from './program.js';

export const BASE = 0x1000_0000;
const ENTER_SIZE = 16;
const A0 = 10;
const A1 = 11;
const A2 = 12;
const A7 = 17;
const T0 = 5;
const S0 = 8;
const S1 = 9;

export interface Batch {
  readonly image: Uint8Array;
  readonly programs: readonly Program[];
  /** Address of each program's code and of its anchor. */
  readonly entries: readonly number[];
  readonly anchors: readonly number[];
  /** Address of an `ecall`, and of another one. */
  readonly finish: number;
  readonly trapped: number;
  readonly contexts: { readonly at: number; readonly size: number };
}

const alignUp = (value: number, to: number): number => Math.ceil(value / to) * to;

/** lui and addi that leave `value`. */
function loadAddress(rd: number, value: number): number[] {
  const low = (value << 20) >> 20;
  return [encode('lui', { rd, imm: (value - low) | 0 }), encode('addi', { rd, rs1: rd, imm: low })];
}

/** write(1, contexts, size) until all is written, then exit(0); a failed write's result becomes the exit status. */
function writeAndExit(at: number, size: number): number[] {
  return [
    ...loadAddress(S0, at),
    ...loadAddress(S1, size),
    encode('addi', { rd: A0, imm: 1 }),
    encode('addi', { rd: A1, rs1: S0 }),
    encode('addi', { rd: A2, rs1: S1 }),
    encode('addi', { rd: A7, imm: 64 }),
    encode('ecall', {}),
    encode('bge', { rs1: 0, rs2: A0, imm: 20 }),
    encode('add', { rd: S0, rs1: S0, rs2: A0 }),
    encode('sub', { rd: S1, rs1: S1, rs2: A0 }),
    encode('bne', { rs1: S1, rs2: 0, imm: -32 }),
    encode('addi', { rd: A0 }),
    encode('addi', { rd: A7, imm: 93 }),
    encode('ecall', {}),
  ];
}
/** Offsets of the two environment calls in it. */
const WRITE_AND_EXIT = writeAndExit(BASE, 0).length * 4;
const FIRST_ECALL = 8 * 4;
const SECOND_ECALL = WRITE_AND_EXIT - 4;

export function buildBatch(programs: readonly Program[]): Batch {
  const codes = programs.map((program) => assembleProgram(program).code);
  const tail = BASE + programs.length * ENTER_SIZE;
  const entries: number[] = [];
  let end = tail + WRITE_AND_EXIT;
  for (const code of codes) {
    entries.push(end);
    end += code.length;
  }
  const at = alignUp(end, 0x1000) + 0x400;
  const size = programs.length * CONTEXT_SIZE;
  const anchors = programs.map((_, i) => at + i * CONTEXT_SIZE + ANCHOR);

  const image = new Uint8Array(at + size + 0x1000 - BASE);
  const view = new DataView(image.buffer);
  const put = (address: number, words: readonly number[]): void =>
    words.forEach((word, i) => view.setInt32(address - BASE + 4 * i, word, true));
  programs.forEach((program, i) => {
    put(BASE + i * ENTER_SIZE, enter(entries[i], anchors[i]));
    image.set(codes[i], entries[i] - BASE);
    const context = at + i * CONTEXT_SIZE - BASE;
    image.set(program.context, context);
    view.setBigUint64(context + CONTEXT_RETURN, BigInt(BASE + (i + 1) * ENTER_SIZE), true);
  });
  put(tail, writeAndExit(at, size));
  return {
    image,
    programs,
    entries,
    anchors,
    finish: tail + FIRST_ECALL,
    trapped: tail + SECOND_ECALL,
    contexts: { at, size },
  };
}

function enter(entry: number, anchor: number): number[] {
  const [high, low] = loadAddress(T0, entry);
  return [...loadAddress(A0, anchor), high, encode('jalr', { rs1: T0, imm: low >> 20 })];
}
