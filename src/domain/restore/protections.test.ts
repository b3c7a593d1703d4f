import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Protections } from './protections.js';

/** What all of it has, seen from outside: everything differs from a protection that nothing has. */
const all = (p: Protections): unknown[] => {
  const found: { start: number; end: number; prot: number }[] = [];
  for (const prot of [0, 1, 3, 7]) {
    const other = p.differing([{ start: 0, end: 0x10_0000, prot }]);
    // What is left out of the answer has this one.
    let at = 0;
    for (const r of [...other, { start: 0x10_0000, end: 0x10_0000 }]) {
      if (r.start > at) found.push({ start: at, end: r.start, prot });
      at = r.end;
    }
  }
  return found.sort((a, b) => a.start - b.start || a.prot - b.prot);
};

test('a later protection takes its part out of an earlier one', () => {
  const p = new Protections();
  p.set([{ start: 0, end: 0x10_0000, prot: 1 }]);
  p.set([
    { start: 0x1000, end: 0x2000, prot: 3 },
    { start: 0x2000, end: 0x3000, prot: 7 },
  ]);
  assert.deepEqual(all(p), [
    { start: 0, end: 0x1000, prot: 1 },
    { start: 0x1000, end: 0x2000, prot: 3 },
    { start: 0x2000, end: 0x3000, prot: 7 },
    { start: 0x3000, end: 0x10_0000, prot: 1 },
  ]);
});

test('what is to be changed is told in as few pieces as there are, and only where something is mapped', () => {
  const p = new Protections();
  p.set([
    { start: 0x1000, end: 0x2000, prot: 1 },
    { start: 0x2000, end: 0x3000, prot: 5 },
    { start: 0x3000, end: 0x4000, prot: 3 },
    { start: 0x5000, end: 0x6000, prot: 1 },
  ]);
  assert.deepEqual(
    p.differing([
      { start: 0, end: 0x1800, prot: 3 },
      { start: 0x1800, end: 0x8000, prot: 3 },
    ]),
    [
      { start: 0x1000, end: 0x3000, prot: 3 },
      { start: 0x5000, end: 0x6000, prot: 3 },
    ],
  );
  p.clear([{ start: 0x1800, end: 0x5800 }]);
  assert.deepEqual(p.differing([{ start: 0, end: 0x8000, prot: 0 }]), [
    { start: 0x1000, end: 0x1800, prot: 0 },
    { start: 0x5800, end: 0x6000, prot: 0 },
  ]);
});

test('against a model, page by page', () => {
  const PAGES = 64;
  let seed = 1;
  const random = (n: number): number => (seed = (seed * 48271) % 0x7fffffff) % n;
  const ranges = (): { start: number; end: number; prot: number }[] => {
    const out = [];
    for (let at = random(8); at < PAGES; at += random(8)) {
      const end = Math.min(PAGES, at + 1 + random(6));
      out.push({ start: at, end, prot: random(3) });
      at = end;
    }
    return out;
  };
  for (let round = 0; round < 300; round++) {
    const p = new Protections();
    const model = new Int8Array(PAGES).fill(-1);
    for (let step = 0; step < 6; step++) {
      const list = ranges();
      const clears = random(3) === 0;
      if (clears) p.clear(list);
      else p.set(list);
      for (const r of list) model.fill(clears ? -1 : r.prot, r.start, r.end);
      const wanted = ranges();
      const seen = new Int8Array(PAGES).fill(-1);
      for (const r of p.differing(wanted)) seen.fill(r.prot, r.start, r.end);
      const expected = new Int8Array(PAGES).fill(-1);
      for (const w of wanted)
        for (let at = w.start; at < w.end; at++) if (model[at] >= 0 && model[at] !== w.prot) expected[at] = w.prot;
      assert.deepEqual(seen, expected, `round ${round}, step ${step}`);
    }
  }
});
