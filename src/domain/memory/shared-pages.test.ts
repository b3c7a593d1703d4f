import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inCommon, sameFrames } from './shared-pages.js';

const pages = (...list: [number, number][]) => list.map(([a, b]) => ({ start: a * 4096, end: b * 4096 }));

test('of each process only what another one has at the same addresses is looked at', () => {
  const all = [pages([0, 4], [6, 8]), pages([2, 5], [7, 9]), pages([3, 4], [20, 21])];
  assert.deepEqual(inCommon(all), [pages([2, 4], [7, 8]), pages([2, 4], [7, 8]), pages([3, 4])]);
  assert.deepEqual(inCommon([pages([0, 4])]), [[]]);
  assert.deepEqual(inCommon([pages([0, 2]), pages([2, 4])]), [[], []]);
});

test('pages of the same processes are one set, and a frame at two addresses is not shared', () => {
  const frames = (...list: [number, number][]) => ({
    addresses: list.map(([page]) => page * 4096),
    frames: list.map(([, frame]) => frame),
  });
  const shared = sameFrames(
    [2, 3, 4],
    [frames([0, 70], [1, 71], [2, 72], [3, 73]), frames([0, 70], [1, 71], [5, 72]), frames([0, 70], [1, 99], [3, 73])],
  );
  assert.deepEqual(shared, [
    { pids: [2, 3, 4], pages: pages([0, 1]) },
    { pids: [2, 3], pages: pages([1, 2]) },
    { pids: [2, 4], pages: pages([3, 4]) },
  ]);
});
