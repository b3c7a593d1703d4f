/** Harts on Node's worker threads. */
import { randomFillSync } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { shareHostClock } from '../../computer/clock.js';
import type { HartMessage } from '../../partition/assignment.js';
import type { HartThread, Platform } from '../../partition/hart.js';
import { monotonicMilliseconds } from './monotonic.js';
import { CORE_BUDGET, heedHints, optimizeAfter } from './tiering.js';

/** What a translator leaves behind is garbage at once: a larger young generation only takes more memory. */
const YOUNG_MIB = 12;

/** A hart's thread. A worker that has failed is replaced at the next assignment, so that its hart is not lost. */
class WorkerThread implements HartThread {
  onMessage: (message: HartMessage) => void = () => undefined;
  #worker: Worker | undefined = this.#start();

  assign(assignment: Parameters<HartThread['assign']>[0]): void {
    this.#worker ??= this.#start();
    this.#worker.ref();
    this.#worker.postMessage(assignment);
  }

  async terminate(): Promise<void> {
    await this.#worker?.terminate();
  }

  #start(): Worker {
    // Options of this process (--eval, --input-type) are not for a worker with a file of its own.
    const worker = new Worker(new URL('./hart-worker.js', import.meta.url), {
      name: 'hart',
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
    });
    worker.on('message', (message: HartMessage) => {
      if (message.type === 'stopped' || message.type === 'failed') worker.unref();
      this.onMessage(message);
    });
    worker.on('error', (error) => {
      this.#worker = undefined;
      this.onMessage({ type: 'failed', message: error.stack ?? error.message });
    });
    // A hart without an assignment does not keep the process alive.
    worker.unref();
    return worker;
  }
}

heedHints();
optimizeAfter(CORE_BUDGET);
shareHostClock(monotonicMilliseconds);

export const nodePlatform: Platform = {
  startHartThread: () => new WorkerThread(),
  soon(run) {
    setImmediate(run);
  },
  randomBytes(into) {
    randomFillSync(into);
  },
};
