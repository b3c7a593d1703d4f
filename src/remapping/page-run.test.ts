import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RAM_START } from '../partition/address-space.js';
import { ownPagesIn, strangersIn, walkRun, type GuestPhysical } from './page-run.js';

const [V, R, W, G, SPECIAL] = [1, 2, 4, 1 << 5, 1 << 8];
const MEGAPAGE = 0x20_0000;
const GIGAPAGE = 0x4000_0000;

/** A guest's memory of some pages, with page tables written into it by hand. */
class Tables implements GuestPhysical {
  readonly words: Int32Array;
  readonly satp = (8n << 60n) | BigInt(RAM_START / 4096);
  #next = 1;

  constructor(readonly pages = 16) {
    this.words = new Int32Array(pages * 1024);
  }
  offsetOf(address: number): number {
    return address >= RAM_START && address < RAM_START + this.pages * 4096 ? address - RAM_START : -1;
  }
  /** Writes the entry for `va` at a level (0: a page), and the tables above it. `page`: counted from the start of memory. */
  put(va: number, page: number, flags: number, level = 0): void {
    let table = 0;
    for (let l = 2; l > level; l--) {
      const at = this.#at(table, va, l);
      if (this.words[at] === 0) this.#write(at, this.#next++, V);
      table = (this.words[at] >>> 10) - RAM_START / 4096;
    }
    this.#write(this.#at(table, va, level), page, flags);
  }
  #at(table: number, va: number, level: number): number {
    return (table * 4096 + 8 * (Math.floor(va / 4096 / 512 ** level) % 512)) >>> 2;
  }
  #write(at: number, page: number, flags: number): void {
    this.words[at] = flags === 0 ? 0 : ((RAM_START / 4096 + page) << 10) | flags;
  }
}

const look = (t: Tables, ...ranges: [number, number][]) =>
  ownPagesIn(
    t,
    t.satp,
    ranges.map(([start, end]) => ({ start, end })),
    t.pages,
  );

test('own pages are those that are present and not the page of zeros', () => {
  const t = new Tables();
  const base = 3 * GIGAPAGE + 5 * MEGAPAGE;
  t.put(base, 9, V | R | W);
  t.put(base + 0x1000, 10, V | R);
  t.put(base + 0x2000, 11, V | R | SPECIAL);
  t.put(base + 0x4000, 12, V | R | W);
  assert.deepEqual(look(t, [0, 4 * GIGAPAGE]), {
    own: [
      { start: base, end: base + 0x2000 },
      { start: base + 0x4000, end: base + 0x5000 },
    ],
    unclear: [],
  });
  assert.deepEqual(look(t, [base + 0x1000, base + 0x4000]).own, [{ start: base + 0x1000, end: base + 0x2000 }]);
});

test('a run goes on over the end of a table, and from one range to the next', () => {
  const t = new Tables();
  for (let i = -3; i < 3; i++) t.put(MEGAPAGE + i * 4096, 9 + i, V | R | W);
  const [start, end] = [MEGAPAGE - 3 * 4096, MEGAPAGE + 3 * 4096];
  assert.deepEqual(look(t, [0, GIGAPAGE]).own, [{ start, end }]);
  assert.deepEqual(look(t, [start, MEGAPAGE], [MEGAPAGE, end]).own, [{ start, end }]);
});

test('what the tables do not tell is unclear: pages on their way, huge ones that may not be written', () => {
  const t = new Tables();
  t.put(0, 9, 0x40); // away: not valid, and yet not empty
  t.put(0x1000, 9, G | R); // nobody may touch it, but it is there
  t.put(MEGAPAGE, 0, V | R, 1);
  t.put(2 * MEGAPAGE, 0, V | R | W, 1);
  t.put(GIGAPAGE, 0, V | R | W, 2);
  const { own, unclear } = look(t, [0, 2 * GIGAPAGE]);
  assert.deepEqual(own, [
    { start: 0x1000, end: 0x2000 },
    { start: 2 * MEGAPAGE, end: 3 * MEGAPAGE },
  ]);
  assert.deepEqual(unclear, [
    { start: 0, end: 0x1000 },
    { start: MEGAPAGE, end: 2 * MEGAPAGE },
    { start: GIGAPAGE, end: 2 * GIGAPAGE },
  ]);
});

test('a root or tables outside the memory, or another mode, tell nothing', () => {
  const t = new Tables();
  const all = [{ start: 0, end: GIGAPAGE }];
  assert.deepEqual(ownPagesIn(t, 0n, all, t.pages), { own: [], unclear: all });
  assert.deepEqual(ownPagesIn(t, (8n << 60n) | 7n, all, t.pages), { own: [], unclear: all });
  t.put(0, 0x1234_5678, V, 1);
  assert.deepEqual(look(t, [0, MEGAPAGE]).unclear, [{ start: 0, end: MEGAPAGE }]);
});

test('tables that lead back to themselves come to an end', () => {
  const t = new Tables(2);
  for (let i = 0; i < 512; i++) t.put(i * GIGAPAGE, 0, V, 2);
  const started = performance.now();
  const { own, unclear } = look(t, [0, 512 * GIGAPAGE]);
  assert.ok(performance.now() - started < 2000);
  assert.deepEqual(own, []);
  assert.ok(unclear.length > 0);
});

test('a run of pages for the flip ends at the first that is not there, or is nobody’s own', () => {
  const t = new Tables();
  for (let i = 0; i < 4; i++) t.put(i * 4096, 8 + i, [V | R | W, V | R, V | R | W, V | R | SPECIAL][i]);
  const out = new Int32Array(4);
  assert.equal(walkRun(t, t.satp, 0, 4, false, out, 0), -1);
  assert.deepEqual([...out], [8, 9, 10, 11]);
  assert.equal(walkRun(t, t.satp, 0, 4, true, out, 0), 0x3000);
  assert.equal(walkRun(t, t.satp, 0x1000, 4, false, out, 0), 0x4000);
});

test('whom a page of the destination is common to, must have the page of the source in common', () => {
  // Two processes on each side, in tables that begin at different roots: here, in memories of their own.
  const tables = (...list: number[]): Tables => {
    const t = new Tables();
    list.forEach((page, i) => t.put(i * 4096, page, page === 0 ? 0 : V | R));
    return t;
  };
  const range = { start: 0, end: 5 * 4096 };
  const apart = (sources: number[][], targets: number[][]) => {
    // One memory for each side: the second process's pages lie above the first's.
    const put = (all: number[][]): Tables => tables(...all.flat());
    const [from, to] = [put(sources), put(targets)];
    const half = (k: number) => ({ start: k * range.end, end: (k + 1) * range.end });
    return strangersIn(
      from,
      to,
      [0, 1].map((k) => ({ from: from.satp, to: to.satp, ranges: [half(k)] })),
      16,
    ).map((ranges) => ranges.map((r) => [(r.start / 4096) % 5, (r.end / 4096 - 1) % 5]));
  };
  // Shared; not any more; own in both; not there in the source; not there in the destination.
  assert.deepEqual(
    apart(
      [
        [8, 9, 10, 0, 12],
        [8, 13, 14, 0, 15],
      ],
      [
        [4, 5, 6, 7, 0],
        [4, 5, 8, 7, 0],
      ],
    ),
    [
      [[3, 4]],
      [
        [1, 1],
        [3, 4],
      ],
    ],
  );
});
