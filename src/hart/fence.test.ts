/**
 * Code that is mapped, executed, unmapped and mapped again, each time with no more than the sfence.vma that the
 * architecture asks for: what is executed is what was mapped at the last fence (privileged specification 12.2.1).
 */
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { assemble, encode } from './isa/assembler.js';
import * as S from './state.js';
import { CODE, DATA, HANDLER, Stage, TABLES, USER_CODE, USER_CODE_AT, type End } from './testing/stage.js';
import { A, D, G, leaf, PageTables, R, U, V, X } from './testing/sv39.js';
import { Random } from './testing/random.js';

const SEED = Number(process.env['HART_SEED'] ?? 1);
const ROUNDS = Number(process.env['HART_FENCES'] ?? 400);

/** Neighbours in two places that share their entries of the fetch TLB, but none with other code of the test. */
const PAGES = [0n, 1n, 2n, 3n, 256n, 257n, 258n].map((page) => 0x5012_3000n + page * 0x1000n);
const FRAMES = 8;
const frameAt = (frame: number): bigint => DATA + BigInt(frame) * 0x1000n;

/** An instruction at the end of a page: jumps back to a place that its second half, in the next page, says. */
const STRADDLING = 0xffe;
const returnsFrame = (frame: number): number => 0x400 + 0x10 * frame;
const straddling = (frame: number): number => encode('jal', { rd: 0, imm: returnsFrame(frame) - STRADDLING });

/** A page of functions; all give in a0 which frames they were in, in hexadecimal. */
function contents(frame: number): Uint8Array {
  const page = new Uint8Array(4096);
  const place = (at: number, source: string): void => page.set(assemble(source, BigInt(at)).code, at);
  place(0, `.half ${straddling(frame) >>> 16}`);
  place(0x100, `li a0, ${frame}\n ret`);
  const next = (at: number): string => `.word ${encode('jal', { rd: 0, imm: at })}`;
  place(0x200, `li a0, ${frame}\n ${next(0x1300 - 0x204)}`);
  place(0x2fc, 'li a0, 0');
  place(0x300, `slli a0, a0, 4\n addi a0, a0, ${frame}\n ${next(0x1380 - 0x308)}`);
  place(0x380, `slli a0, a0, 4\n addi a0, a0, ${frame}\n ret`);
  const call = encode('jal', { rd: 1, imm: 0x1100 - 0x284 });
  place(0x280, `mv t1, ra\n .word ${call}\n slli a0, a0, 4\n addi a0, a0, ${frame}\n jr t1`);
  for (let other = 0; other < FRAMES; other++) place(returnsFrame(other), `li a0, ${other}\n ret`);
  place(STRADDLING, `.half ${straddling(frame) & 0xffff}`);
  return page;
}

interface Way {
  readonly offset: number;
  /** Pages it touches, and what it gives, out of the frames there. */
  readonly pages: number;
  readonly gives: (frames: readonly number[]) => number;
  /** Where it faults when the first, second, … page is missing, as offsets: of the instruction and of what is missing. */
  readonly faults: readonly (readonly [epc: number, tval: number])[];
}

const ways: readonly Way[] = [
  { offset: 0x100, pages: 1, gives: ([a]) => a, faults: [[0x100, 0x100]] },
  {
    offset: STRADDLING,
    pages: 2,
    gives: ([, b]) => b,
    faults: [
      [STRADDLING, STRADDLING],
      [STRADDLING, 0x1000],
    ],
  },
  {
    offset: 0x2fc,
    pages: 2,
    gives: ([a, b]) => a * 16 + b,
    faults: [
      [0x2fc, 0x2fc],
      [0x1380, 0x1380],
    ],
  },
  {
    offset: 0x200,
    pages: 3,
    gives: ([a, b, c]) => a * 256 + b * 16 + c,
    faults: [
      [0x200, 0x200],
      [0x1300, 0x1300],
      [0x2380, 0x2380],
    ],
  },
  {
    offset: 0x280,
    pages: 2,
    gives: ([a, b]) => b * 16 + a,
    faults: [
      [0x280, 0x280],
      [0x1100, 0x1100],
    ],
  },
];

type Mode = 'U' | 'S';

/** Two address spaces, ASIDs 1 and 2, whose pages of code the test maps; what is in them as of the last fence. */
class Spaces {
  readonly stage = new Stage();
  private readonly tables: readonly PageTables[];
  private readonly mapped: (number | undefined)[][] = [0, 1].map(() => PAGES.map(() => undefined));
  /** Pages that have been changed and not been fenced yet, as space and page. */
  readonly pending: [number, number][] = [];
  private readonly labels: Map<string, bigint>;
  present = 0;

  constructor(
    private readonly mode: Mode,
    /** Supervisor mode's pages are the same in both spaces. */
    readonly isGlobal: boolean,
  ) {
    const { hart } = this.stage;
    this.tables = [this.stage.tables, new PageTables(hart, TABLES + 0x8_0000n)];
    const global = V | R | X | G | A | D;
    for (const tables of this.tables) {
      tables.map(CODE, CODE, global);
      tables.map(HANDLER, HANDLER, global);
      tables.map(USER_CODE, USER_CODE_AT, V | R | X | U | A | D);
    }
    for (let frame = 0; frame < FRAMES; frame++) hart.load(frameAt(frame), contents(frame));
    const calls = 'calls: jalr ra, (a3)\n addi a4, a4, -1\n bnez a4, calls\n ecall';
    this.labels = this.stage.code(
      `${mode === 'S' ? calls : ''}\n address: sfence.vma a0, zero\n ecall\n both: sfence.vma a0, a1\n ecall
        all: sfence.vma\n ecall\n asid: sfence.vma zero, a1\n ecall\n satp: csrw satp, a0\n ecall`,
    );
    if (mode === 'U') this.labels = new Map([...this.labels, ...this.stage.code(calls, 'U')]);
    hart.set(S.SATP, this.satp(0));
    hart.core.flush(hart.h);
  }

  private satp(space: number): bigint {
    return (8n << 60n) | (BigInt(space + 1) << 44n) | (this.tables[space].root >> 12n);
  }

  private supervisor(label: string, a0: bigint, a1 = 0n): void {
    const { hart } = this.stage;
    hart.setX(10, a0);
    hart.setX(11, a1);
    const end = this.stage.run(this.labels.get(label)!, 'S');
    assert.ok('at' in end, label);
  }

  change(space: number, page: number, frame: number | undefined): void {
    for (const one of this.isGlobal ? [0, 1] : [space]) {
      this.mapped[one][page] = frame;
      this.pending.push([one, page]);
      const flags = V | R | X | A | D | (this.mode === 'U' ? U : 0) | (this.isGlobal ? G : 0);
      const at = this.tables[one].entry(PAGES[page]);
      this.stage.hart.write64(at, frame === undefined ? 0n : leaf(frameAt(frame), flags));
    }
  }

  /** Forgets a page, by one of the ways that do, or more than that. */
  fence(space: number, page: number, how: number): void {
    const asid = BigInt(space + 1);
    const address = (): void => this.supervisor('address', PAGES[page]);
    const all = (): void => this.supervisor('all', 0n);
    const both = (): void => this.supervisor('both', PAGES[page], asid);
    const every = (): void => this.supervisor('asid', 0n, asid);
    // Global mappings stay where an ASID is named.
    const kinds = this.isGlobal ? [address, address, all, all] : [address, both, all, every];
    kinds[how]();
  }

  fencePending(how: number): void {
    for (const [space, page] of this.pending.splice(0)) this.fence(space, page, how);
  }

  switchTo(space: number): void {
    this.present = space;
    this.supervisor('satp', this.satp(space));
  }

  /** Calls a function some times; undefined if it would touch what has not been fenced. */
  execute(page: number, way: Way, times: number): void {
    const touched = Array.from({ length: way.pages }, (_, i) => PAGES.indexOf(PAGES[page] + BigInt(i) * 0x1000n));
    if (touched.some((one) => this.pending.some(([s, p]) => s === this.present && p === one))) return;
    const frames = touched.map((one) => this.mapped[this.present][one]);
    const { hart } = this.stage;
    hart.setX(13, PAGES[page] + BigInt(way.offset));
    hart.setX(14, BigInt(times));
    const end = this.stage.run(this.labels.get('calls')!, this.mode);
    const missing = frames.indexOf(undefined);
    // What is behind a page that is missing does not matter.
    const expected: End | number =
      missing < 0
        ? way.gives(frames as number[])
        : {
            cause: 12n,
            epc: PAGES[page] + BigInt(way.faults[missing][0]),
            tval: PAGES[page] + BigInt(way.faults[missing][1]),
          };
    const hasEnded = 'at' in end || ('cause' in end && end.cause === 8n);
    assert.deepEqual(hasEnded ? Number(hart.x(10)) : end, expected);
  }
}

describe('code that is unmapped or replaced is not executed after sfence.vma', () => {
  const cases: readonly (readonly [string, Mode, boolean])[] = [
    ['user mode', 'U', false],
    ['supervisor mode, global mappings', 'S', true],
    ['supervisor mode, mappings of each address space', 'S', false],
  ];
  for (const [name, mode, isGlobal] of cases) {
    it(`at random: ${name}`, () => {
      const random = new Random(SEED);
      const spaces = new Spaces(mode, isGlobal);
      // What is executed again and again for some rounds; half of what changes is there.
      let favourites: [page: number, way: Way][] = [];
      const executeSome = (): void => {
        for (let n = random.below(4); n > 0; n--) {
          const [page, way] = random.oneIn(4) ? choose() : random.pick(favourites);
          spaces.execute(page, way, random.between(1, 40));
        }
      };
      const choose = (): [number, Way] => [random.below(PAGES.length), random.pick(ways)];
      const aPage = (): number => {
        const [page, { pages }] = random.oneIn(2) ? choose() : random.pick(favourites);
        return Math.min(page + random.below(pages), PAGES.length - 1);
      };
      for (let round = 0; round < ROUNDS; round++) {
        if (round % 10 === 0) favourites = [choose(), choose(), choose()];
        for (let changes = random.between(1, 3); changes > 0; changes--) {
          const frame = random.oneIn(3) ? undefined : random.below(FRAMES);
          spaces.change(random.oneIn(4) ? random.below(2) : spaces.present, aPage(), frame);
        }
        executeSome();
        // Of another page, whose code may be what is executed.
        if (random.oneIn(3)) spaces.fence(spaces.present, aPage(), 0);
        executeSome();
        spaces.fencePending(random.oneIn(6) ? random.below(4) : random.below(2));
        executeSome();
        if (random.oneIn(6)) spaces.switchTo(1 - spaces.present);
        executeSome();
      }
    });
  }

  const [page, other] = [0, 2];
  const own = ways[0];
  for (const [name, way, changed] of [
    ['of which another one was fenced meanwhile', own, page],
    ['that holds the second half of a jump only', ways[1], page + 1],
    ['that a region leads on to', ways[2], page + 1],
    ['that holds a function which is called from another one', ways[4], page + 1],
  ] as const) {
    it(`a page ${name}`, () => {
      const spaces = new Spaces('U', false);
      for (let at = 0; at < 4; at++) spaces.change(0, at, at);
      spaces.fencePending(0);
      spaces.execute(page, way, 100);
      spaces.execute(other, own, 100);
      spaces.fence(0, other, 0);
      spaces.execute(page, way, 100);
      for (const frame of [5, undefined, 6]) {
        spaces.change(0, changed, frame);
        spaces.fence(0, changed, 0);
        spaces.pending.length = 0;
        spaces.execute(page, way, 100);
      }
    });
  }

  it('when another hart fences while this one waits for it, about to execute the page for the first time', () => {
    for (const after of [0n, leaf(frameAt(2), V | R | X | A | D)]) {
      let change = (): void => undefined;
      const stage = new Stage({ shootDownWrites: () => change() });
      const { hart, tables } = stage;
      for (const frame of [1, 2]) hart.load(frameAt(frame), contents(frame));
      const pte = tables.map(PAGES[0], frameAt(1), V | R | X | A | D);
      tables.use();
      const labels = stage.code('li a4, 100\n calls: jalr ra, (a3)\n addi a4, a4, -1\n bnez a4, calls\n end: ecall');
      hart.setX(13, PAGES[0] + 0x100n);
      let changed = 0;
      change = (): void => {
        if (hart.shotDown.at(-1) !== hart.host(frameAt(1)) >>> 12) return;
        changed++;
        hart.write64(pte, after);
        hart.core.flush(hart.h);
      };
      const end = stage.run(CODE);
      assert.equal(changed, 1);
      if (after === 0n) assert.deepEqual(end, { cause: 12n, epc: PAGES[0] + 0x100n, tval: PAGES[0] + 0x100n });
      else assert.deepEqual([end, hart.x(10)], [{ at: labels.get('end') }, 2n]);
    }
  });
});
