/** Runs one bare hart on a thread of its own until it exits; see `parallel.ts`. */
import { parentPort, workerData } from 'node:worker_threads';
import { BareHart, type BareMemory } from './bare-hart.js';

/** What a thread is given. */
export interface HartWork {
  readonly space: BareMemory;
  readonly index: number;
  readonly pc: bigint;
  readonly registers: readonly (readonly [number, bigint])[];
  readonly budget: number;
}

const { space, index, pc, registers, budget } = workerData as HartWork;
const hart = new BareHart(space, index);
for (const [n, value] of registers) hart.setX(n, value);
hart.pc = pc;

// All threads begin together: word 0 of the memory counts those that are ready.
const { words } = hart;
Atomics.add(words, 0, 1);
Atomics.notify(words, 0);
for (let ready; (ready = Atomics.load(words, 0)) < space.harts;) Atomics.wait(words, 0, ready);

parentPort?.postMessage(hart.run(budget));
