/** Folders for a ring's file. As src/adapters/node/files.ts makes them: the session stands alone, so it has its own. */
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SessionError } from '../errors.js';

/**
 * Makes the folder of a ring's file, for this user alone.
 *
 * @throws SessionError `file`
 */
export async function makeFolderOf(path: string): Promise<void> {
  try {
    await makeFolders(dirname(path), 0o700);
  } catch (error) {
    throw new SessionError('file', `key ring ${path}: its folder cannot be made`, { cause: error });
  }
}

/**
 * Makes a folder and those above it, as `mkdir -p -m`. Node's own `recursive` tries for ever, in a thread that nothing
 * ends, where a file system answers ENOENT although the folder above is there, as /proc does.
 *
 * @param mode - of the folders that are made
 */
async function makeFolders(path: string, mode: number): Promise<void> {
  try {
    await makeOne(path, mode);
  } catch (error) {
    const above = dirname(path);
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (!isMissing || above === path) throw error;
    await makeFolders(above, mode);
    await makeOne(path, mode);
  }
}

/** One that is there already is as good. */
async function makeOne(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    const found = await stat(path).catch(() => undefined);
    if (found?.isDirectory() !== true) throw error;
  }
}
