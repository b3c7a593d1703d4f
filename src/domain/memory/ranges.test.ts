import assert from 'node:assert/strict';
import { test } from 'node:test';
import { intersect, normalize, subtract, total, touching, type Range } from './ranges.js';

/** Ranges as sets of small integers, the slow and obvious way. */
const setOf = (ranges: readonly Range[]): Set<number> => {
  const s = new Set<number>();
  for (const r of ranges) for (let i = r.start; i < r.end; i++) s.add(i);
  return s;
};
const random = (seed: number): (() => number) => {
  let x = seed;
  return () => (x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff) / 0x80000000;
};

test('ranges behave as the sets they stand for', () => {
  const next = random(7);
  for (let turn = 0; turn < 2000; turn++) {
    const make = (): Range[] =>
      normalize(
        Array.from({ length: Math.floor(next() * 6) }, () => {
          const start = Math.floor(next() * 40);
          return { start, end: start + Math.floor(next() * 8) };
        }),
      );
    const a = make();
    const b = make();
    const [sa, sb] = [setOf(a), setOf(b)];
    assert.deepEqual([...setOf(subtract(a, b))].sort(), [...sa].filter((x) => !sb.has(x)).sort());
    assert.deepEqual([...setOf(intersect(a, b))].sort(), [...sa].filter((x) => sb.has(x)).sort());
    assert.equal(total(a), sa.size);
    for (const list of [a, subtract(a, b)]) {
      for (let i = 1; i < list.length; i++) assert.ok((list[i - 1]?.end ?? 0) <= (list[i]?.start ?? 0));
    }
  }
});

test('touching answers those that have a part in others', () => {
  const next = random(11);
  for (let turn = 0; turn < 300; turn++) {
    const some = (): Range[] =>
      normalize(
        Array.from({ length: 5 }, () => {
          const start = Math.floor(next() * 40);
          return { start, end: start + Math.floor(next() * 6) };
        }),
      );
    const [a, b] = [some(), some()];
    assert.deepEqual(
      touching(a, b),
      a.filter((x) => b.some((y) => x.start < y.end && x.end > y.start)),
    );
  }
});
