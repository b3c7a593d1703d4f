/** Several harts on the same memory, truly at the same time. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { BareMemory } from './bare-hart.js';
import type { HartWork } from './hart-worker.js';

export interface ParallelHart {
  readonly pc: bigint;
  readonly registers?: readonly (readonly [number, bigint])[];
}

/** Runs the harts of `space` from their pc; the EXIT_* reason of each. Rejects if a thread fails. */
export async function runParallel(
  space: BareMemory,
  harts: readonly ParallelHart[],
  budget = 1_000_000_000_000,
): Promise<number[]> {
  return Promise.all(
    harts.map(async ({ pc, registers = [] }, index) => {
      const workerData: HartWork = { space, index, pc, registers, budget };
      const worker = new Worker(new URL('./hart-worker.js', import.meta.url), { workerData });
      const [reason] = (await once(worker, 'message')) as [number];
      await worker.terminate();
      return reason;
    }),
  );
}
