import type { FileHandle } from 'node:fs/promises';
import { SECTOR_SIZE } from '../../../computer/virtio/block-backend.js';

/** No disk is larger; beyond 2^53 a position is no number of JavaScript's. */
const LARGEST = 2 ** 52;

/** Bytes in an open file or block device. */
export async function sizeOf(file: FileHandle): Promise<number> {
  const found = await file.stat();
  if (!found.isBlockDevice()) return found.size;
  // `stat` says 0 of a block device, and Node has no `lseek`: the end is found by reading.
  const sector = new Uint8Array(SECTOR_SIZE);
  const isThere = async (n: number): Promise<boolean> =>
    (await file.read(sector, 0, SECTOR_SIZE, n * SECTOR_SIZE)).bytesRead === SECTOR_SIZE;
  let beyond = 1;
  while (beyond < LARGEST / SECTOR_SIZE && (await isThere(beyond - 1))) beyond *= 2;
  let sectors = Math.floor(beyond / 2);
  for (let step = sectors; step >= 1; step = Math.floor(step / 2)) {
    if (await isThere(sectors + step - 1)) sectors += step;
  }
  return sectors * SECTOR_SIZE;
}
