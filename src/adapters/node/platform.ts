/** Harts on Node's worker threads. */
import { randomFillSync } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import type { HartMessage } from '../../vmm/assignment.js';
import type { HartThread, Platform } from '../../vmm/hart.js';

export const nodePlatform: Platform = {
  startHartThread(): HartThread {
    const worker = new Worker(new URL('./hart-worker.js', import.meta.url), { name: 'hart' });
    const thread: HartThread = {
      onMessage: () => undefined,
      assign: (assignment) => worker.postMessage(assignment),
      terminate: async () => {
        await worker.terminate();
      },
    };
    worker.on('message', (message: HartMessage) => thread.onMessage(message));
    worker.on('error', (error) => thread.onMessage({ type: 'failed', message: error.stack ?? error.message }));
    // An idle computer does not keep the process alive by itself.
    worker.unref();
    return thread;
  },
  randomBytes(into) {
    randomFillSync(into);
  },
};
