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
      assign: (assignment) => {
        worker.ref();
        worker.postMessage(assignment);
      },
      terminate: async () => {
        await worker.terminate();
      },
    };
    worker.on('message', (message: HartMessage) => {
      if (message.type === 'stopped' || message.type === 'failed') worker.unref();
      thread.onMessage(message);
    });
    worker.on('error', (error) => thread.onMessage({ type: 'failed', message: error.stack ?? error.message }));
    // A hart without an assignment does not keep the process alive.
    worker.unref();
    return thread;
  },
  randomBytes(into) {
    randomFillSync(into);
  },
};
