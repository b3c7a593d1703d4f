/**
 * Random programs as data: groups of instructions that belong together, and the context a
 * program starts from and leaves behind.
 *
 * A context is 4 KiB; one register, the anchor, points at its middle all the time:
 *
 *   anchor - 0x800  return address, x1 … x31         i64 each
 *   anchor - 0x700  f0 … f31                         i64 each
 *   anchor - 0x600  fcsr                             i64
 *   anchor - 0x5f8  a word for the store-conditional that drops old reservations
 *   anchor - 0x400  scratch memory, 3 KiB; a page begins at anchor + 0x400
 *
 * A second register, the counter, is counted down before every jump backwards, so that
 * every program ends.
 */
import { encode, encodeForm } from '../../isa/encoder.js';
import type { Compressed } from '../../isa/table/compressed.js';
import type { Operands } from '../../isa/table/format.js';

export const CONTEXT_SIZE = 0x1000;
/** Of the anchor in the context. */
export const ANCHOR = 0x800;
/** Offsets in the context. */
export const CONTEXT_RETURN = 0;
export const CONTEXT_X = 0;
export const CONTEXT_F = 0x100;
export const CONTEXT_FCSR = 0x200;
export const CONTEXT_DUMMY = 0x208;
export const CONTEXT_SCRATCH = 0x400;
/** Of the page boundary, from the anchor. */
export const PAGE_BOUNDARY = 0x400;
/** Scratch memory from the anchor, the last byte a doubleword may start at included. */
export const SCRATCH_MIN = -0x400;
export const SCRATCH_MAX = 0x7f0;

export interface Op {
  readonly name: string;
  readonly operands: Operands;
  /** Compressed form to use; a branch whose target is too far falls back to the full one. */
  readonly form?: Compressed;
  /** Group (index) the immediate leads to; the number of groups means the end of the program. */
  readonly target?: number;
  /** How many ops before this one in the group the immediate counts from. */
  readonly from?: number;
}

export type Group = readonly Op[];

export interface Program {
  readonly anchor: number;
  readonly counter: number;
  readonly groups: readonly Group[];
  readonly context: Uint8Array;
}

/** An op in its full form; absent operands are 0. */
export const op = (name: string, operands: Partial<Operands>): Op => ({
  name,
  operands: { rd: 0, rs1: 0, rs2: 0, imm: 0, rm: 0, ...operands },
});

/** From what the harness leaves (the anchor's value in a0) to the program's own registers. */
function prologue(anchor: number): Op[] {
  const at = (offset: number): { rs1: number; imm: number } => ({ rs1: anchor, imm: offset - ANCHOR });
  const temporary = anchor === 5 ? 6 : 5;
  const ops = [
    op('addi', { rd: anchor, rs1: 10 }),
    op('addi', { rd: temporary, ...at(CONTEXT_DUMMY) }),
    op('sc.w', { rs1: temporary }),
    op('ld', { rd: temporary, ...at(CONTEXT_FCSR) }),
    op('csrrw', { rs1: temporary, imm: 3 }),
  ];
  for (let n = 0; n < 32; n++) ops.push(op('fld', { rd: n, ...at(CONTEXT_F + 8 * n) }));
  for (let n = 1; n < 32; n++) if (n !== anchor) ops.push(op('ld', { rd: n, ...at(CONTEXT_X + 8 * n) }));
  return ops;
}

function epilogue(anchor: number): Op[] {
  const at = (offset: number): { rs1: number; imm: number } => ({ rs1: anchor, imm: offset - ANCHOR });
  const temporary = anchor === 5 ? 6 : 5;
  const ops: Op[] = [];
  for (let n = 1; n < 32; n++) ops.push(op('sd', { rs2: n, ...at(CONTEXT_X + 8 * n) }));
  for (let n = 0; n < 32; n++) ops.push(op('fsd', { rs2: n, ...at(CONTEXT_F + 8 * n) }));
  ops.push(
    op('csrrs', { rd: temporary, imm: 3 }),
    op('sd', { rs2: temporary, ...at(CONTEXT_FCSR) }),
    op('ld', { rd: temporary, ...at(CONTEXT_RETURN) }),
    op('jalr', { rs1: temporary }),
  );
  return ops;
}

/** The program's code: prologue, groups, epilogue. `body` tells where the groups lie in it. */
export function assembleProgram(program: Program): { code: Uint8Array; body: { start: number; end: number } } {
  const { anchor, groups } = program;
  const all: readonly Group[] = [prologue(anchor), ...groups, epilogue(anchor)];
  /** Forms that turned out not to reach. */
  const tooFar = new Set<Op>();
  for (;;) {
    const sizeOf = (o: Op): number => (o.form !== undefined && !tooFar.has(o) ? 2 : 4);
    const starts: number[] = [];
    let end = 0;
    for (const group of all) {
      starts.push(end);
      for (const o of group) end += sizeOf(o);
    }
    const code = new DataView(new ArrayBuffer(end));
    const misses = tooFar.size;
    for (const [g, group] of all.entries()) {
      let at = starts[g];
      const places: number[] = [];
      for (const [i, o] of group.entries()) {
        places.push(at);
        const origin = places[i - (o.from ?? 0)];
        const imm = o.target === undefined ? o.operands.imm : starts[o.target + 1] - origin + o.operands.imm;
        const operands = { ...o.operands, imm };
        if (o.form !== undefined && !tooFar.has(o)) {
          const bits = encodeForm(o.form, operands);
          if (bits === undefined && o.target === undefined) throw new RangeError(`${o.form.name} cannot be encoded`);
          if (bits === undefined) tooFar.add(o);
          else code.setUint16(at, bits, true);
        } else {
          code.setInt32(at, encode(o.name, operands), true);
        }
        at += sizeOf(o);
      }
    }
    if (tooFar.size === misses) {
      return { code: new Uint8Array(code.buffer), body: { start: starts[1], end: starts[starts.length - 1] } };
    }
  }
}
