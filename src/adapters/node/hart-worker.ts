/** The worker thread of a hart. */
import { parentPort } from 'node:worker_threads';
import { shareHostClock } from '../../computer/clock.js';
import { openLocal } from './disk/local-file.js';
import { monotonicMilliseconds } from './monotonic.js';
import { optimizeAfter } from './tiering.js';
import { runHart } from '../../guest/hart-main.js';
import type { HartAssignment } from '../../partition/assignment.js';

shareHostClock(monotonicMilliseconds);
parentPort?.on('message', (assignment: HartAssignment) => {
  runHart(assignment, (message) => parentPort?.postMessage(message), { optimizeAfter, openLocal });
});
