/**
 * Assembler text to machine code, for tests and small pieces of guest code. The syntax of
 * an instruction is that of its format in the table; labels, a few directives and the
 * customary pseudo-instructions come on top.
 */
import { AssemblerError, compress, encode, hasInstruction, instructionNamed } from './encoder.js';
import { csrNumbers, floatNames, integerNames, orderingNames, roundingNames } from './names.js';
import { formats, type Operands } from './table/format.js';

export { AssemblerError, compress, encode } from './encoder.js';
export type { AssemblerErrorCode } from './encoder.js';

export interface Assembled {
  readonly code: Uint8Array;
  /** Addresses of the labels. */
  readonly labels: ReadonlyMap<string, bigint>;
}

const registers = new Map<string, number>();
integerNames.forEach((name, n) => registers.set(name, n).set(`x${n}`, n));
registers.set('fp', 8);
const floatRegisters = new Map<string, number>();
floatNames.forEach((name, n) => floatRegisters.set(name, n).set(`f${n}`, n));

const bad = (text: string, why: string): AssemblerError => new AssemblerError('bad-operand', `${text}: ${why}`);

function register(text: string, file: 'x' | 'f' = 'x'): number {
  const found = (file === 'x' ? registers : floatRegisters).get(text);
  if (found === undefined) throw bad(text, `not ${file === 'x' ? 'an integer' : 'a floating-point'} register`);
  return found;
}

/** One line's statement: a mnemonic and its operands. */
interface Statement {
  readonly mnemonic: string;
  readonly operands: readonly string[];
}

type Resolve = (symbol: string) => bigint;

/** What a statement becomes; its size must not depend on the values of labels. */
interface Piece {
  readonly size: number;
  emit(pc: bigint, resolve: Resolve, view: DataView, at: number): void;
}

function number(text: string): bigint | undefined {
  const match = /^(-?)(0x[0-9a-f]+|0b[01]+|\d+)$/i.exec(text);
  return match === null ? undefined : BigInt(match[2]) * (match[1] === '-' ? -1n : 1n);
}

/** A number, or a symbol, or a symbol plus or minus a number. */
function value(text: string, resolve: Resolve): bigint {
  const plain = number(text);
  if (plain !== undefined) return plain;
  const match = /^([\w.$]+?)(?:\s*([+-])\s*(\w+))?$/.exec(text);
  if (match === null) throw bad(text, 'not a number or symbol');
  const offset = match[3] === undefined ? 0n : number(match[3]);
  if (offset === undefined) throw bad(text, 'the offset is not a number');
  return resolve(match[1]) + (match[2] === '-' ? -offset : offset);
}

const toInt32 = (v: bigint, text: string): number => {
  if (v < -(1n << 31n) || v >= 1n << 32n) throw bad(text, 'does not fit 32 bits');
  return Number(BigInt.asIntN(32, v));
};

const fenceBits = (text: string): number => {
  if (!/^i?o?r?w?$/.test(text)) throw bad(text, 'not a set of i, o, r and w');
  return ['w', 'r', 'o', 'i'].reduce((bits, letter, i) => bits | (text.includes(letter) ? 1 << i : 0), 0);
};

/** Bits of an instruction of the table. */
function instructionBits({ mnemonic, operands: texts }: Statement, pc: bigint, resolve: Resolve): number {
  const { name, ordering } = splitOrdering(mnemonic);
  const { format: formatName } = instructionNamed(name);
  const { syntax, files, range } = formats[formatName];
  if (name === 'fence') {
    const [before = 'iorw', after = 'iorw'] = texts;
    return encode(name, { imm: (fenceBits(before) << 4) | fenceBits(after) });
  }
  const operands: Operands = { rd: 0, rs1: 0, rs2: 0, imm: 0, rm: ordering };
  if (syntax.includes('rm')) operands.rm = name.startsWith('fcvt.d.') && !/\.lu?$/.test(name) ? 0 : 7;
  const needed = syntax.at(-1) === 'rm' ? syntax.length - 1 : syntax.length;
  if (texts.length < needed || texts.length > syntax.length) {
    throw bad(`${mnemonic} ${texts.join(',')}`, `takes ${syntax.join(', ')}`);
  }
  texts.forEach((text, i) => {
    const part = syntax[i];
    switch (part) {
      case 'rd':
      case 'rs1':
      case 'rs2':
        operands[part] = register(text, files[part]);
        return;
      case 'rs3':
        operands.imm = register(text, 'f');
        return;
      case 'base':
      case 'offset': {
        const match = /^(.*)\(\s*(\w+)\s*\)$/.exec(text);
        if (match === null) throw bad(text, 'not a register in parentheses');
        operands.rs1 = register(match[2]);
        if (match[1] !== '') operands.imm = toInt32(value(match[1], resolve), text);
        return;
      }
      case 'target':
        operands.imm = toInt32(BigInt.asIntN(64, value(text, resolve) - pc), text);
        return;
      case 'csr':
        operands.imm = csrNumbers[text] ?? toInt32(value(text, resolve), text);
        return;
      case 'uimm':
        operands.rs1 = toInt32(value(text, resolve), text);
        return;
      case 'rm': {
        operands.rm = roundingNames.indexOf(text);
        if (operands.rm < 0) throw bad(text, 'not a rounding mode');
        return;
      }
      case 'imm': {
        const v = toInt32(value(text, resolve), text);
        // lui and auipc name the upper 20 bits.
        operands.imm = range?.step === 0x1000 ? v << 12 : v;
      }
    }
  });
  return encode(name, operands);
}

function splitOrdering(mnemonic: string): { name: string; ordering: number } {
  const match = /^(.*?)\.(aqrl|aq|rl)$/.exec(mnemonic);
  return match === null
    ? { name: mnemonic, ordering: 0 }
    : { name: match[1], ordering: orderingNames.indexOf(`.${match[2]}`) };
}

const s = (mnemonic: string, ...operands: string[]): Statement => ({ mnemonic, operands });

/** Pseudo-instructions that stand for one instruction (the assembly programmer's handbook). */
const simple: Readonly<Record<string, (o: readonly string[]) => Statement>> = {
  nop: () => s('addi', 'x0', 'x0', '0'),
  mv: ([rd, rs]) => s('addi', rd, rs, '0'),
  not: ([rd, rs]) => s('xori', rd, rs, '-1'),
  neg: ([rd, rs]) => s('sub', rd, 'x0', rs),
  seqz: ([rd, rs]) => s('sltiu', rd, rs, '1'),
  snez: ([rd, rs]) => s('sltu', rd, 'x0', rs),
  j: ([target]) => s('jal', 'x0', target),
  jr: ([rs]) => s('jalr', 'x0', `(${rs})`),
  'sfence.vma': (o) => s('sfence.vma', o[0] ?? 'x0', o[1] ?? 'x0'),
  ret: () => s('jalr', 'x0', '(ra)'),
  beqz: ([rs, target]) => s('beq', rs, 'x0', target),
  bnez: ([rs, target]) => s('bne', rs, 'x0', target),
  bgtz: ([rs, target]) => s('blt', 'x0', rs, target),
  blez: ([rs, target]) => s('bge', 'x0', rs, target),
  csrr: ([rd, csr]) => s('csrrs', rd, csr, 'x0'),
  csrw: ([csr, rs]) => s('csrrw', 'x0', csr, rs),
  csrs: ([csr, rs]) => s('csrrs', 'x0', csr, rs),
  csrc: ([csr, rs]) => s('csrrc', 'x0', csr, rs),
  csrwi: ([csr, imm]) => s('csrrwi', 'x0', csr, imm),
  csrsi: ([csr, imm]) => s('csrrsi', 'x0', csr, imm),
  csrci: ([csr, imm]) => s('csrrci', 'x0', csr, imm),
};

/** Instructions that put a 64-bit constant into a register. */
function loadConstant(rd: number, constant: bigint): number[] {
  const v = BigInt.asIntN(64, constant);
  const low = Number(BigInt.asIntN(12, v));
  if (v >= -2048n && v < 2048n) return [encode('addi', { rd, imm: low })];
  if (v >= -(1n << 31n) && v < 1n << 31n) {
    const upper = encode('lui', { rd, imm: Number(BigInt.asIntN(32, v - BigInt(low))) });
    return low === 0 ? [upper] : [upper, encode('addiw', { rd, rs1: rd, imm: low })];
  }
  // What is left above the low 12 bits, without its trailing zeros, is put there first.
  let rest = (v - BigInt(low)) >> 12n;
  let shift = 12;
  while ((rest & 1n) === 0n) {
    rest >>= 1n;
    shift++;
  }
  const tail = low === 0 ? [] : [encode('addi', { rd, rs1: rd, imm: low })];
  const high = BigInt.asIntN(64 - shift, rest);
  return [...loadConstant(rd, high), encode('slli', { rd, rs1: rd, imm: shift }), ...tail];
}

const words = (bits: readonly number[]): Piece => ({
  size: 4 * bits.length,
  emit: (_pc, _resolve, view, at) => bits.forEach((w, i) => view.setInt32(at + 4 * i, w, true)),
});

/** Data: each operand takes `size` bytes. */
const data = (operands: readonly string[], size: 2 | 4 | 8): Piece => ({
  size: size * operands.length,
  emit: (_pc, resolve, view, at) =>
    operands.forEach((text, i) => {
      const v = value(text, resolve);
      if (size === 8) view.setBigInt64(at + 8 * i, BigInt.asIntN(64, v), true);
      else if (size === 4) view.setUint32(at + 4 * i, Number(BigInt.asUintN(32, v)), true);
      else view.setUint16(at + 2 * i, Number(BigInt.asUintN(16, v)), true);
    }),
});

/** auipc and addi: works anywhere within 2 GiB of the symbol. */
function loadAddress([rd, symbol]: readonly string[]): Piece {
  const n = register(rd);
  return {
    size: 8,
    emit: (pc, resolve, view, at) => {
      const offset = toInt32(value(symbol, resolve) - pc, symbol);
      const low = (offset << 20) >> 20;
      view.setInt32(at, encode('auipc', { rd: n, imm: (offset - low) | 0 }), true);
      view.setInt32(at + 4, encode('addi', { rd: n, rs1: n, imm: low }), true);
    },
  };
}

/** `c.` before a mnemonic asks for its compressed form. */
function short(statement: Statement): Piece {
  const { mnemonic, operands } = statement;
  return {
    size: 2,
    emit: (pc, resolve, view, at) => {
      const bits = instructionBits(s(mnemonic.slice(2), ...operands), pc, resolve);
      const o = operandsOf(mnemonic.slice(2), bits);
      const compressed = compress(mnemonic.slice(2), o);
      if (compressed === undefined) throw bad(`${mnemonic} ${operands.join(',')}`, 'has no compressed form');
      view.setUint16(at, compressed, true);
    },
  };
}
function operandsOf(name: string, bits: number): Partial<Operands> {
  const { syntax, immediate } = formats[instructionNamed(name).format];
  const has = (...parts: string[]): boolean => syntax.some((part) => parts.includes(part));
  return {
    rd: has('rd') ? (bits >>> 7) & 31 : 0,
    rs1: has('rs1', 'offset', 'base') ? (bits >>> 15) & 31 : 0,
    rs2: has('rs2') ? (bits >>> 20) & 31 : 0,
    imm: immediate(bits),
  };
}

function pieceOf(statement: Statement, at: number): Piece {
  const { mnemonic, operands } = statement;
  switch (mnemonic) {
    case '.half':
      return data(operands, 2);
    case '.word':
      return data(operands, 4);
    case '.dword':
      return data(operands, 8);
    case '.space':
    case '.align': {
      const n = number(operands[0] ?? '');
      if (n === undefined) throw bad(mnemonic, 'takes a number');
      const size = mnemonic === '.space' ? Number(n) : -at & ((1 << Number(n)) - 1);
      return { size, emit: () => undefined };
    }
    case 'la':
      return loadAddress(operands);
    case 'li': {
      const constant = number(operands[1] ?? '');
      if (constant === undefined) throw bad(`li ${operands.join(',')}`, 'takes a register and a number');
      return words(loadConstant(register(operands[0]), constant));
    }
  }
  const whole = Object.hasOwn(simple, mnemonic) ? simple[mnemonic](operands) : statement;
  if (whole.mnemonic.startsWith('c.') && hasInstruction(whole.mnemonic.slice(2))) return short(whole);
  instructionNamed(splitOrdering(whole.mnemonic).name);
  return {
    size: 4,
    emit: (pc, resolve, view, offset) => view.setInt32(offset, instructionBits(whole, pc, resolve), true),
  };
}

/**
 * Assembles `source` for address `base`: one statement per line or between semicolons, labels
 * with a colon, comments after `#`. `symbols` are known beside the labels.
 * Throws AssemblerError, its message beginning with the line.
 *
 * @example
 * assemble('li a0, 1\n loop: addi a0, a0, 1\n j loop', 0x8000_0000n).code.length; // 12
 */
export function assemble(source: string, base: bigint, symbols: Readonly<Record<string, bigint>> = {}): Assembled {
  const labels = new Map<string, bigint>();
  const pieces: { piece: Piece; at: number; line: number; text: string }[] = [];
  let end = 0;
  for (const [index, raw] of source.split('\n').entries()) {
    for (let text of raw.replace(/#.*/, '').split(';')) {
      located(index + 1, raw, () => {
        for (let match; (match = /^\s*([\w.$]+):/.exec(text)) !== null; text = text.slice(match[0].length)) {
          if (labels.has(match[1])) throw new AssemblerError('duplicate-label', `${match[1]} is there already`);
          labels.set(match[1], base + BigInt(end));
        }
        const [mnemonic = '', ...rest] = text.trim().split(/\s+/);
        if (mnemonic === '') return;
        const operands =
          rest.length === 0
            ? []
            : rest
                .join(' ')
                .split(',')
                .map((part) => part.trim());
        const piece = pieceOf(s(mnemonic, ...operands), end);
        pieces.push({ piece, at: end, line: index + 1, text: raw });
        end += piece.size;
      });
    }
  }
  const code = new Uint8Array(end);
  const view = new DataView(code.buffer);
  const resolve: Resolve = (symbol) => {
    const found = labels.get(symbol) ?? (Object.hasOwn(symbols, symbol) ? symbols[symbol] : undefined);
    if (found === undefined) throw new AssemblerError('unknown-symbol', `${symbol} is not defined`);
    return found;
  };
  for (const { piece, at, line, text } of pieces) {
    located(line, text, () => piece.emit(base + BigInt(at), resolve, view, at));
  }
  return { code, labels };
}

function located(line: number, text: string, body: () => void): void {
  try {
    body();
  } catch (error) {
    if (!(error instanceof AssemblerError)) throw error;
    throw new AssemblerError(error.code, `line ${line}, "${text.trim()}": ${error.message}`);
  }
}
