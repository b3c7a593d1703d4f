import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { PageRun } from '../computer/virtio/balloon-format.js';
import { RAM_START } from './address-space.js';
import { MemoryPages, type GivesBack } from './balloon-pages.js';

const FIRST = RAM_START / 4096;
const PAGES = 100;

/** Memory of which each page has a frame until it is given back; frames have left when harts have forgotten them. */
class Space implements GivesBack {
  readonly present = new Set(Array.from({ length: PAGES }, (_, page) => page));
  leaving = 0;
  left = 0;
  constructor(readonly pages = PAGES) {}
  giveBack(page: number): boolean {
    assert.ok(page >= 0 && page < this.pages && Number.isInteger(page), `page ${page}`);
    if (!this.present.delete(page)) return false;
    this.leaving++;
    return true;
  }
  async settled(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.left += this.leaving;
    this.leaving = 0;
  }
}

const soon = (run: () => void): void => void setImmediate(run);
const run = (first: number, count: number): PageRun => ({ first: FIRST + first, count });

void test('pages that are inflated are counted once, and their frames have left when it is over', async () => {
  const space = new Space();
  const pages = new MemoryPages(space, soon);
  let changes = 0;
  pages.onChange = () => changes++;
  await pages.inflate([run(10, 5), run(12, 5)]);
  assert.deepEqual([pages.inflated, space.left, space.leaving, changes], [7, 7, 0, 1]);
  await pages.inflate([run(10, 7)]);
  assert.deepEqual([pages.inflated, space.left], [7, 7], 'twice the same');
  await pages.deflate([run(11, 2), run(11, 2), run(50, 3)]);
  assert.deepEqual([pages.inflated, space.left], [5, 7]);
  await pages.report([run(14, 10)]);
  assert.deepEqual([pages.inflated, space.left, pages.reported], [5, 14, 7], 'free pages are no inflated ones');
  pages.reset();
  assert.deepEqual([pages.inflated, space.left], [0, 14]);
});

void test('whatever a guest names, the balloon has what was inflated last, within its memory', async () => {
  const runs = fc.array(
    fc.record({ first: fc.integer({ min: -20, max: PAGES + 20 }), count: fc.integer({ min: -5, max: 2 * PAGES }) }),
    { maxLength: 5 },
  );
  const steps = fc.array(fc.tuple(fc.constantFrom('inflate', 'deflate', 'report', 'reset'), runs), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(steps, async (list) => {
      const space = new Space();
      const pages = new MemoryPages(space, soon);
      const inflated = new Set<number>();
      for (const [what, named] of list) {
        const all = named.flatMap(({ first, count }) =>
          Array.from({ length: Math.max(0, count) }, (_, i) => first + i).filter((page) => page >= 0 && page < PAGES),
        );
        const absolute = named.map(({ first, count }) => run(first, count));
        if (what === 'reset') {
          pages.reset();
          inflated.clear();
        } else await pages[what](absolute);
        for (const page of all) {
          if (what === 'inflate') inflated.add(page);
          if (what === 'deflate') inflated.delete(page);
          if (what === 'inflate' || what === 'report') assert.equal(space.present.has(page), false);
        }
        assert.equal(pages.inflated, inflated.size);
        assert.equal(space.leaving, 0);
        assert.equal(space.present.size + space.left, PAGES);
      }
    }),
    { numRuns: 60, seed: 5 },
  );
});

void test('much at once lets others have their turn', async () => {
  const space = new Space(100_000);
  let turns = 0;
  const pages = new MemoryPages(space, (go) => {
    turns++;
    setImmediate(go);
  });
  await pages.report([{ first: 0, count: 0xffff_ffff }]);
  assert.ok(turns >= 40, `${turns} turns`);
});
