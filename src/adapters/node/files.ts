/** Node's file system for the image builder. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ImageError } from '../../image/errors.js';
import type { Files, FileWriter } from '../../image/host.js';

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

const DIGEST_PIECE = 2 ** 20;

/** There is no such file; a file where a folder should be means the same. */
const isMissing = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '');

function hostError(error: unknown, path: string): ImageError {
  const code = codeOf(error);
  const text = error instanceof Error ? error.message : String(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new ImageError(
      'disk-full',
      `the disk is full: cannot write ${path}. Make room, or set UNDERSTUDY_CACHE to a folder on another disk`,
      {
        cause: error,
      },
    );
  }
  return new ImageError('command', `${path}: ${text}`, { cause: error });
}

/**
 * Makes a folder and those above it, as `mkdir -p`. Node's own way of doing that tries for ever, in a thread that
 * nothing ends, where a file system answers ENOENT although the folder above is there, as /proc does.
 *
 * @param mode of the folders that are made; 0o777 less the umask unless told.
 */
export async function makeFolders(path: string, mode?: number): Promise<void> {
  try {
    await makeOne(path, mode);
  } catch (error) {
    const above = dirname(path);
    if (codeOf(error) !== 'ENOENT' || above === path) throw error;
    await makeFolders(above, mode);
    await makeOne(path, mode);
  }
}

/** One that is there already is as good. */
async function makeOne(path: string, mode?: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    const found = await stat(path).catch(() => undefined);
    if (found?.isDirectory() !== true) throw error;
  }
}

async function optional<T>(path: string, get: () => Promise<T>): Promise<T | undefined> {
  try {
    return await get();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw hostError(error, path);
  }
}

async function attempt<T>(path: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw hostError(error, path);
  }
}

async function openWriter(path: string, flags: 'w' | 'r+'): Promise<FileWriter> {
  await makeFolders(dirname(path));
  const file = await open(path, flags);
  return {
    write: (at, data) =>
      attempt(path, async () => {
        for (let done = 0; done < data.length;) {
          done += (await file.write(data, done, data.length - done, at + done)).bytesWritten;
        }
      }),
    resize: (bytes) => attempt(path, () => file.truncate(bytes)),
    close: () => attempt(path, () => file.close()),
  };
}

/** Of a file of any size, with no more of it in memory than a piece. */
async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: DIGEST_PIECE })) hash.update(piece as Uint8Array);
  return hash.digest('hex');
}

export const nodeFiles: Files = {
  read: (path) => optional(path, () => readFile(path)),
  async write(path, data) {
    await attempt(path, async () => {
      await makeFolders(dirname(path));
      try {
        await writeFile(path, data);
      } catch (error) {
        // Half a file must not outlive a full disk.
        await rm(path, { force: true });
        throw error;
      }
    });
  },
  list: async (path) => ((await optional(path, () => readdir(path))) ?? []).sort(),
  size: async (path) => {
    const found = await optional(path, () => stat(path));
    return found?.isFile() === true ? found.size : undefined;
  },
  async makeFolder(path) {
    await attempt(path, () => makeFolders(path));
  },
  create: (path) => attempt(path, () => openWriter(path, 'w')),
  open: (path) => attempt(path, () => openWriter(path, 'r+')),
  digest: (path) => optional(path, () => digestOf(path)),
  free: (folder) =>
    attempt(folder, async () => {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    }),
  remove: (path) => attempt(path, () => rm(path, { recursive: true, force: true })),
  rename: (from, to) => attempt(to, () => rename(from, to)),
};
