/** A hart's thread that never answers again is ended with its instance, and replaced. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hartThread } from '../../src/adapters/node/platform.js';
import { nodeSystem } from '../../src/adapters/node/system.js';
import { BARE_MEMORY, bareKernel, COUNTING } from '../../src/guest/testing/bare-kernel.js';
import type { HartThread } from '../../src/partition/hart.js';
import { Computer } from '../../src/system/computer.js';

const FAILING = new URL('../../src/guest/testing/failing-worker.js', import.meta.url);

test('a thread that hangs does not keep its instance from ending', { timeout: 200_000 }, async () => {
  process.env['UNDERSTUDY_TEST_FAILURE'] = 'hang translator';
  const computer = new Computer(
    { ...nodeSystem, startHartThread: () => hartThread(FAILING) },
    { memory: BARE_MEMORY + 2 ** 20, harts: 1, network: false },
  );
  process.env['UNDERSTUDY_TEST_FAILURE'] = '';
  const kernel = bareKernel(COUNTING);
  const hung = await computer.boot({ kernel, memory: BARE_MEMORY });
  await new Promise((resolve) => setTimeout(resolve, 2000));
  await assert.rejects(hung.pause(), { code: 'hart-failed' });
  await hung.destroy();
  assert.equal((await hung.ended).kind, 'hart-failed');
  const next = await computer.boot({ kernel, memory: BARE_MEMORY });
  await next.pause();
  next.resume();
  await next.destroy();
  assert.equal((await next.ended).kind, 'stopped');
  await computer.close();
});

test('one that shares a hart and hangs does not keep it', { timeout: 200_000 }, async () => {
  process.env['UNDERSTUDY_TEST_FAILURE'] = '';
  let threads = 0;
  const startHartThread = (): HartThread => (threads++ === 1 ? hartThread(FAILING) : hartThread());
  const memory = 2 * (BARE_MEMORY + 2 ** 20);
  const computer = new Computer({ ...nodeSystem, startHartThread }, { memory, harts: 1, network: false });
  const kernel = bareKernel(COUNTING);
  const honest = await computer.boot({ kernel, memory: BARE_MEMORY, weight: 1 });
  process.env['UNDERSTUDY_TEST_FAILURE'] = 'hang translator';
  const hung = await computer.boot({ kernel, memory: BARE_MEMORY, weight: 10_000 });
  process.env['UNDERSTUDY_TEST_FAILURE'] = '';
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const before = honest.share?.used ?? 0;
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const had = (honest.share?.used ?? 0) - before;
  assert.ok(had > 900, `it has the hart for ${had} ms of a second`);
  await hung.destroy();
  assert.equal((await hung.ended).kind, 'hart-failed');
  await computer.close();
});
