import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DomainError } from '../domain/errors.js';
import { checkPairs, exchange } from './exchange.js';

const PRESENT = 3;
/** A page map whose page i lies in frame `first` + i. */
const map = (first: number, pages = 8): Int32Array =>
  Int32Array.from({ length: pages }, (_, i) => ((first + i) << 8) | PRESENT);
const frames = (m: Int32Array): number[] => [...m].map((entry) => entry >>> 8);
const pairs = (...list: [number, number][]) => ({
  sources: Int32Array.from(list, ([s]) => s),
  targets: Int32Array.from(list, ([, d]) => d),
});

test('pages change places, and change back', () => {
  const [a, b] = [map(100), map(200)];
  const p = pairs([0, 3], [5, 1]);
  checkPairs(p, a, b);
  assert.deepEqual(exchange(p, a, b), { framesFlipped: 2, copies: [], copiesBack: [] });
  assert.deepEqual(frames(a), [203, 101, 102, 103, 104, 201, 106, 107]);
  assert.deepEqual(frames(b), [200, 105, 202, 100, 204, 205, 206, 207]);
  exchange(p, a, b);
  assert.deepEqual(frames(a), frames(map(100)));
  assert.deepEqual(frames(b), frames(map(200)));
});

test('a page that two want goes to the first, and the other gets a copy', () => {
  const [a, b] = [map(100), map(200)];
  const p = pairs([2, 0], [2, 0], [2, 4]);
  checkPairs(p, a, b);
  assert.deepEqual(exchange(p, a, b), { framesFlipped: 1, copies: [[102, 204]], copiesBack: [] });
  assert.equal(frames(b)[0], 102);
  assert.equal(frames(b)[4], 204);
});

test('what lies outside, is not there, or is wanted for two is refused, and nothing is changed', () => {
  const refused = (p: ReturnType<typeof pairs>, code: string, b = map(200)): void => {
    const a = map(100);
    const before = frames(b);
    assert.throws(
      () => checkPairs(p, a, b),
      (e) => e instanceof DomainError && e.code === code,
    );
    assert.deepEqual(frames(b), before);
  };
  refused(pairs([0, 8]), 'lost');
  refused(pairs([-1, 0]), 'lost');
  refused(pairs([0x7fff_ffff, 0]), 'lost');
  refused(pairs([0, 1], [1, 1]), 'changed');
  const absent = map(200);
  absent[4] = 0;
  refused(pairs([0, 4]), 'lost', absent);
});

test('going back, a page that two have had in common gets into both places where they have one each', () => {
  const [a, b] = [map(100), map(200)];
  const p = pairs([2, 5], [2, 5], [3, 5]);
  checkPairs(p, a, b, true);
  assert.deepEqual(exchange(p, a, b), { framesFlipped: 1, copies: [], copiesBack: [[205, 103]] });
  assert.equal(frames(a)[2], 205);
  assert.equal(frames(a)[3], 103);
});
