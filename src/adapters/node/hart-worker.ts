/** The worker thread of a hart. */
import { parentPort } from 'node:worker_threads';
import { runHart } from '../../guest/hart-main.js';
import type { HartAssignment } from '../../vmm/assignment.js';

parentPort?.on('message', (assignment: HartAssignment) => {
  runHart(assignment, (message) => parentPort?.postMessage(message));
});
