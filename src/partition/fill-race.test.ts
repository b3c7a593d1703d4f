/** The main thread and harts' threads fill the same absent pages at the same time. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { MachineMemory } from '../computer/memory.js';
import { LogicalAddressSpace } from './address-space.js';

const PAGES = 6000;
const ROUNDS = 2;

/** What a hart's thread does: fills pages in an order of its own, waiting where the reserve is empty. */
const HART = `
  const { workerData, parentPort } = require('node:worker_threads');
  void import(workerData.reserve).then(({ Reserve }) => {
    const { buffer, at, map, pages, step } = workerData;
    const words = new Int32Array(buffer);
    const reserve = new Reserve(words, at);
    for (let i = 0, page = step; i < pages; i++, page = (page + step) % pages) {
      while ((Atomics.load(words, map + page) & 1) === 0 && (reserve.fill(map + page) & 1) === 0) reserve.ask();
      Atomics.add(words, (((Atomics.load(words, map + page) >>> 8) << 12) >>> 2) + 5, 1);
    }
    parentPort.postMessage('done');
  });`;

void test('each page gets one frame, whoever comes first, and no frame is lost', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const machine = MachineMemory.create(MachineMemory.limits(32 * 2 ** 20));
    const { frames, words, buffer } = machine;
    const all = frames.free;
    const space = new LogicalAddressSpace(machine, PAGES, 100);
    let left = 2;
    const steps = [1, 7];
    const workers = steps.map((step) => {
      const reserve = new URL('../computer/reserve.js', import.meta.url).href;
      const workerData = { reserve, buffer, at: space.reserve, map: space.pageMap >>> 2, pages: PAGES, step };
      return new Worker(HART, { eval: true, workerData });
    });
    const done = workers.map(async (worker) => {
      await once(worker, 'message');
      left--;
      await worker.terminate();
    });
    for (let page = 0; left > 0; page = (page + 13) % PAGES) {
      assert.ok(space.fill(page));
      if (page % 40 !== 0) continue;
      space.replenish();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(done);
    const used = new Set(Array.from({ length: PAGES }, (_, page) => space.frameOf(page)));
    assert.equal(used.size, PAGES);
    assert.equal(space.resident, PAGES);
    for (const frame of used) assert.equal(words[frame * 1024 + 5], 2, 'both have counted in the same frame');
    space.release();
    assert.deepEqual([frames.free, frames.available], [all, all]);
  }
});
