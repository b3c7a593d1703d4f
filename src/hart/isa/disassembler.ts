/** From bits to assembler text, in GNU objdump's spelling (`-M no-aliases`), but for targets, which are always hexadecimal with 0x. */
import { csrName, floatNames, integerNames, orderingNames, roundingNames } from './names.js';
import { decode } from './decoder.js';
import { compressed, type Compressed } from './table/compressed.js';
import { formats, type Format, type Operands } from './table/format.js';
import { instructions } from './table/index.js';

export interface Disassembled {
  /** Mnemonic and operands separated by a space; `.word` or `.half` for what is no instruction. */
  readonly text: string;
  /** 2 or 4 bytes. */
  readonly length: 2 | 4;
}

type Part = Format['syntax'][number];

/** Operands of compressed forms that differ from those of the instruction they stand for. */
const compressedSyntax: Readonly<Record<string, readonly Part[]>> = {
  'c.addi': ['rd', 'imm'],
  'c.addiw': ['rd', 'imm'],
  'c.li': ['rd', 'imm'],
  'c.srli': ['rd', 'imm'],
  'c.srai': ['rd', 'imm'],
  'c.slli': ['rd', 'imm'],
  'c.andi': ['rd', 'imm'],
  'c.addi16sp': ['rd', 'imm'],
  'c.sub': ['rd', 'rs2'],
  'c.xor': ['rd', 'rs2'],
  'c.or': ['rd', 'rs2'],
  'c.and': ['rd', 'rs2'],
  'c.subw': ['rd', 'rs2'],
  'c.addw': ['rd', 'rs2'],
  'c.add': ['rd', 'rs2'],
  'c.mv': ['rd', 'rs2'],
  'c.j': ['target'],
  'c.beqz': ['rs1', 'target'],
  'c.bnez': ['rs1', 'target'],
  'c.jr': ['rs1'],
  'c.jalr': ['rs1'],
};

const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;
const address = (pc: bigint, offset: number): string => `0x${BigInt.asUintN(64, pc + BigInt(offset)).toString(16)}`;

const fenceSet = (bits: number): string =>
  ['i', 'o', 'r', 'w'].filter((_, i) => (bits & (8 >> i)) !== 0).join('') || '0';

/** Rounding-mode fields that GNU prints only when they are not what it would assemble by default. */
const exactConversions = new Set(['fcvt.d.s', 'fcvt.d.w', 'fcvt.d.wu']);

function operandText(part: Part, o: Operands, format: Format, name: string, bits: number, pc: bigint): string {
  const register = (which: 'rd' | 'rs1' | 'rs2'): string =>
    (format.files[which] === 'x' ? integerNames : floatNames)[o[which]];
  switch (part) {
    case 'rd':
    case 'rs1':
    case 'rs2':
      return register(part);
    case 'rs3':
      return floatNames[o.imm & 31];
    case 'base':
      return `(${integerNames[o.rs1]})`;
    case 'offset':
      return `${o.imm}(${integerNames[o.rs1]})`;
    case 'target':
      return address(pc, o.imm);
    case 'csr':
      return csrName(bits >>> 20);
    case 'uimm':
      return String(o.rs1);
    case 'rm':
      return roundingNames[o.rm];
    case 'imm':
      if (name === 'lui' || name === 'auipc' || name === 'c.lui') return hex((o.imm >>> 12) & 0xfffff);
      return format.range?.min === 0 ? hex(o.imm) : String(o.imm);
  }
}

const formOf = (low: number): Compressed | undefined =>
  compressed.find((c) => ((low ^ c.match) & c.mask) === 0 && (c.valid === undefined || c.valid(low)));

/** The instruction that starts with `bits`, as if it lay at `pc` (branch targets are absolute). */
export function disassemble(bits: number, pc = 0n): Disassembled {
  const { index, operands, length } = decode(bits);
  if (index < 0) {
    const text = length === 2 ? `.half 0x${(bits & 0xffff).toString(16)}` : `.word ${hex(bits)}`;
    return { text, length };
  }
  const { name: full, format: formatName } = instructions[index];
  const form = length === 2 ? formOf(bits & 0xffff) : undefined;
  const format = formats[formatName];
  const name = form?.name ?? full;
  const ordering = format.ordering === true ? orderingNames[operands.rm] : '';
  const isDefaultRounding = (part: Part): boolean =>
    part === 'rm' && operands.rm === (exactConversions.has(name) ? 0 : 7);
  const syntax = (compressedSyntax[name] ?? format.syntax).filter((part) => !isDefaultRounding(part));
  const parts = syntax.map((part) => operandText(part, operands, format, name, bits, pc));
  if (name === 'fence') parts.push(fenceSet((bits >>> 24) & 15), fenceSet((bits >>> 20) & 15));
  return { text: `${name}${ordering}${parts.length > 0 ? ' ' : ''}${parts.join(',')}`, length };
}

/** A listing of `code` as it lies at `base`, one instruction per line with its address. */
export function disassembleAll(code: Uint8Array, base: bigint): string {
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  const lines: string[] = [];
  for (let at = 0; at + 2 <= code.length;) {
    const low = view.getUint16(at, true);
    const bits = (low & 3) === 3 && at + 4 <= code.length ? low | (view.getUint16(at + 2, true) << 16) : low;
    const pc = base + BigInt(at);
    const { text, length } = disassemble(bits, pc);
    lines.push(`${pc.toString(16)}: ${text}`);
    at += length;
  }
  return lines.join('\n');
}
