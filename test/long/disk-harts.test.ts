// Two harts and the main thread at one disk's queue, for longer than the suite does it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stress } from '../../src/computer/virtio/testing/stress.js';

test('100,000 requests, 200 resets: nothing is lost, doubled or torn', { timeout: 1_200_000 }, async () => {
  const { byHarts, byMain, resets, faults } = await stress(100_000);
  assert.deepEqual(faults, []);
  assert.ok(byHarts > 10_000 && byMain > 10_000 && resets > 100, `${byHarts}, ${byMain}, ${resets}`);
});
