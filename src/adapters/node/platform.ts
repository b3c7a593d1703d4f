/** Harts on Node's worker threads. */
import { randomFillSync } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { shareHostClock } from '../../computer/clock.js';
import type { HartAssignment, HartMessage } from '../../partition/assignment.js';
import type { HartThread, Platform } from '../../partition/hart.js';
import { monotonicMilliseconds } from './monotonic.js';
import { CORE_BUDGET, heedHints, optimizeAfter } from './tiering.js';

/** What a translator leaves behind is garbage at once: a larger young generation only takes more memory. */
const YOUNG_MIB = 12;

const HART_WORKER = new URL('./hart-worker.js', import.meta.url);

/** A hart's thread. A worker that has died is replaced at the next assignment, so that its hart is not lost. */
class WorkerThread implements HartThread {
  /** Who hears of the assignment under way. */
  #listener: ((message: HartMessage) => void) | undefined;
  #worker: Worker | undefined;

  constructor(private readonly file: URL) {
    this.#worker = this.#start();
  }

  assign(assignment: HartAssignment, onMessage: (message: HartMessage) => void): void {
    const worker = (this.#worker ??= this.#start());
    worker.postMessage(assignment);
    worker.ref();
    this.#listener = onMessage;
  }

  async terminate(): Promise<void> {
    await this.#worker?.terminate();
  }

  #start(): Worker {
    // Options of this process (--eval, --input-type) are not for a worker with a file of its own.
    const worker = new Worker(this.file, {
      name: 'hart',
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
    });
    allowListeners(1);
    worker.once('exit', () => allowListeners(-1));
    worker.on('message', (message: HartMessage) => this.#hear(message));
    worker.on('messageerror', (error) => this.#lose(worker, `what it said cannot be read: ${error.message}`));
    worker.on('error', (error: unknown) =>
      this.#lose(worker, error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
    worker.on('exit', (code) => this.#lose(worker, `its thread ended (${code})`));
    // A hart without an assignment does not keep the process alive.
    worker.unref();
    return worker;
  }

  #hear(message: HartMessage): void {
    const listener = this.#listener;
    if (message.type === 'stopped' || message.type === 'failed') {
      this.#listener = undefined;
      this.#worker?.unref();
    }
    listener?.(message);
  }

  /** The worker is no more, or of no use: the first to say so is believed. */
  #lose(worker: Worker, why: string): void {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    void worker.terminate();
    this.#hear({ type: 'failed', message: why });
  }
}

/**
 * Node pipes what a worker writes to our standard output and error, and each pipe listens there for errors: that there
 * are as many listeners as workers is no leak to be warned of.
 */
function allowListeners(more: number): void {
  for (const stream of [process.stdout, process.stderr]) {
    const most = stream.getMaxListeners();
    // None: there is no limit.
    if (most > 0) stream.setMaxListeners(most + more);
  }
}

heedHints();
optimizeAfter(CORE_BUDGET);
shareHostClock(monotonicMilliseconds);

/** A hart's thread; `file` is what its worker runs. */
export function hartThread(file = HART_WORKER): HartThread {
  return new WorkerThread(file);
}

export const nodePlatform: Platform = {
  startHartThread: () => hartThread(),
  soon(run) {
    setImmediate(run);
  },
  randomBytes(into) {
    randomFillSync(into);
  },
};
