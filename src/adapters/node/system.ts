/** Node as the platform of a computer. */
import { readFile } from 'node:fs/promises';
import type { SystemPlatform } from '../../system/platform.js';
import { FileDisk } from './disk/file-disk.js';
import { nodePlatform } from './platform.js';
import { nodeClock, nodeSockets } from './sockets.js';

export const nodeSystem: SystemPlatform = {
  ...nodePlatform,
  sockets: nodeSockets(),
  clock: nodeClock(),
  readFile: (path) => readFile(path),
  openDisk: (path, access) => FileDisk.open(path, access),
};
