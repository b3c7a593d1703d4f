/** Assembler and disassembler against GNU's, for every instruction and compressed form; and the text they take. */
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AssemblerError, assemble, encode } from './assembler.js';
import { disassemble } from './disassembler.js';
import { encodeForm } from './encoder.js';
import { csrNumbers } from './names.js';
import { compressed } from './table/compressed.js';
import { formats } from './table/format.js';
import { instructions } from './table/index.js';
import { BareHart } from '../testing/bare-hart.js';
import { Random } from '../testing/random.js';

const MARCH = 'rv64gc_zba_zbb_zbs_zicboz_zicsr_zifencei_sstc';
const EACH = 12;

function gnu(tool: string, args: readonly string[]): string {
  const { error, status, stdout, stderr } = spawnSync(`riscv64-linux-gnu-${tool}`, args, { encoding: 'utf8' });
  if (error !== undefined) throw new Error(`needs the Debian package binutils-riscv64-linux-gnu: ${error.message}`);
  assert.equal(status, 0, stderr);
  return stdout;
}

/** Random encodings of every instruction that GNU knows; branch targets stay even and positive. */
function samples(random: Random): number[] {
  const all: number[] = [];
  for (const { name, format } of instructions) {
    // Ours alone; and fences are printed by their sets, of which some have no name.
    if (name === 'ring') continue;
    const { range, syntax } = formats[format];
    for (let i = 0; i < EACH; i++) {
      const steps = range === undefined ? 0 : Math.floor((range.max - range.min) / range.step);
      const imm =
        range === undefined ? 0 : range.min + Math.floor(((random.bits() >>> 0) / 2 ** 32) * (steps + 1)) * range.step;
      const ordering = formats[format].ordering === true;
      all.push(
        encode(name, {
          rd: random.below(32),
          rs1: random.below(32),
          rs2: random.below(32),
          imm: syntax.includes('csr')
            ? random.pick(Object.values(csrNumbers))
            : name === 'fence'
              ? (1 + random.below(15)) * 17
              : imm,
          rm: ordering ? random.below(4) : /^fcvt\.d\.(s|wu?)$/.test(name) ? 0 : random.pick([0, 1, 2, 3, 4, 7]),
        }),
      );
    }
  }
  return all;
}

/** Random encodings of every compressed form, but for hints, which GNU prints in its own ways. */
function shortSamples(random: Random): number[] {
  return compressed.flatMap((form) =>
    Array.from({ length: EACH }, () => {
      for (;;) {
        const bits = form.match | (random.bits() & ~form.mask & 0xffff);
        const o = form.operands(bits);
        const isHint =
          o.rd === 0 &&
          !['c.j', 'c.jr', 'c.beqz', 'c.bnez', 'c.ebreak'].includes(form.name) &&
          !/^c\.f?s[wd]/.test(form.name) &&
          !/^c\.fl/.test(form.name);
        const noShift = /^c\.s[lr][la]i/.test(form.name) && o.imm === 0;
        const noAdd = form.name === 'c.addi' && o.imm === 0;
        if (!isHint && !noShift && !noAdd && (form.valid === undefined || form.valid(bits))) return bits;
      }
    }),
  );
}

function inFolder<T>(body: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'assembler-'));
  try {
    return body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const random = new Random(3);
const words = [...samples(random).map((bits) => [bits, 4] as const), ...shortSamples(random).map((bits) => [bits, 2] as const)]; // prettier-ignore

/** Addresses of the samples, one after the other. */
function layOut(): number[] {
  let end = 0;
  return words.map(([, size]) => (end += size) - size);
}

const isJump = (text: string): boolean => /^(c\.)?(j|jal|b(eqz|nez|eq|ne|lt|ge|ltu|geu)) /.test(text);

describe('encodings', () => {
  const at = layOut();
  const texts = words.map(([bits], i) => disassemble(bits, BigInt(at[i])).text);

  it('are printed as objdump prints them', () => {
    const printed = inFolder((folder) => {
      // Raw encodings in an object file that says which extensions there are.
      const source = words.map(([bits, size]) => `.insn ${size}, 0x${(bits >>> 0).toString(16)}\n`).join('');
      writeFileSync(join(folder, 'in.s'), source);
      gnu('as', [`-march=${MARCH}`, '-o', join(folder, 'out.o'), join(folder, 'in.s')]);
      return gnu('objdump', ['-d', '-M', 'no-aliases', join(folder, 'out.o')]);
    });
    const theirs = new Map<number, string>();
    for (const match of printed.matchAll(/^\s*([0-9a-f]+):\t[0-9a-f ]+\t(.*)$/gm)) {
      theirs.set(
        parseInt(match[1], 16),
        match[2]
          .replace(/\s*(#.*|<.*)$/, '')
          .replace('\t', ' ')
          .replace('0x0x', '0x')
          .trim(),
      );
    }
    // GNU prints a target with 0x only where it knows no symbol.
    const withoutPrefix = (text: string): string => text.replace(/0x([0-9a-f]+)$/, '$1');
    texts.forEach((text, i) => {
      const jumps = isJump(text);
      const expected = theirs.get(at[i]) ?? '';
      const what = `0x${(words[i][0] >>> 0).toString(16)}`;
      assert.equal(jumps ? withoutPrefix(text) : text, jumps ? withoutPrefix(expected) : expected, what);
    });
  });

  it('assemble back to the same bits, by GNU as and by ours', () => {
    const all = words.map(([bits, size], i) => ({ bits, size, text: texts[i], at: at[i] }));
    // GNU as makes relocations of targets that are numbers.
    const plain = all.filter(({ text }) => !isJump(text));
    const source = plain.map(({ text }) => text).join('\n') + '\n';
    const theirs = inFolder((folder) => {
      writeFileSync(
        join(folder, 'in.s'),
        `.option norelax\n.option norvc\n${source.replace(/^(c\..*)$/gm, '.option rvc\n$1\n.option norvc')}`,
      );
      gnu('as', [`-march=${MARCH}`, '-o', join(folder, 'out.o'), join(folder, 'in.s')]);
      gnu('objcopy', ['-O', 'binary', '-j', '.text', join(folder, 'out.o'), join(folder, 'out')]);
      return new Uint8Array(readFileSync(join(folder, 'out')));
    });
    const size = plain.reduce((sum, { size: s }) => sum + s, 0);
    const expected = new DataView(new ArrayBuffer(size));
    let end = 0;
    for (const { bits, size: s } of plain) {
      if (s === 4) expected.setInt32(end, bits, true);
      else expected.setUint16(end, bits, true);
      end += s;
    }
    assert.ok(plain.length > words.length * 0.8);
    assert.deepEqual(theirs, new Uint8Array(expected.buffer));
    for (const { text, bits, size: s, at: pc } of all.filter(({ size: n }) => n === 4)) {
      const { code } = assemble(text, BigInt(pc));
      assert.equal(new DataView(code.buffer).getInt32(0, true), bits, `${text}, ${s} bytes`);
    }
  });

  it('of compressed forms are found again from their operands', () => {
    const any = new Random(5);
    for (const form of compressed) {
      for (let i = 0; i < 200; i++) {
        const bits = form.match | (any.bits() & ~form.mask & 0xffff);
        if (form.valid !== undefined && !form.valid(bits)) continue;
        const again = encodeForm(form, form.operands(bits));
        assert.notEqual(again, undefined, form.name);
        assert.deepEqual(form.operands(again!), form.operands(bits), form.name);
      }
    }
  });
});

describe('assembler text', () => {
  it('loads any constant', () => {
    const hart = new BareHart();
    const any = new Random(9);
    const values = Array.from({ length: 300 }, () => BigInt.asIntN(64, any.bits64() >> BigInt(any.below(64))));
    values.push(
      0n,
      -1n,
      2047n,
      2048n,
      -2048n,
      -2049n,
      0x7fff_ffffn,
      0x7fff_f800n,
      0x8000_0000n,
      -(1n << 31n),
      -(1n << 63n),
      (1n << 63n) - 1n,
    );
    for (const value of values) {
      hart.load(0x8000_0000n, assemble(`li a0, ${value}\n ecall`, 0x8000_0000n).code);
      hart.pc = 0x8000_0000n;
      hart.run();
      assert.equal(hart.x(10), value, `${value}`);
    }
  });

  it('knows labels, symbols, data and alignment', () => {
    const { code, labels } = assemble('start: j end\n .align 3\n end: .dword start + 4, here', 0x1000n, { here: 5n });
    assert.equal(labels.get('end'), 0x1008n);
    const view = new DataView(code.buffer);
    assert.deepEqual([view.getUint32(0, true), view.getBigUint64(8, true), view.getBigUint64(16, true)], [encode('jal', { imm: 8 }), 0x1004n, 5n]); // prettier-ignore
  });

  for (const [source, code] of [
    ['fly a0', 'unknown-instruction'],
    ['addi a0, a1, 2048', 'operand-out-of-range'],
    ['addi a0, a1', 'bad-operand'],
    ['addi a0, f1, 1', 'bad-operand'],
    ['j nowhere', 'unknown-symbol'],
    ['a: a: nop', 'duplicate-label'],
    ['lw a0, 4', 'bad-operand'],
  ] as const) {
    it(`says what is wrong with "${source}"`, () =>
      assert.throws(
        () => assemble(`nop\n${source}`, 0n),
        (error) => error instanceof AssemblerError && error.code === code && error.message.startsWith('line 2'),
      ));
  }
});
