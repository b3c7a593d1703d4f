/** The cache's folder, and its lock between processes. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { realpath } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ImageError } from '../../image/errors.js';
import type { Cache, Lock } from '../../image/host.js';
import { nodeFiles } from './files.js';

/** Where a lost lock is tried again, at the latest. */
const RETRY_MS = 250;

/**
 * UNDERSTUDY_CACHE, or `understudy` in XDG_CACHE_HOME, or `~/.cache/understudy`.
 */
export function defaultCacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const { UNDERSTUDY_CACHE: own, XDG_CACHE_HOME: xdg } = env;
  if (own !== undefined && own !== '') return resolve(own);
  // The specification says to ignore a relative path here.
  return xdg?.startsWith('/') === true ? join(xdg, 'understudy') : join(homedir(), '.cache', 'understudy');
}

/** @param root the cache's folder; made when it is not there. */
export function nodeCache(root: string = defaultCacheFolder()): Cache {
  const folder = resolve(root);
  return { root: folder, files: nodeFiles, lock: (signal, onWait) => lockFolder(folder, signal, onWait) };
}

/**
 * The lock is a socket in Linux's abstract name space, bound to a name made of the folder's real path:
 * only one process can have it, nothing of it lies on the disk, and the kernel takes it away with its
 * owner, however that ends. Those who wait are connected to it, and so see its end at once.
 * (Two containers that share a cache but no network name space do not see each other; apt's own locks
 * and the renames keep the cache whole then.)
 */
async function lockFolder(root: string, signal?: AbortSignal, onWait?: () => void): Promise<Lock> {
  await nodeFiles.makeFolder(root);
  const digest = createHash('sha256')
    .update(await realpath(root))
    .digest('hex');
  const path = `\0understudy-cache-${digest}`;
  for (let waited = false; ; waited = true) {
    if (signal?.aborted === true) throw new ImageError('aborted', 'interrupted while waiting for another process');
    const lock = await tryBind(path);
    if (lock !== undefined) return lock;
    if (!waited) onWait?.();
    await ownerGone(path, signal);
  }
}

async function tryBind(path: string): Promise<Lock | undefined> {
  const server = createServer();
  const waiting = new Set<import('node:net').Socket>();
  server.on('connection', (socket) => {
    waiting.add(socket);
    socket.on('error', () => undefined).on('close', () => waiting.delete(socket));
    socket.unref();
  });
  try {
    server.listen({ path });
    await once(server, 'listening');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return undefined;
    throw new ImageError('command', `cannot lock the cache: ${String(error)}`, { cause: error });
  }
  // Holding the lock is no reason to keep the process alive.
  server.unref();
  return {
    release: () =>
      new Promise((done) => {
        for (const socket of waiting) socket.destroy();
        server.close(() => done());
      }),
  };
}

/** Returns when the owner is gone, or may be. */
async function ownerGone(path: string, signal?: AbortSignal): Promise<void> {
  const socket = connect({ path });
  try {
    // Never arrives: the owner sends nothing, so what comes is the end, an error, or the signal.
    await once(socket, 'close', signal === undefined ? {} : { signal });
  } catch {
    // A refused connection or the signal: the caller looks at both.
    if (signal?.aborted !== true) await delay(Math.random() * RETRY_MS);
  } finally {
    socket.destroy();
  }
}
