import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anonymous, type TargetVma } from '../memory/layout.js';
import type { Birth } from '../tree/tree.js';
import { planInheritance } from './inheritance.js';

const pages = (...list: [number, number][]) => list.map(([a, b]) => ({ start: a * 4096, end: b * 4096 }));
const bear = (pid: number, by: number): Birth => ({ act: 'bear', pid, by, sibling: false });
const mapping = (a: number, b: number, more: Partial<TargetVma> = {}): TargetVma => ({
  ...anonymous({ start: a * 4096, end: b * 4096 }, 3),
  ...more,
});
const everywhere = (...pids: number[]) => pids.map((pid) => ({ pid, vmas: [mapping(0, 100)] }));

test('who comes first has the pages before the others are born', () => {
  const births = [bear(2, 1), bear(3, 2), bear(4, 2), bear(5, 4)];
  const shared = [
    { pids: [2, 3], pages: pages([0, 1]) },
    { pids: [2, 5], pages: pages([1, 2]) },
    { pids: [4, 5], pages: pages([2, 3]) },
    { pids: [2, 3, 4, 5], pages: pages([3, 4]) },
  ];
  const plan = planInheritance(births, shared, everywhere(2, 3, 4, 5));
  assert.deepEqual(
    [...plan.before],
    [
      [1, pages([0, 1], [3, 4])],
      [2, pages([1, 2])],
      [3, pages([2, 3])],
    ],
  );
  assert.deepEqual(plan.keeps.get(2), pages([0, 2], [3, 4]));
  assert.deepEqual(plan.keeps.get(4), pages([2, 4]));
  assert.deepEqual(plan.keeps.get(5), pages([1, 4]));
});

test('pages of one that has ended come from the one above', () => {
  const births = [bear(2, 1), bear(3, 1), bear(4, 1)];
  const plan = planInheritance(births, [{ pids: [3, 4], pages: pages([0, 9]) }], everywhere(2, 3, 4));
  assert.deepEqual([...plan.before], [[1, pages([0, 9])]]);
  assert.equal(plan.keeps.has(2), false);
});

test('a page is one thing after the other, but not two at the same time', () => {
  const births = [bear(2, 1), bear(3, 2), bear(4, 2), bear(5, 2), bear(6, 2)];
  const elder = { pids: [3, 4], pages: pages([0, 2]) };
  const plan = planInheritance(births, [elder, { pids: [2, 5, 6], pages: pages([1, 3]) }], everywhere(2, 3, 4, 5, 6));
  assert.deepEqual(
    [...plan.before],
    [
      [1, pages([0, 2])],
      [3, pages([1, 3])],
    ],
  );
  const crossed = planInheritance(births, [elder, { pids: [2, 3], pages: pages([1, 3]) }], everywhere(2, 3, 4));
  assert.deepEqual(crossed.keeps.get(2), pages([2, 3]));
  assert.deepEqual(crossed.keeps.get(3), pages([0, 3]));
});

test('a mapping is as long as any process has it, and only pages in mappings alike are inherited', () => {
  const births = [bear(2, 1), bear(3, 2)];
  const shared = [{ pids: [2, 3], pages: pages([2, 30]) }];
  const file = { backing: { kind: 'file' }, ino: 7, path: '/lib' } as const;
  const plan = planInheritance(births, shared, [
    { pid: 2, vmas: [mapping(0, 10), mapping(12, 20), mapping(20, 30, { ...file, offset: 8192 })] },
    { pid: 3, vmas: [mapping(2, 12), mapping(12, 20, { shared: true }), mapping(22, 30, { ...file, offset: 16384 })] },
  ]);
  assert.deepEqual(
    plan.regions.map(({ start, end, offset }) => [start / 4096, end / 4096, offset]),
    [
      [0, 12, 0],
      [12, 20, 0],
      [20, 30, 8192],
    ],
  );
  assert.deepEqual(plan.keeps.get(3), pages([2, 10], [22, 30]));
});

test('who is not born inherits nothing', () => {
  const plan = planInheritance([bear(2, 1)], [{ pids: [2, 3], pages: pages([0, 1]) }], everywhere(2, 3));
  assert.deepEqual(plan.regions, []);
});
