/**
 * A key ring in a file that several servers share. Reading is checked
 * (nobody else may read or write the file), writing is atomic (a reader sees
 * the old ring or the new one, whole) and one writer's turn at a time.
 *
 *   session-keys.json          0600, replaced by rename
 *   session-keys.json.lock     held for the milliseconds of a change; names its holder
 *   .session-keys.json.*.tmp   the next ring while it is being written
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import { open, readFile, realpath, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SessionError } from '../errors.js';
import type { RingContent } from '../ring.js';
import { formatRing, parseRing } from '../ring-text.js';

/** A lock this old (milliseconds) belongs to a process that died with it: a change takes a few. */
const STALE_LOCK = 10_000;
/** How long to wait for one's turn, milliseconds. */
const LOCK_PATIENCE = 15_000;
/** Permission bits of anybody but the owner. */
const OTHERS = 0o077;
/** Those that let others write. */
const OTHERS_WRITE = 0o022;

/** How a ring's file is read. */
export interface ReadOptions {
  /**
   * Takes a file that others may read, if none may write it: secrets are mounted
   * like that into containers (0440 or 0644 by Kubernetes, 0444 by Docker), where
   * the container is what keeps others out. Default false.
   */
  readonly othersMayRead?: boolean;
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** The name under which any file error leaves this module. */
function fileError(path: string, what: string, cause: unknown): SessionError {
  if (cause instanceof SessionError) return cause;
  return new SessionError('file', `key ring ${path}: ${what} (${codeOf(cause) ?? String(cause)})`, { cause });
}

/**
 * Reads a ring from a file.
 *
 * @throws SessionError `file`, `unsafe-file` when others can read or write it, `bad-ring`
 */
export function readRingFile(path: string, options: ReadOptions = {}): RingContent {
  let text: string;
  try {
    // Permissions are those of what is read, not of what the name meant a moment ago.
    const fd = openSync(path, 'r');
    try {
      checkOwner(path, fd, options.othersMayRead === true);
      text = readFileSync(fd, 'utf8');
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const hint =
      codeOf(error) === 'ENOENT' ? 'does not exist: make it with "understudy keys create"' : 'cannot be read';
    throw fileError(path, hint, error);
  }
  return parseRing(text);
}

function checkOwner(path: string, fd: number, othersMayRead: boolean): void {
  // Windows has no such bits; there the folder's access list is what protects the file.
  if (process.platform === 'win32') return;
  const { mode, uid } = fstatSync(fd);
  if ((mode & (othersMayRead ? OTHERS_WRITE : OTHERS)) !== 0) {
    const octal = (mode & 0o777).toString(8);
    throw new SessionError(
      'unsafe-file',
      othersMayRead
        ? `key ring ${path}: others may write it (mode ${octal}): mount it read-only for them, and rotate`
        : `key ring ${path}: others have access (mode ${octal}): chmod 600 it, and rotate; a mounted secret is opened with readOnly (--read-only)`,
    );
  }
  const self = process.getuid?.();
  if (self !== undefined && self !== 0 && uid !== self && uid !== 0) {
    throw new SessionError('unsafe-file', `key ring ${path}: belongs to user ${uid}, neither to this one nor to root`);
  }
}

/**
 * What tells one version of a file, and of the right to read it, from another without reading it.
 *
 * @throws SessionError `file` when the folder does not let us look
 */
export function fileVersion(path: string): string | undefined {
  try {
    const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (stats === undefined) return undefined;
    // Rights too: where times are whole seconds (Deno), no other field says that they changed.
    return [stats.ino, stats.mtimeNs, stats.ctimeNs, stats.size, stats.mode, stats.uid].join(':');
  } catch (error) {
    throw fileError(path, 'cannot be looked at', error);
  }
}

/**
 * Changes the ring in a file: one process at a time, and all or nothing.
 *
 * @param change - gets the ring, undefined when there is no file, and returns the next
 * @returns the ring as it is now in the file
 * @throws SessionError as `readRingFile`, and whatever `change` throws, with the file as it was
 */
export async function changeRingFile(
  path: string,
  change: (content: RingContent | undefined) => RingContent,
): Promise<RingContent> {
  // A link stays a link: what it points to is replaced.
  const real = await realpath(path).catch(() => path);
  const token = await lock(real);
  try {
    const before = fileVersion(real) === undefined ? undefined : readRingFile(real);
    const after = change(before);
    if (after !== before) await replaceFile(real, formatRing(after), token);
    return after;
  } finally {
    await unlock(real, token);
  }
}

async function replaceFile(path: string, text: string, token: string): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    // Whoever slept for longer than a lock lives has lost his turn.
    if ((await readFile(`${path}.lock`, 'utf8')) !== token) {
      throw new SessionError('file', `key ring ${path}: the lock was taken over; nothing was changed`);
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw fileError(path, 'cannot be written', error);
  }
  await syncFolder(dirname(path));
}

/** A rename is on disk when its folder is. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function lock(path: string): Promise<string> {
  const lockPath = `${path}.lock`;
  const token = `${process.pid} ${randomBytes(12).toString('hex')}\n`;
  const until = Date.now() + LOCK_PATIENCE;
  for (;;) {
    try {
      const file = await open(lockPath, 'wx', 0o600);
      await file.writeFile(token);
      await file.close();
      return token;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw fileError(path, 'cannot be locked', error);
    }
    await removeStale(lockPath);
    if (Date.now() > until) throw new SessionError('file', `key ring ${path}: another process holds ${lockPath}`);
    await sleep(5 + Math.random() * 20);
  }
}

async function removeStale(lockPath: string): Promise<void> {
  const age = await stat(lockPath).then(
    (stats) => Date.now() - stats.mtimeMs,
    () => 0,
  );
  if (age < STALE_LOCK) return;
  // Two may find it stale; only one can take it away, and never the fresh lock that follows.
  const grave = `${lockPath}.${randomBytes(6).toString('hex')}`;
  const taken = await rename(lockPath, grave).then(
    () => true,
    () => false,
  );
  if (taken) await unlink(grave).catch(() => undefined);
}

async function unlock(path: string, token: string): Promise<void> {
  const lockPath = `${path}.lock`;
  const holder = await readFile(lockPath, 'utf8').catch(() => '');
  if (holder === token) await unlink(lockPath).catch(() => undefined);
}
