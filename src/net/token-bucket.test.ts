import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TokenBucket } from './token-bucket.js';

/** What passes in so many milliseconds, asked for in pieces as soon as they may. */
function passes(bucket: TokenBucket, from: number, milliseconds: number, piece: number): number {
  let passed = 0;
  for (let now = from; now < from + milliseconds;) {
    const wait = bucket.wait(now);
    if (wait > 0) {
      now += wait;
      continue;
    }
    bucket.take(piece);
    passed += piece;
  }
  return passed;
}

void test('in the long run it is the rate, whatever the size of the pieces', () => {
  for (const piece of [1, 100, 1500, 65_536]) {
    const passed = passes(new TokenBucket(100_000, 0.1, 0), 0, 60_000, piece);
    assert.ok(Math.abs(passed - 6_000_000) <= 10_000 + piece + 100, `${passed} in pieces of ${piece}`);
  }
});

void test('what was saved up is a burst, and no more than that', () => {
  const bucket = new TokenBucket(1000, 0.1, 0);
  assert.equal(passes(bucket, 10_000_000, 1, 1), 100);
  assert.equal(passes(bucket, 10_000_001, 50, 1), 50, 'after that it is the rate');
});

void test('a piece that is larger than a burst passes, and what comes next waits the longer', () => {
  const bucket = new TokenBucket(1000, 0.1, 0);
  assert.equal(bucket.wait(0), 0);
  bucket.take(5100);
  assert.equal(bucket.wait(0), 5000);
  assert.equal(bucket.wait(4999), 1);
  assert.equal(bucket.wait(5001), 0);
});
