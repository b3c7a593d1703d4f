/** Two harts, each on a thread of its own, and the main thread at the queue of one disk. */
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { MemoryDisk, type BlockBackend } from '../block-backend.js';
import { VirtioBlock } from '../block.js';
import { TestMachine } from './machine.js';
import { DONE, HARTS, RESETS, RING, type StressData } from './stress-hart.js';

const SECTORS = 256;
const SLOT = 2;

/** Takes its time, so that much is under way while harts have their turns. */
function slowly(disk: MemoryDisk): BlockBackend {
  return {
    sectors: disk.sectors,
    readOnly: false,
    id: 'slow',
    read: async (sector, into) => {
      await turn();
      await disk.read(sector, into);
    },
    write: async (sector, from) => {
      await turn();
      await disk.write(sector, from);
    },
    flush: async () => {
      await turn();
    },
  };
}

export interface StressResult {
  readonly byHarts: number;
  readonly byMain: number;
  readonly resets: number;
  readonly faults: readonly string[];
}

/**
 * One driver has `requests` done; its kicks come on two harts, one of which kicks without need too. The main thread looks
 * only when it was rung, as on a computer. Throws what a hart's thread finds wrong.
 */
export async function stress(requests: number): Promise<StressResult> {
  const machine = new TestMachine(1024);
  const disk = new SharedArrayBuffer(SECTORS * 512);
  const control = new SharedArrayBuffer(64);
  const words = new Int32Array(control);
  const doorbell = (): unknown => Atomics.store(words, RING, 1);
  const device = new VirtioBlock({ ...machine.host(SLOT), doorbell }, slowly(new MemoryDisk(new Uint8Array(disk))));
  const workers = (['driver', 'kicker'] as const).map((role, n) => {
    const workerData: StressData = { role, name: 2 + n, buffer: machine.buffer, disk, control, slot: SLOT, requests };
    return new Worker(new URL('./stress-hart.js', import.meta.url), { workerData });
  });
  let over = false;
  const failures = workers.map((worker) => new Promise<never>((_, reject) => worker.once('error', reject)));
  const ends = workers.map((worker) => new Promise<void>((resolve) => worker.once('exit', () => resolve())));
  const serve = async (): Promise<void> => {
    while (!over) {
      if (Atomics.exchange(words, RING, 0) === 1) device.poll();
      await turn();
    }
  };
  const done = Promise.all(ends).then(() => {
    over = true;
  });
  try {
    await Promise.race([Promise.all([serve(), done]), ...failures]);
  } finally {
    over = true;
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  await device.quiet();
  const byHarts = words[HARTS];
  return { byHarts, byMain: words[DONE] - byHarts, resets: words[RESETS], faults: machine.faults };
}
