// Harts' threads at a device's registers while its answerer is exchanged thousands of times.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { MemoryDisk } from '../computer/virtio/block-backend.js';
import { VirtioBlock } from '../computer/virtio/block.js';
import { diskKind } from './kinds/disk.js';
import { InterpositionBench, settle } from './testing/bench.js';
import type { Hammered } from './testing/hammer.js';

test(
  'a thread that kicks and touches registers all the time: no kick or interrupt is lost, no access goes to another page',
  { timeout: 120_000 },
  async () => {
    const bench = new InterpositionBench();
    const device = bench.add(
      diskKind((through) => through),
      (host) => new VirtioBlock(host, new MemoryDisk(new Uint8Array(64 * 512))),
    );
    const bell = new SharedArrayBuffer(4);
    const rings = new Int32Array(bell);
    const { buffer } = bench.machine;
    const worker = new Worker(new URL('./testing/hammer.js', import.meta.url), {
      workerData: { buffer, bell, requests: 800, resets: 4 },
    });
    const said = once(worker, 'message') as Promise<[Hammered]>;
    let over = false;
    const end = (): void => void (over = true);
    said.then(end, end);
    const polling = (async () => {
      // As a doorbell does it, and not without one: a kick that rang none is lost.
      for (let seen = 0; !over;) {
        const now = Atomics.load(rings, 0);
        if (now !== seen) {
          seen = now;
          bench.poll();
        }
        await settle(1);
      }
    })();
    let switches = 0;
    const atRegisters = { busy: 0 };
    for (let i = 0; !over; i++) {
      try {
        await (device.mode === 'direct' ? device.interpose() : device.stepAway());
        switches++;
      } catch (error) {
        assert.equal((error as { code: string }).code, 'busy');
        atRegisters.busy++;
      }
      await settle(i % 3);
    }
    const [{ requests, wrong }] = await said;
    await polling;
    await worker.terminate();
    assert.deepEqual(wrong, []);
    assert.equal(requests, 800);
    assert.ok(switches > 300, `${switches} switches, ${atRegisters.busy} given up`);
    assert.deepEqual([bench.faults, bench.failures], [[], []]);
    assert.equal(device.counters.monitorEntriesWhenDirect, 0);
    await device.close();
  },
);
