/** A disk in a file or on a block device of the host. */
import { constants } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BlockError, SECTOR_SIZE, type Loan } from '../../../computer/virtio/block-backend.js';
import type { DiskAccess, OpenDisk } from '../../../system/platform.js';
import { foreignFormat } from './format.js';
import { HolePuncher } from './holes.js';
import { handleOf } from './local-file.js';
import { lockFile } from './lock.js';
import { sizeOf } from './size.js';

/** So often, and so long (ms), a hart that is at the disk is asked whether it has done. */
const RECALL_STEP = 1;
const RECALL_LIMIT = 5000;

/** Zeroes are written in pieces of this many bytes where no hole can be made. */
const ZEROES = new Uint8Array(64 * 1024);

/** A raw image: the file's bytes are the disk's. */
export class FileDisk implements OpenDisk {
  readonly #holes: HolePuncher;
  /** Who has the disk on loan, to be asked back. */
  readonly #loans = new Set<() => boolean>();
  #closed = false;

  private constructor(
    private readonly file: FileHandle,
    readonly sectors: number,
    readonly readOnly: boolean,
    readonly id: string,
  ) {
    this.#holes = new HolePuncher(file.fd);
  }

  /**
   * Opens the raw image or block device at `path`; bytes beyond the last whole sector are not part of the disk. It is
   * locked, also against other processes, until `close`: one may write it, or several read it.
   *
   * Throws BlockError `missing`, `permission`, `not-a-disk`, `size` (shorter than a sector), `format` (another format
   * than raw, unless `raw` says that it is none), `in-use`, `no-lock`, or `host`.
   */
  static async open(path: string, { readOnly = false, raw = false, lock = true }: DiskAccess = {}): Promise<FileDisk> {
    const file = await openFile(path, readOnly, lock);
    try {
      if (lock) await lockFile(file, path, readOnly ? 'shared' : 'exclusive');
      const sectors = Math.floor((await sizeOf(file)) / SECTOR_SIZE);
      if (sectors === 0) {
        throw new BlockError('size', `${path} is shorter than one sector of ${SECTOR_SIZE} bytes`);
      }
      const format = raw ? undefined : await foreignFormat(file);
      if (format !== undefined) {
        const message = `${path} is ${format}, not a raw disk image; convert it, or say that it is raw all the same`;
        throw new BlockError('format', message);
      }
      return new FileDisk(file, sectors, readOnly, basename(path));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async read(sector: number, into: Uint8Array): Promise<void> {
    for (let done = 0; done < into.length;) {
      const { bytesRead } = await this.file.read(into, done, into.length - done, sector * SECTOR_SIZE + done);
      if (bytesRead === 0) throw new BlockError('range', `the image ends before sector ${sector + into.length / 512}`);
      done += bytesRead;
    }
  }

  async write(sector: number, from: Uint8Array): Promise<void> {
    this.#mayWrite();
    await this.#write(sector * SECTOR_SIZE, from);
  }

  async flush(): Promise<void> {
    if (!this.readOnly) await this.file.datasync();
  }

  /** Gives the space back where the host can; elsewhere the contents stay, which is as right. */
  async discard(sector: number, count: number): Promise<void> {
    this.#mayWrite();
    await this.#holes.punch(sector * SECTOR_SIZE, count * SECTOR_SIZE);
  }

  /** Makes sectors read as zeroes, and gives their space back where the host can. */
  async zero(sector: number, count: number): Promise<void> {
    this.#mayWrite();
    const end = (sector + count) * SECTOR_SIZE;
    if (await this.#holes.punch(sector * SECTOR_SIZE, count * SECTOR_SIZE)) return;
    for (let at = sector * SECTOR_SIZE; at < end; at += ZEROES.length) {
      await this.#write(at, ZEROES.subarray(0, Math.min(ZEROES.length, end - at)));
    }
  }

  lend(recall: () => boolean): Loan | undefined {
    if (this.#closed) return undefined;
    this.#loans.add(recall);
    return { handle: handleOf(this.file.fd), giveBack: () => void this.#loans.delete(recall) };
  }

  /**
   * Lets go of the file. A guest that still has the disk gets I/O errors from now on.
   * Throws BlockError `in-use` if a hart is at it for longer than some seconds; the file stays open then.
   */
  async close(): Promise<void> {
    this.#closed = true;
    // Its descriptor may be another file's as soon as it is closed: no hart may have it in its hands then.
    for (let waited = 0; [...this.#loans].some((recall) => !recall()); waited += RECALL_STEP) {
      if (waited >= RECALL_LIMIT) throw new BlockError('in-use', `${this.id}: a guest is still reading or writing it`);
      await sleep(RECALL_STEP);
    }
    await this.#holes.close();
    await this.file.close();
  }

  #mayWrite(): void {
    if (this.readOnly) throw new BlockError('read-only', 'the disk is read-only');
  }

  async #write(position: number, from: Uint8Array): Promise<void> {
    for (let done = 0; done < from.length;) {
      done += (await this.file.write(from, done, from.length - done, position + done)).bytesWritten;
    }
  }
}

async function openFile(path: string, readOnly: boolean, lock: boolean): Promise<FileHandle> {
  try {
    const found = await stat(path);
    if (!found.isFile() && !found.isBlockDevice()) {
      const what = found.isDirectory() ? 'a folder' : 'neither a file nor a block device';
      throw new BlockError('not-a-disk', `${path} is ${what}`);
    }
    // On a block device, O_EXCL: nobody else may have it mounted or opened that way.
    const exclusive = found.isBlockDevice() && lock && !readOnly ? constants.O_EXCL : 0;
    return await open(path, (readOnly ? constants.O_RDONLY : constants.O_RDWR) | exclusive);
  } catch (error) {
    throw hostError(error, path);
  }
}

const REASONS: Readonly<Record<string, readonly [BlockError['code'], string]>> = {
  ENOENT: ['missing', 'there is no such file'],
  ENOTDIR: ['missing', 'there is no such file'],
  EACCES: ['permission', 'this user may not open it that way; a disk that is only read can be attached read-only'],
  EPERM: ['permission', 'this user may not open it that way; a disk that is only read can be attached read-only'],
  EROFS: ['permission', 'it lies on a read-only file system; attach it read-only'],
  EBUSY: ['in-use', 'the host uses this block device, it may be mounted'],
};

function hostError(error: unknown, path: string): BlockError {
  if (error instanceof BlockError) return error;
  const known = error instanceof Error && 'code' in error ? REASONS[String(error.code)] : undefined;
  if (known !== undefined) return new BlockError(known[0], `${path}: ${known[1]}`, { cause: error });
  return new BlockError('host', `${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
}
