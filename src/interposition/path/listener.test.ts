import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle } from '../testing/bench.js';
import { tell } from './listener.js';
import { milliseconds } from './options.js';

void test('what a listener throws, at once or later, goes to who asks for it and nowhere else', async () => {
  const broken: unknown[] = [];
  const onBroken = (error: unknown): void => void broken.push(error);
  tell(() => 1, onBroken);
  tell(() => Promise.resolve(1), onBroken);
  tell(() => {
    throw new Error('at once');
  }, onBroken);
  tell(() => Promise.reject(new Error('later')), onBroken);
  await settle();
  assert.deepEqual(broken.map(String), ['Error: at once', 'Error: later']);
});

void test('a time that no timer can wait for is refused', () => {
  assert.equal(milliseconds('latency', undefined), 0);
  assert.equal(milliseconds('latency', 40), 40);
  for (const wrong of [-1, NaN, 1e12, 2 ** 31, Infinity]) {
    assert.throws(() => milliseconds('latency', wrong), { code: 'invalid' });
  }
});
