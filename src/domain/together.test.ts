import assert from 'node:assert/strict';
import { test } from 'node:test';
import { together } from './together.js';

test('answers what all came to, in order', async () => {
  const [a, b] = await together([Promise.resolve(1), Promise.resolve('two')]);
  assert.equal(a + 1, 2);
  assert.equal(b, 'two');
});

test('a failure is told only when nobody is at work any more, and the first in order is', async () => {
  let done = false;
  const slow = new Promise<void>((resolve) => setTimeout(resolve, 20)).then(() => {
    done = true;
  });
  const late = new Promise<void>((_, reject) => setTimeout(() => reject(new Error('first in order')), 10));
  await assert.rejects(together([late, Promise.reject(new Error('first in time')), slow]), /first in order/);
  assert.ok(done);
});
