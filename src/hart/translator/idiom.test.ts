/** Loops that copy or fill memory: which are taken for that, and that they do what they did. */
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { assemble } from '../isa/assembler.js';
import { EXIT_SIGNAL } from '../exits.js';
import { INSTRET, X } from '../state.js';
import { randomLoop } from '../testing/loops.js';
import { oneHasTrapped } from '../testing/lockstep.js';
import { Random } from '../testing/random.js';
import { CODE, DATA, Stage, TABLES } from '../testing/stage.js';
import { A, D, R, V, W } from '../testing/sv39.js';
import { discover } from './discover.js';
import { idiomsOf, type Idiom } from './idiom.js';
import { structure } from './structure.js';

const LOOPS = Number(process.env['HART_LOOPS'] ?? 200);
const SEED = Number(process.env['HART_SEED'] ?? 1);

/** Idioms of the code at the label `loop`, or of all of it. */
function idiomsIn(source: string): Idiom[] {
  const { code } = assemble(`${source}\n ecall`, 0n);
  const view = new DataView(new ArrayBuffer(4096));
  code.forEach((byte, i) => view.setUint8(i, byte));
  const page = { distance: 0, hostPage: 0x1000, word: 0 };
  const graph = discover(
    {
      page: (distance) => (distance === 0 ? page : undefined),
      halfword: (_, at) => view.getUint16(at, true),
      executed: (_, at) => at < code.length,
      arrivals: () => [],
    },
    0,
    300,
  );
  return [...idiomsOf(structure(graph.entry)).values()].flatMap((found) => [...found.values()]);
}

const WORDS = [0, 8, 16, 24, 32, 40, 48, 56];

/** Loops of C libraries and kernels. */
const MEMSET = `loop: ${WORDS.map((at) => `sd a2, ${at}(a0)`).join('\n')}\n addi a0, a0, 64\n bne a0, s1, loop`;
const KERNEL_COPY = `loop: ${WORDS.map((at, i) => `ld t${i % 7}, ${at}(a1)\n sd t${i % 7}, ${at}(a0)`).join('\n')}
  addi a0, a0, 64\n addi a1, a1, 64\n bltu a0, s1, loop`;
/** glibc's: what is stored first was loaded last; the test is in the middle; left at the place of a store. */
const PIPELINED = `mv a5, a0\n ld a4, 0(a1)\n addi a1, a1, 8\n addi a5, a0, -16\n addi a1, a1, -16\n addi a5, a5, 0\n j middle
  middle: addi a0, a5, 16
  loop: ld a6, 16(a1)\n addi a3, a5, 24\n sd a4, 0(a0)\n ld a4, 24(a1)\n addi a0, a5, 32\n sd a6, 0(a3)
  addi s0, s0, -2\n addi a5, a5, 16\n mv a0, a5\n addi a0, a0, 16\n addi a1, a1, 16\n beqz s0, done
  ld a6, 8(a1)\n j loop\n done: sd a4, 0(a0)`;
const BYTES = 'loop: lbu a3, 0(a1)\n addi a0, a0, 1\n addi a1, a1, 1\n sb a3, -1(a0)\n bne s1, a0, loop';
/** Words put together from two; a6 and a7 say by how much they are shifted. */
const JOINED = `andi t0, a1, 7\n slli a6, t0, 3\n li a7, 64\n sub a7, a7, a6\n sub a1, a1, t0\n ld a4, 0(a1)
  loop: ld a5, 8(a1)\n srl a4, a4, a6\n sll t1, a5, a7\n or a4, a4, t1\n sd a4, 0(a0)
  ld a4, 16(a1)\n srl a5, a5, a6\n addi a1, a1, 16\n sll t1, a4, a7\n or a5, a5, t1\n sd a5, 8(a0)\n addi a0, a0, 16
  bne a0, s1, loop`;

describe('idioms', () => {
  const known: Readonly<Record<string, readonly [source: string, stride: number, steps: number]>> = {
    'memset by words': [MEMSET, 64, 10],
    'memset by bytes': ['loop: sb zero, (a0)\n addi a0, a0, 1\n bltu a0, s1, loop', 1, 3],
    'a copy by words': [KERNEL_COPY, 64, 19],
    'a copy by bytes': [BYTES, 1, 5],
    'a pipelined copy': [PIPELINED, 16, 14],
    'an unaligned copy by words': [JOINED, 16, 13],
    'different widths': [
      'loop: lw t0, (a1)\n lh t1, 4(a1)\n sh t1, 4(a0)\n sw t0, (a0)\n addi a0, a0, 6\n addi a1, a1, 6\n addi s0, s0, -1\n bge s0, zero, loop',
      6,
      8,
    ],
    'a test at the head': ['loop: bgeu a0, s1, done\n sd a2, (a0)\n addi a0, a0, 8\n j loop\n done: nop', 8, 4],
  };
  for (const [name, [source, stride, steps]] of Object.entries(known)) {
    it(`${name} is one`, () => {
      const found = idiomsIn(source);
      assert.deepEqual(
        found.map((idiom) => [idiom.stride, idiom.steps]),
        [[stride, steps]],
      );
    });
  }

  const copy = (body: string): string => `loop: ${body}\n addi a1, a1, 16\n addi a0, a0, 16\n bne a0, s1, loop`;
  const near: Readonly<Record<string, string>> = {
    'a gap': copy('ld a4, (a1)\n sd a4, (a0)\n lw a4, 8(a1)\n sw a4, 8(a0)'),
    'bytes written twice': copy('ld a4, (a1)\n sd a4, (a0)\n ld a4, 8(a1)\n sd a4, 8(a0)\n sd a4, 8(a0)'),
    'a width that changes': copy('lw a4, (a1)\n sd a4, (a0)\n ld a4, 8(a1)\n sd a4, 8(a0)'),
    'words in another order': copy('ld a4, (a1)\n sd a4, 8(a0)\n ld a4, 8(a1)\n sd a4, (a0)'),
    'a value that is changed': copy('ld a4, (a1)\n addi a4, a4, 1\n sd a4, (a0)\n ld a4, 8(a1)\n sd a4, 8(a0)'),
    'a sum that is used': copy('ld a4, (a1)\n add a2, a2, a4\n sd a4, (a0)\n ld a4, 8(a1)\n sd a4, 8(a0)'),
    'a way down': 'loop: ld a4, (a1)\n sd a4, (a0)\n addi a1, a1, -8\n addi a0, a0, -8\n bne a0, s1, loop',
    'a source that stays': 'loop: ld a4, (a1)\n sd a4, (a0)\n addi a0, a0, 8\n bne a0, s1, loop',
    'a source that is slower': 'loop: lb a4, (a1)\n sd a4, (a0)\n addi a1, a1, 1\n addi a0, a0, 8\n bne a0, s1, loop',
    'one base for both': 'loop: ld a4, 256(a0)\n sd a4, (a0)\n addi a0, a0, 8\n bne a0, s1, loop',
    'an end that moves away': 'loop: sd a2, (a0)\n addi a0, a0, 8\n addi s1, s1, 8\n bne a0, s1, loop',
    'a test of what is loaded': 'loop: lb a4, (a1)\n sb a4, (a0)\n addi a1, a1, 1\n addi a0, a0, 1\n bnez a4, loop',
    'two ways out': 'loop: sd a2, (a0)\n addi a0, a0, 8\n beq a0, s0, done\n bne a0, s1, loop\n done: nop',
    'a filling that counts': 'loop: sd a2, (a0)\n addi a2, a2, 1\n addi a0, a0, 8\n bne a0, s1, loop',
    'a fence': 'loop: sd a2, (a0)\n fence\n addi a0, a0, 8\n bne a0, s1, loop',
    'an atomic': 'loop: sd a2, (a0)\n amoadd.d zero, a2, (a1)\n addi a0, a0, 8\n bne a0, s1, loop',
    'a test that wraps around': 'loop: sd a2, (a0)\n addi a0, a0, 8\n addi s1, s1, 4\n bltu a0, s1, loop',
  };
  for (const [name, source] of Object.entries(near)) {
    it(`${name}: none`, () => assert.deepEqual(idiomsIn(source), []));
  }
});

const PAGE = 0x6000_0000n;
const PAGES = 12;
const DATA_PAGE = V | R | W | A | D;
/** Frames and flags of the pages from PAGE on: two are the same, one may only be read, one is missing, one is clean. */
const MAPPED: readonly (readonly [frame: number, flags: number])[] = [
  [0, DATA_PAGE],
  [1, DATA_PAGE],
  [2, DATA_PAGE],
  [3, DATA_PAGE],
  [4, V | R | A],
  [5, DATA_PAGE],
  [0, DATA_PAGE],
  [2, DATA_PAGE],
  [7, V | R | W],
  [8, DATA_PAGE],
  [0, 0],
  [9, DATA_PAGE],
];

function stageOn(engine: string): Stage {
  const stage = new Stage({}, engine);
  MAPPED.forEach(([frame, flags], i) =>
    stage.tables.map(PAGE + BigInt(i) * 0x1000n, DATA + BigInt(frame) * 0x1000n, flags),
  );
  stage.tables.use();
  return stage;
}

type Registers = Readonly<Record<number, bigint>>;

/** Instructions after which a program is given up. */
const MOST = 60_000n;

/** Two harts with the same memory, the first of which is interpreted. */
class Pair {
  readonly #stages: readonly [Stage, Stage];

  constructor(engine: string) {
    this.#stages = [stageOn('interpreter'), stageOn(engine)];
  }

  /** Fills the data pages and puts the code in place. */
  prepare(source: string, seed: number): void {
    const bytes = new Uint8Array(10 * 4096);
    const random = new Random(seed);
    for (let i = 0; i < bytes.length; i++) bytes[i] = random.bits();
    for (const stage of this.#stages) {
      stage.hart.load(DATA, bytes);
      stage.code(source);
    }
  }

  /**
   * Runs both from these registers on, the second one by turns of `budget` instructions, and compares them
   * wherever they have executed equally many, and at the end.
   */
  run(registers: Registers, budget: number): void {
    for (const { hart } of this.#stages) {
      for (let r = 1; r < 32; r++) hart.setX(r, registers[r] ?? BigInt(r));
      hart.privilege = 'S';
      hart.pc = CODE;
    }
    const [a, b] = this.#stages.map(({ hart }) => hart);
    const start = [a.get(INSTRET), b.get(INSTRET)];
    const ended = [false, false];
    while (!(ended[0] && ended[1])) {
      const [doneA, doneB] = [a.get(INSTRET) - start[0], b.get(INSTRET) - start[1]];
      if (doneA === doneB && !oneHasTrapped(a, b)) this.#compare();
      // Some loops that are spoiled never end.
      if (doneA > MOST && doneB > MOST) return;
      const second = ended[0] || (!ended[1] && doneB <= doneA);
      ended[second ? 1 : 0] = second ? b.core.run(b.h, budget) !== EXIT_SIGNAL : a.core.run(a.h, 1) !== EXIT_SIGNAL;
    }
    this.#compare();
    assert.equal(b.get(INSTRET) - start[1], a.get(INSTRET) - start[0]);
    assert.deepEqual(this.#memory(1), this.#memory(0));
  }

  #memory(i: 0 | 1): Uint8Array[] {
    const { hart } = this.#stages[i];
    return [hart.read(DATA, 10 * 4096), hart.read(TABLES, 8 * 4096)];
  }

  #compare(): void {
    const [expected, actual] = this.#stages.map(({ hart }) => [
      hart.pc,
      ...Array.from({ length: 32 }, (_, r) => hart.get(X + 8 * r)),
    ]);
    assert.deepEqual(actual, expected);
  }
}

describe('idioms do what the loops do', () => {
  const pair = new Pair('translator');
  const end = (to: bigint, bytes: bigint): Registers => ({ 9: to + bytes });

  it('wherever both sides lie, for lengths around all ends', () => {
    const from = PAGE + 0x1230n;
    for (const [source, stride] of [
      [MEMSET, 64n],
      [KERNEL_COPY, 64n],
      [BYTES, 1n],
      [JOINED, 16n],
    ] as const) {
      pair.prepare(`${source}\n ecall`, 7);
      for (const to of [PAGE + 0x2000n, PAGE + 0x2ff0n, PAGE + 0x2008n, PAGE + 0x2003n]) {
        for (const turns of [1n, 2n, 5n, 6n, 30n, 63n, 64n, 65n, 130n]) {
          const registers = { 10: to, 12: 0x1234_5678_9abc_def0n, ...end(to, turns * stride) };
          pair.run({ ...registers, 11: from }, 100_000);
          pair.run({ ...registers, 11: from + 3n }, 1000);
        }
      }
    }
  });

  it('where both sides overlap, at all distances', () => {
    const downwards = `loop: ${[24, 16, 8, 0].map((at) => `ld a4, ${at}(a1)\n sd a4, ${at}(a0)`).join('\n')}
      addi a1, a1, 32\n addi a0, a0, 32\n bne a0, s1, loop`;
    for (const source of [KERNEL_COPY, BYTES, JOINED, downwards]) {
      pair.prepare(`${source}\n ecall`, 9);
      const to = PAGE + 0x1080n;
      for (const apart of [0n, 1n, 2n, 7n, 8n, 9n, 63n, 64n, 65n, 71n, 500n, 960n, 1024n, 4095n, 4096n, 4097n]) {
        for (const from of [to + apart, to - apart]) pair.run({ 10: to, 11: from, ...end(to, 1024n) }, 100_000);
      }
    }
  });

  it('where the same memory lies at two addresses', () => {
    for (const source of [KERNEL_COPY, BYTES]) {
      pair.prepare(`${source}\n ecall`, 10);
      const to = PAGE + 0x40n;
      for (const apart of [-64n, -8n, 0n, 8n, 64n, 512n]) {
        pair.run({ 10: to, 11: PAGE + 0x6040n + apart, ...end(to, 1024n) }, 100_000);
      }
    }
  });

  it('until they fault: state and memory are those of the instruction', () => {
    for (const source of [MEMSET, KERNEL_COPY, BYTES, JOINED]) {
      pair.prepare(`${source}\n ecall`, 11);
      const length = 0x1800n - (0x1800n % 64n);
      // Into a page that may only be read, and into one that is missing; out of that; into a clean one.
      for (const [to, from] of [
        [0x3400n, 0x1000n],
        [0x3408n, 0x1003n],
        [0x9400n, 0x1000n],
        [0x1000n, 0x9404n],
        [0x7400n, 0x2000n],
      ]) {
        pair.run({ 10: PAGE + to, 11: PAGE + from, 12: 5n, ...end(PAGE + to, length) }, 100_000);
      }
    }
  });

  it('with what was loaded ahead, and if it is not what memory holds', () => {
    pair.prepare(`${PIPELINED}\n ecall`, 12);
    for (const turns of [2n, 4n, 60n, 62n, 64n, 600n])
      pair.run({ 10: PAGE + 0x2008n, 11: PAGE + 16n, 8: turns }, 100_000);
    // Entered at the loop itself, with other registers than a turn leaves.
    pair.prepare(`j loop\n ${PIPELINED}\n ecall`, 13);
    for (const registers of [{ 14: 99n }, { 10: PAGE + 0x3000n }, { 15: PAGE + 0x2100n }]) {
      pair.run({ 10: PAGE + 0x2010n, 15: PAGE + 0x2000n, 11: PAGE, 8: 100n, ...registers }, 100_000);
    }
  });

  it('where an unaligned copy shifts by what is no word', () => {
    pair.prepare(`ld a4, 0(a1)\n ${JOINED.slice(JOINED.indexOf('loop:'))}\n ecall`, 14);
    for (const [right, left] of [
      [8n, 56n],
      [0n, 64n],
      [0n, 0n],
      [12n, 52n],
      [8n, 48n],
      [72n, 56n],
    ]) {
      const to = PAGE + 0x2000n;
      pair.run({ 10: to, 11: PAGE, 16: right, 17: left, ...end(to, 2048n) }, 100_000);
    }
  });

  it('where a turn came another way than the next ones go', () => {
    // Every 100th turn leaves something else: a value that memory does not hold, an address further on.
    const value = `loop: sd a4, 0(a0)\n addi a0, a0, 8\n addi s0, s0, -1\n bnez s0, stay\n li a4, 77\n li s0, 100\n j join
      stay: ld a4, 0(a1)\n join: addi a1, a1, 8\n j loop`;
    const place = `loop: sd a2, 0(a3)\n addi a0, a0, 8\n addi s0, s0, -1\n bnez s0, stay\n addi a3, a0, 64\n li s0, 100\n j join
      stay: addi a3, a0, 0\n join: j loop`;
    for (const source of [value, place]) {
      assert.equal(idiomsIn(source).length, 1);
      pair.prepare(source, 15);
      pair.run({ 10: PAGE + 0x2000n, 13: PAGE + 0x2000n, 11: PAGE, 8: 5n }, 100_000);
    }
  });

  it('also after turns that lie in two pages, which are left to the interpreter', () => {
    const stage = stageOn('mixed');
    stage.code(`${JOINED}\n ecall`);
    const { hart } = stage;
    const set = (): void => {
      hart.setX(10, PAGE + 0x2008n);
      hart.setX(11, PAGE + 3n);
      hart.setX(9, PAGE + 0x3808n);
      hart.pc = CODE;
    };
    for (let i = 0; i < 20; i++) {
      set();
      hart.run();
    }
    set();
    let turns = 1;
    while (hart.core.run(hart.h, 20) === EXIT_SIGNAL) turns++;
    // 384 turns of the loop, one of which lies in two pages.
    assert.ok(turns < 40, `${turns}`);
  });

  it('a long copy takes few turns of the loop, whatever the budget', () => {
    const stage = stageOn('translator');
    stage.code(`${BYTES}\n ecall`);
    const { hart } = stage;
    const set = (): void => {
      for (const [r, value] of [
        [10, PAGE + 0x2000n],
        [11, PAGE],
        [9, PAGE + 0x4000n],
      ] as const)
        hart.setX(r, value);
      hart.pc = CODE;
    };
    set();
    hart.run();
    set();
    const before = hart.get(INSTRET);
    // One turn at a time would end with the budget: a page at a time does not.
    assert.equal(hart.core.run(hart.h, 20), EXIT_SIGNAL);
    assert.ok(hart.get(INSTRET) - before > 5000n);
  });

  for (const engine of ['translator', 'mixed', 'crowded']) {
    it(`in ${LOOPS} random loops, engine: ${engine}`, () => {
      const random = new Random(SEED);
      const both = new Pair(engine);
      for (let i = 0; i < LOOPS; i++) {
        const { source, stride, counts } = randomLoop(random);
        for (let k = 0; k < 3; k++) {
          both.prepare(source, random.bits());
          const place = (): bigint => PAGE + BigInt(random.below(PAGES) * 4096 + random.below(512) * 8);
          const to = place() + BigInt(random.oneIn(3) ? random.below(8) : 0);
          const from = random.oneIn(3) ? to + BigInt(random.between(-256, 256)) : place();
          const turns = BigInt(random.below(random.pick([8, 100, (1 + 8192 / stride) | 0])));
          const fill = random.oneIn(2) ? 0n : random.bits64();
          const skew = BigInt(random.below(8)) * 8n;
          const shifts = { 30: skew, 31: random.oneIn(8) ? 8n : 64n - skew };
          const registers = { ...shifts, 8: turns, 9: to + turns * BigInt(stride), 10: to, 11: from, 12: fill };
          both.run(counts ? { ...registers, 9: 0n } : registers, random.pick([10, 300, 100_000]));
        }
      }
    });
  }
});
