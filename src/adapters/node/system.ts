/** Node as the platform of a computer. */
import { readFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import type { SystemPlatform } from '../../system/platform.js';
import { FileDisk } from './disk/file-disk.js';
import { nodePlatform } from './platform.js';
import { nodeClock, nodeSockets } from './sockets.js';

/** Of the host, or of the cgroup this process is in. */
function memory(): number {
  const limit = process.constrainedMemory();
  // Zero is "not known", and without a limit it is more than there is.
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

export const nodeSystem: SystemPlatform = {
  ...nodePlatform,
  sockets: nodeSockets(),
  clock: nodeClock(),
  memory: memory(),
  readFile: (path) => readFile(path),
  openDisk: (path, access) => FileDisk.open(path, access),
};
