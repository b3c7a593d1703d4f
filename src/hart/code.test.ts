/** Code that changes, moves, straddles pages or is shared: what fetches must see, and when. */
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { assemble, compress, encode } from './isa/assembler.js';
import * as S from './state.js';
import { CODE, DATA, HANDLER, li, Stage } from './testing/stage.js';
import { A, D, R, V, W, X } from './testing/sv39.js';

describe('code that changes', () => {
  it('is executed as it was stored, after fence.i', () => {
    const stage = new Stage();
    stage.hart.setX(11, li(10, 2));
    const source = `la a2, patch\n li s0, 0\n again: patch: li a0, 1\n bnez s0, done
      sw a1, (a2)\n fence.i\n mv s1, a0\n li s0, 1\n j again\n done: ecall`;
    const end = stage.execute(source);
    assert.ok('at' in end);
    assert.deepEqual([stage.hart.x(9), stage.hart.x(10)], [1n, 2n]);
  });

  it('a thousand times over in a row, hot each time', () => {
    const stage = new Stage();
    // The loop adds the immediate of `patch` 50 times; then the immediate is replaced by the round's number.
    const source = `la a2, patch\n li s0, 0\n li s1, 0\n li s2, 1000
      round: li t0, 50\n patch: addi s1, s1, 0\n addi t0, t0, -1\n bnez t0, patch
      addi s0, s0, 1\n slli a1, s0, 20\n lw a3, (a2)\n slli a3, a3, 44\n srli a3, a3, 44\n or a1, a1, a3\n sw a1, (a2)\n fence.i
      blt s0, s2, round\n ecall`;
    stage.code(source);
    assert.ok('at' in stage.run(CODE, 'S', 10_000_000));
    assert.equal(stage.hart.x(9), (50n * (999n * 1000n)) / 2n);
  });

  it('through another mapping of its frame', () => {
    const stage = new Stage();
    const { hart, tables } = stage;
    const alias = 0x5000_0000n;
    tables.map(alias, DATA, V | R | W | A | D);
    tables.map(0x5100_1000n, DATA, V | R | X | A | D);
    tables.use();
    hart.load(DATA, assemble('li a0, 1\n ret', 0n).code);
    hart.setX(11, li(10, 2));
    hart.setX(12, alias);
    hart.setX(13, 0x5100_1000n);
    stage.execute('jalr ra, (a3)\n mv s0, a0\n sw a1, (a2)\n fence.i\n jalr ra, (a3)\n mv s1, a0\n ecall');
    assert.deepEqual([hart.x(8), hart.x(9)], [1n, 2n]);
  });

  it('by stores of every kind: bytes, across a page, atomics, cbo.zero', () => {
    for (const store of [
      'sb a1, (a2)',
      'sh a1, (a2)',
      'sd a1, (a2)',
      'amoswap.w t0, a1, (a2)',
      'cbo.zero (a2)',
      'sd a4, -4(a2)',
    ]) {
      const stage = new Stage();
      const { hart } = stage;
      // What is patched begins a page, so that the last kind crosses into it.
      hart.load(DATA, assemble('.half 0x4505\n ret', 0n).code); // c.li a0, 1
      const patched = BigInt(compress('addi', { rd: 10, imm: 2 })!) | 0x8082_0000n; // c.li a0, 2; ret
      hart.setX(11, patched);
      hart.setX(14, patched << 32n);
      hart.setX(12, DATA);
      const end = stage.execute(`jalr ra, (a2)\n mv s0, a0\n ${store}\n fence.i\n jalr ra, (a2)\n mv s1, a0\n ecall`);
      assert.equal(hart.x(8), 1n);
      if (store.startsWith('cbo')) assert.ok('cause' in end && end.cause === 2n && end.epc === DATA, store);
      else assert.equal(hart.x(9), 2n, store);
    }
  });

  it('loads and stores beside code in one page keep working', () => {
    const stage = new Stage();
    const end = stage.execute(
      'la a0, data\n li t0, 1000\n loop: ld a1, (a0)\n addi a1, a1, 3\n sd a1, (a0)\n addi t0, t0, -1\n bnez t0, loop\n ecall\n .align 3\n data: .dword 0',
    );
    assert.ok('at' in end);
    assert.equal(stage.hart.x(11), 3000n);
  });

  it('pages of code far more than are kept decoded', () => {
    const stage = new Stage();
    const { hart, tables } = stage;
    // 2048 virtual pages over 128 frames, each a function that counts its frame's number.
    const first = 0x5000_0000n;
    for (let i = 0; i < 128; i++) hart.load(DATA + BigInt(i) * 0x1000n, assemble(`addi s0, s0, ${i}\n ret`, 0n).code);
    for (let i = 0; i < 2048; i++) {
      tables.map(first + BigInt(i) * 0x1000n, DATA + BigInt(i % 128) * 0x1000n, V | R | X | A | D);
    }
    tables.use();
    hart.setX(10, first);
    stage.code(
      'li s1, 3\n more: li t0, 2048\n mv a1, a0\n lui a2, 1\n loop: jalr ra, (a1)\n add a1, a1, a2\n addi t0, t0, -1\n bnez t0, loop\n addi s1, s1, -1\n bnez s1, more\n ecall',
    );
    assert.ok('at' in stage.run(CODE, 'S', 1_000_000));
    assert.equal(hart.x(8), 3n * 16n * ((127n * 128n) / 2n));
  });
});

describe('instructions that straddle two pages', () => {
  const FIRST = 0x6000_0000n;
  const SECOND = FIRST + 0x1000n;

  function straddling(source: string, second = DATA + 0x5000n): Stage {
    const stage = new Stage();
    const { code } = assemble(source, SECOND - 2n);
    stage.hart.load(DATA + 0xffen, code.slice(0, 2));
    stage.hart.load(second, code.slice(2));
    stage.tables.map(FIRST, DATA, V | R | X | A | D);
    return stage;
  }

  it('are put together from frames that are not neighbours', () => {
    const stage = straddling('li a0, 5\n ecall');
    stage.tables.map(SECOND, DATA + 0x5000n, V | R | X | A | D);
    stage.tables.use();
    assert.deepEqual(stage.run(SECOND - 2n), { at: SECOND + 2n });
    assert.equal(stage.hart.x(10), 5n);
  });

  it('fault with the second half missing: sepc at the instruction, stval at the page', () => {
    const stage = straddling('li a0, 5\n ecall');
    stage.tables.use();
    assert.deepEqual(stage.run(SECOND - 2n), { cause: 12n, epc: SECOND - 2n, tval: SECOND });
    // A handler maps it and goes back.
    stage.tables.map(SECOND, DATA + 0x5000n, V | R | X | A | D);
    stage.hart.load(HANDLER + 4n, assemble('sfence.vma\n sret', 0n).code);
    stage.hart.pc = HANDLER + 4n;
    stage.hart.run();
    assert.equal(stage.hart.x(10), 5n);
  });

  it('fault on access when the second half is outside memory', () => {
    const stage = straddling('li a0, 5\n ecall');
    stage.tables.map(SECOND, 0x1000n, V | R | X | A | D);
    stage.tables.use();
    assert.deepEqual(stage.run(SECOND - 2n), { cause: 1n, epc: SECOND - 2n, tval: SECOND });
  });

  it('work as branches, jumps, links and loads, forwards and backwards', () => {
    for (const [source, result] of [
      ['jal a0, on\n nop\n on: ecall', SECOND + 2n],
      ['beq zero, zero, on\n li a0, 1\n on: ecall', 0n],
      ['auipc a0, 0\n ecall', SECOND - 2n],
      ['ld a0, (a1)\n ecall', 0x1122n],
    ] as const) {
      const stage = straddling(source);
      stage.tables.map(SECOND, DATA + 0x5000n, V | R | X | A | D);
      stage.tables.map(0x5000_0000n, DATA + 0x6000n, V | R | A | D);
      stage.hart.write64(DATA + 0x6000n, 0x1122n);
      stage.hart.setX(11, 0x5000_0000n);
      stage.tables.use();
      assert.ok('at' in stage.run(SECOND - 2n), source);
      assert.equal(stage.hart.x(10), result, source);
    }
  });

  it('work in a hot loop', () => {
    const stage = straddling('loop: addi a0, a0, 3\n addi t0, t0, -1\n bnez t0, loop\n ecall');
    stage.tables.map(SECOND, DATA + 0x5000n, V | R | X | A | D);
    stage.tables.use();
    stage.hart.setX(5, 20_000n);
    stage.code('nop');
    assert.ok('at' in stage.run(SECOND - 2n, 'S', 1_000_000));
    assert.equal(stage.hart.x(10), 60_000n);
  });

  it('see a change of either half after fence.i', () => {
    for (const half of [0, 1]) {
      const stage = straddling('li a0, 5\n ret');
      const { hart, tables } = stage;
      tables.map(SECOND, DATA + 0x5000n, V | R | X | A | D);
      const [page, offset] = half === 0 ? [DATA, 0xffen] : [DATA + 0x5000n, 0n];
      tables.map(0x5000_0000n, page, V | R | W | A | D);
      tables.use();
      const changed =
        half === 0 ? encode('addi', { rd: 11, imm: 5 }) & 0xffff : encode('addi', { rd: 10, imm: 6 }) >>> 16;
      hart.setX(12, 0x5000_0000n + offset);
      hart.setX(13, BigInt(changed));
      hart.setX(14, SECOND - 2n);
      stage.execute(
        'jalr ra, (a4)\n mv s0, a0\n li a0, 0\n sh a3, (a2)\n fence.i\n jalr ra, (a4)\n mv s1, a0\n mv s2, a1\n ecall',
      );
      assert.equal(hart.x(8), 5n);
      assert.deepEqual([hart.x(9), hart.x(18)], half === 0 ? [0n, 5n] : [6n, 0n]);
    }
  });

  it('leave the page end to the next page when they do not straddle', () => {
    const stage = new Stage();
    stage.hart.set(S.STVEC, 0x8000_3000n);
    stage.code('.space 4094\n .half 0x4515\n li a1, 6\n ecall'); // c.li a0, 5
    assert.deepEqual(stage.run(CODE + 4094n), { at: CODE + 4100n });
    assert.deepEqual([stage.hart.x(10), stage.hart.x(11)], [5n, 6n]);
  });
});
