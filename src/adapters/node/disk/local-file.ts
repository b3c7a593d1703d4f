/** A file that this process has open, as any thread of it can read and write it: descriptors are the process's. */
import { readvSync, writevSync } from 'node:fs';
import type { LocalFile } from '../../../computer/virtio/local-disk.js';

/** A handle is the descriptor and one: 0 is none. */
export const handleOf = (fd: number): number => fd + 1;

/** The file behind a handle. Whoever gave the handle keeps the file open. */
export function openLocal(handle: number): LocalFile {
  const fd = handle - 1;
  return {
    read: (into, position) => readvSync(fd, into, position),
    write: (from, position) => writevSync(fd, from, position),
  };
}
