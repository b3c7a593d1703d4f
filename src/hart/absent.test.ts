/** Pages of memory that have no frame until they are touched: at every door to memory that a hart has. */
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import * as S from './state.js';
import { assemble } from './isa/assembler.js';
import { EXIT_SBI } from './exits.js';
import { bareMemory, BareHart } from './testing/bare-hart.js';
import { runParallel } from './testing/parallel.js';
import { CODE, DATA, Stage } from './testing/stage.js';
import { A, D, R, U, V, W, X, leaf } from './testing/sv39.js';

const BASE = 0x8000_0000n;
const pageOf = (physical: bigint): number => Number((physical - BASE) >> 12n);
/** Of memory at a1; a0 has what is stored. */
const doors: readonly { readonly code: string; readonly writes: boolean; readonly size: number }[] = [
  ...['lb', 'lbu', 'lh', 'lhu', 'lw', 'lwu', 'ld'].map((name, i) => ({
    code: `${name} a2, (a1)`,
    writes: false,
    size: [1, 1, 2, 2, 4, 4, 8][i],
  })),
  { code: 'flw fa2, (a1)', writes: false, size: 4 },
  { code: 'fld fa2, (a1)', writes: false, size: 8 },
  { code: 'lr.w a2, (a1)', writes: false, size: 4 },
  { code: 'lr.d a2, (a1)', writes: false, size: 8 },
  ...['sb', 'sh', 'sw', 'sd'].map((name, i) => ({ code: `${name} a0, (a1)`, writes: true, size: 1 << i })),
  { code: 'fsw fa0, (a1)', writes: true, size: 4 },
  { code: 'fsd fa0, (a1)', writes: true, size: 8 },
  ...['amoswap', 'amoadd', 'amoxor', 'amoor', 'amomax', 'amomaxu'].flatMap((name) => [
    { code: `${name}.w a2, a0, (a1)`, writes: true, size: 4 },
    { code: `${name}.d a2, a0, (a1)`, writes: true, size: 8 },
  ]),
];
const BITS = 0x1122_3344_5566_7788n;
const VA = 0x12_3456_7000n;

interface Trial {
  readonly stage: Stage;
  /** Pages that were to be filled, in order. */
  readonly asked: number[];
}

/** A stage whose `answers` to what is to be filled come first; then it is filled. */
function trial(answers: number[] = []): Trial {
  const asked: number[] = [];
  const stage = new Stage({
    fill: (page, give) => {
      asked.push(page);
      return answers.shift() ?? give();
    },
  });
  return { stage, asked };
}

function registers(stage: Stage, address: bigint): void {
  stage.hart.setX(10, BITS);
  stage.hart.setX(11, address);
  stage.hart.setX(12, -1n);
  stage.hart.set(S.F + 8 * 10, BITS);
  stage.hart.set(S.F + 8 * 12, -1n);
}

const stored = (size: number): bigint => BigInt.asUintN(8 * size, BITS);
const loadedOf = (code: string): number => (code.includes('fa2') ? S.F + 8 * 12 : S.X + 8 * 12);
/** A single is boxed. */
const ZERO: Record<string, bigint> = { 'flw fa2, (a1)': -1n << 32n };

describe('an absent page', () => {
  for (const translated of [false, true]) {
    const how = translated ? 'through page tables' : 'by its physical address';
    for (const { code, writes, size } of doors) {
      it(`is filled once and reads as zeros, ${how}: ${code}`, () => {
        const { stage, asked } = trial();
        const { hart } = stage;
        hart.takeAway(DATA);
        if (translated) stage.tables.use();
        stage.tables.map(VA, DATA, V | R | W);
        const va = (translated ? VA : DATA) + 0x7f8n;
        registers(stage, va);
        const end = stage.execute(`${code}\n ld a3, (a1)\n ecall`);
        assert.ok('at' in end && !('reason' in end));
        assert.deepEqual(asked, [pageOf(DATA)]);
        const expected = writes ? stored(size) : 0n;
        assert.equal(BigInt.asUintN(64, hart.x(13)), expected);
        assert.equal(hart.view.getBigUint64(hart.mapped(DATA + 0x7f8n), true), expected);
        if (/a2/.test(code)) assert.equal(hart.get(loadedOf(code)), ZERO[code] ?? 0n);
      });
    }
  }

  it('is filled by a fetch, which finds no instruction in it', () => {
    const { stage, asked } = trial();
    stage.hart.takeAway(DATA);
    assert.deepEqual(stage.run(DATA), { cause: 2n, epc: DATA, tval: 0n });
    assert.deepEqual(asked, [pageOf(DATA)]);
  });

  it('is clear: cbo.zero needs no frame, where it may be written, and clears again what has one', () => {
    const clear = 'cbo.zero (a1)\n ld a2, (a1)\n sd a0, (a1)\n cbo.zero (a1)\n ld a3, (a1)\n ecall';
    for (const translated of [false, true]) {
      const { stage, asked } = trial();
      const { hart } = stage;
      hart.takeAway(DATA);
      if (translated) stage.tables.use();
      stage.tables.map(VA, DATA, V | R | W);
      registers(stage, translated ? VA : DATA);
      assert.ok('at' in stage.execute('cbo.zero (a1)\n addi a1, a1, 64\n cbo.zero (a1)\n ecall'));
      assert.deepEqual(asked, []);
      assert.ok('at' in stage.execute(clear));
      assert.deepEqual(asked, [pageOf(DATA)]);
      assert.deepEqual([hart.x(12), hart.x(13)], [0n, 0n]);
      if (!translated) continue;
      const entry = hart.view.getBigUint64(hart.mapped(stage.tables.entry(VA, 0)), true);
      assert.equal(entry & BigInt(A | D), BigInt(A | D));
    }
    const { stage, asked } = trial();
    stage.hart.takeAway(DATA);
    stage.tables.use();
    stage.tables.map(VA, DATA, V | R);
    registers(stage, VA);
    const end = stage.execute('cbo.zero (a1)\n ecall');
    assert.ok('cause' in end);
    assert.deepEqual([end.cause, end.tval, asked], [15n, VA, []]);
  });

  it('is filled by the second half of an instruction that begins in the page before', () => {
    const { stage, asked } = trial();
    const { hart } = stage;
    const next = DATA + 0x1000n;
    hart.takeAway(next);
    // addi a0, zero, …: its upper half is zeros.
    hart.load(next - 2n, Uint8Array.of(0x13, 0x05));
    const end = stage.run(next - 2n);
    assert.deepEqual(end, { cause: 2n, epc: next + 2n, tval: 0n });
    assert.equal(hart.x(10), 0n);
    assert.deepEqual(asked, [pageOf(next)]);
  });

  for (const { code, writes, size } of doors.filter((d) => d.size > 1 && !/amo|lr/.test(d.code))) {
    it(`may be one of the two that an access lies in: ${code}`, () => {
      for (const absent of [[0], [1], [0, 1]]) {
        for (let before = 1; before < size; before++) {
          const { stage, asked } = trial();
          const { hart } = stage;
          for (const i of absent) hart.takeAway(DATA + BigInt(i) * 0x1000n);
          const va = DATA + 0x1000n - BigInt(before);
          registers(stage, va);
          assert.ok('at' in stage.execute(`${code}\n ecall`));
          assert.deepEqual(asked, absent.map((i) => i + pageOf(DATA))); // prettier-ignore
          const bytes = Array.from({ length: size }, (_, i) => hart.bytes[hart.mapped(va + BigInt(i))]);
          const expected = Array.from({ length: size }, (_, i) =>
            writes ? Number((BITS >> BigInt(8 * i)) & 0xffn) : 0,
          );
          assert.deepEqual(bytes, expected, `${before} before, absent ${absent.join()}`);
        }
      }
    });
  }

  it('holds no valid page table entry, at any level, and is not filled to see that', () => {
    for (const access of ['ld a2, (a1)', 'sd a0, (a1)', 'amoadd.d a2, a0, (a1)', 'jr a1']) {
      for (const level of [0, 1]) {
        const { stage, asked } = trial();
        const { hart, tables } = stage;
        tables.map(VA, DATA, V | R | W | X | A | D);
        const table = tables.entry(VA, level) & ~0xfffn;
        hart.takeAway(table);
        tables.use();
        registers(stage, VA);
        const end = stage.execute(`${access}\n ecall`);
        const cause = access.startsWith('ld') ? 13n : access.startsWith('jr') ? 12n : 15n;
        assert.ok('cause' in end);
        assert.deepEqual([end.cause, end.tval], [cause, VA]);
        assert.deepEqual(asked, []);
      }
    }
  });

  it('takes a page table that is written into it, and A and D bits', () => {
    const { stage, asked } = trial();
    const { hart, tables } = stage;
    const table = DATA + 0x3000n;
    hart.takeAway(table);
    hart.takeAway(DATA);
    tables.map(VA, DATA, V | R | W);
    hart.write64(tables.entry(VA, 1), leaf(table, V));
    tables.map(table, table, V | R | W | A | D);
    tables.use();
    const index = (VA >> 12n) & 511n;
    hart.setX(14, table + 8n * index);
    hart.setX(15, leaf(DATA, V | R | W));
    hart.setX(11, VA + 8n);
    hart.setX(10, BITS);
    assert.ok('at' in stage.execute('sd a5, (a4)\n sfence.vma\n ld a2, (a1)\n sd a0, (a1)\n ecall'));
    assert.deepEqual(asked, [pageOf(table), pageOf(DATA)]);
    assert.equal(hart.view.getBigUint64(hart.mapped(table + 8n * index), true), leaf(DATA, V | R | W | A | D));
    assert.equal(hart.view.getBigUint64(hart.mapped(DATA + 8n), true), BITS);
  });

  it('is walked over by hot code, a page at each turn, as quickly filled as met', () => {
    const { stage, asked } = trial();
    const pages = 64;
    for (let i = 0; i < pages; i++) stage.hart.takeAway(DATA + BigInt(i) * 0x1000n);
    stage.hart.setX(11, DATA + 0x10n);
    const end = stage.execute(
      `li t0, ${pages}\n lui t1, 1\n loop: ld a2, (a1)\n add a3, a3, a2\n sd t0, (a1)\n ld a2, (a1)\n add a4, a4, a2\n add a1, a1, t1\n addi t0, t0, -1\n bnez t0, loop\n ecall`,
    );
    assert.ok('at' in end);
    assert.deepEqual(asked, Array.from({ length: pages }, (_, i) => pageOf(DATA) + i)); // prettier-ignore
    assert.deepEqual([stage.hart.x(13), stage.hart.x(14)], [0n, BigInt((pages * (pages + 1)) / 2)]);
  });
});

describe('where there is no frame now', () => {
  for (const { code, writes, size } of doors) {
    it(`the instruction is begun again, and done once: ${code}`, () => {
      const counts: bigint[] = [];
      for (const answers of [[], [0, 0, 0]]) {
        const { stage, asked } = trial([...answers]);
        const { hart } = stage;
        hart.takeAway(DATA);
        registers(stage, DATA + 0x40n);
        const before = hart.get(S.INSTRET);
        const end = stage.execute(`${code}\n addi a4, a4, 1\n ecall`);
        assert.ok('at' in end && !('reason' in end));
        assert.equal(asked.length, answers.length + 1);
        assert.equal(hart.x(14), 1n);
        assert.equal(hart.view.getBigUint64(hart.mapped(DATA + 0x40n), true), writes ? stored(size) : 0n);
        counts.push(hart.get(S.INSTRET) - before);
      }
      assert.equal(counts[1], counts[0], 'instructions retired');
    });
  }

  it('a store over the end of a page is begun again, and has written nothing till then', () => {
    const seen: number[] = [];
    const stage: Stage = new Stage({
      fill: (_page, give) => {
        seen.push(stage.hart.bytes[stage.hart.mapped(DATA + 0xfffn)]);
        return seen.length < 3 ? 0 : give();
      },
    });
    const { hart } = stage;
    hart.takeAway(DATA + 0x1000n);
    registers(stage, DATA + 0xffcn);
    assert.ok('at' in stage.execute('sd a0, (a1)\n ecall'));
    assert.deepEqual(seen, [0, 0, 0]);
    assert.equal(hart.view.getUint32(hart.mapped(DATA + 0xffcn), true), 0x5566_7788);
    assert.equal(hart.view.getUint32(hart.mapped(DATA + 0x1000n), true), 0x1122_3344);
  });

  it('a fetch is begun again, in the middle of an instruction too', () => {
    const { stage, asked } = trial([0, 0, 0, 0]);
    const { hart } = stage;
    hart.takeAway(DATA);
    hart.takeAway(DATA + 0x2000n);
    assert.deepEqual(stage.run(DATA), { cause: 2n, epc: DATA, tval: 0n });
    assert.equal(asked.length, 5);
    hart.load(DATA + 0x1ffen, Uint8Array.of(0x13, 0x05));
    assert.deepEqual(stage.run(DATA + 0x1ffen), { cause: 2n, epc: DATA + 0x2002n, tval: 0n });
  });

  it('the hart comes back to its loop as soon as it is signalled', () => {
    const stage: Stage = new Stage({
      fill: () => {
        S.signal(stage.hart.words, stage.hart.h);
        return 0;
      },
    });
    const { hart } = stage;
    hart.takeAway(DATA);
    registers(stage, DATA);
    stage.code('li a4, 7\n sd a0, (a1)\n li a4, 8\n ecall');
    hart.pc = CODE;
    for (let turn = 0; turn < 3; turn++) {
      hart.core.run(hart.h, 1_000_000);
      Atomics.store(hart.words, (hart.h + S.SIGNAL) >> 2, 0);
      assert.deepEqual([hart.pc, hart.x(14)], [CODE + 4n, 7n]);
    }
  });
});

describe('where there will be no frame', () => {
  for (const mode of ['U', 'S'] as const) {
    for (const { code, writes } of [...doors, { code: 'jr a1', writes: false }]) {
      it(`the access faults in ${mode} mode: ${code}`, () => {
        const { stage } = trial([S.PAGE_ABSENT]);
        const { hart } = stage;
        hart.takeAway(DATA);
        stage.tables.map(VA, DATA, V | R | W | X | A | D | (mode === 'U' ? U : 0));
        stage.tables.use();
        hart.set(S.SENVCFG, 1n << 7n);
        registers(stage, VA + 0x40n);
        const end = stage.execute(`${code}\n ecall`, mode);
        assert.ok('cause' in end);
        const cause = code.startsWith('jr') ? 1n : writes ? 7n : 5n;
        assert.deepEqual([end.cause, end.tval], [cause, VA + 0x40n]);
        assert.equal(hart.mapped(DATA), -1);
      });
    }
  }
});

describe('two harts at the same absent pages', () => {
  it('meet in one frame each, and lose nothing', async () => {
    const harts = 2;
    const space = bareMemory({ harts });
    const pages = 256;
    const setUp = new BareHart(space);
    for (let i = 0; i < pages; i++) setUp.takeAway(DATA + BigInt(i) * 0x1000n);
    setUp.load(
      CODE,
      assemble(
        `li t0, ${pages}\n lui t1, 1\n li t2, 1\n loop: amoadd.d zero, t2, (a0)\n sd t0, (a1)\n add a0, a0, t1\n add a1, a1, t1\n addi t0, t0, -1\n bnez t0, loop\n ecall`,
        CODE,
      ).code,
    );
    const work = Array.from({ length: harts }, (_, i) => ({
      pc: CODE,
      registers: [[10, DATA], [11, DATA + 64n + 8n * BigInt(i)]] as const, // prettier-ignore
    }));
    assert.deepEqual(await runParallel(space, work), [EXIT_SBI, EXIT_SBI]);
    const frames = new Set<number>();
    for (let i = 0; i < pages; i++) {
      const at = setUp.mapped(DATA + BigInt(i) * 0x1000n);
      frames.add(at >>> 12);
      const words = [0, 64, 72].map((offset) => setUp.view.getBigUint64(at + offset, true));
      assert.deepEqual(words, [2n, BigInt(pages - i), BigInt(pages - i)], `page ${i}`);
    }
    assert.equal(frames.size, pages);
  });
});
