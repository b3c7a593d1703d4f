/** A disk of a machine moves to another file while it is in use. */
import { open, stat, unlink } from 'node:fs/promises';
import { FileDisk } from '../../../index.js';
import type { DiskDevice } from '../../../interposition/kinds/disk.js';
import type { Machine } from './actions.js';
import type { Caller } from './caller.js';
import { ControlError } from './errors.js';
import type { JsonObject } from './lines.js';
import type { Request } from './protocol.js';

const SECTOR = 512;
/** How often one is told how far it is (ms). */
const EVERY = 200;

type Move = Extract<Request, { do: 'move' }>;

export async function moveDisk(
  disk: DiskDevice,
  { path, overwrite }: Move,
  machine: Machine,
  caller: Caller,
): Promise<JsonObject> {
  const isNew = await make(path, disk.sectors * SECTOR, overwrite);
  let target: FileDisk | undefined;
  let moved = false;
  let last = 0;
  try {
    target = await FileDisk.open(path, { raw: true });
    const opened = target;
    const report = await disk.moveTo(opened, {
      signal: caller.enough,
      onProgress: ({ copied, total, dirty }) => {
        const now = performance.now();
        if (now - last < EVERY) return;
        last = now;
        caller.tell({ copied, total, dirty });
      },
    });
    moved = true;
    machine.atEnd.push(() => opened.close());
    return { device: disk.id, mode: disk.mode, ...report };
  } finally {
    if (!moved) {
      await target?.close();
      if (isNew) await unlink(path).catch(() => undefined);
    }
  }
}

/** Makes a file of that size, unless there is one that may be used. True: it was made. Throws ControlError `exists`. */
async function make(path: string, size: number, overwrite: boolean): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() === false && !overwrite) {
    throw new ControlError(
      'exists',
      `${path} is no file; --overwrite uses it all the same, and all that it holds is lost`,
    );
  }
  if (found !== undefined && found.size > 0 && !overwrite) {
    throw new ControlError('exists', `${path} holds something already; --overwrite writes over it`);
  }
  if (found !== undefined && (!found.isFile() || found.size >= size)) return false;
  const file = await open(path, found === undefined ? 'wx' : 'r+', 0o600);
  try {
    await file.truncate(size);
  } finally {
    await file.close();
  }
  return found === undefined;
}
