/** Where the sockets of machines lie: one for each that has a name, in a folder that is this user's alone. */
import { chmod, lstat, readdir, unlink } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { defaultCacheFolder } from '../../../adapters/node/cache.js';
import { makeFolders } from '../../../adapters/node/files.js';
import { ControlError } from './errors.js';
import { isName } from './protocol.js';

const ENDING = '.sock';
/** Bytes of a socket's path (unix(7)), without the zero at its end. */
const MOST_PATH = 107;

/** `understudy` in XDG_RUNTIME_DIR, or `run` in the cache's folder. */
export function controlFolder(env: NodeJS.ProcessEnv = process.env): string {
  const runtime = env['XDG_RUNTIME_DIR'];
  // As the specification says: a relative path is to be ignored.
  return runtime?.startsWith('/') === true ? join(runtime, 'understudy') : join(defaultCacheFolder(env), 'run');
}

/** Makes the folder, and sees that nobody else can reach into it. Throws ControlError `folder`. */
export async function makeControlFolder(folder: string): Promise<void> {
  try {
    await makeFolders(folder, 0o700);
    const { uid } = await lstat(folder);
    if (process.getuid !== undefined && uid !== process.getuid()) throw new Error(`it belongs to user ${uid}`);
    await chmod(folder, 0o700);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ControlError('folder', `the folder for control sockets, ${folder}, cannot be used: ${why}`, { cause });
  }
}

/** Throws ControlError `invalid` for a name that cannot be, `folder` for a path that is too long for a socket. */
export function socketPath(folder: string, name: string): string {
  if (!isName(name)) throw new ControlError('invalid', `a machine cannot be called "${name}": letters, digits, -_.`);
  const path = join(folder, name + ENDING);
  if (Buffer.byteLength(path) > MOST_PATH) {
    throw new ControlError('folder', `${path} is too long for a socket; a shorter XDG_RUNTIME_DIR or name helps`);
  }
  return path;
}

/** The names of machines that run. Sockets that nobody listens to any more are removed. */
export async function machinesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder).catch(() => []);
  const names = entries.filter((e) => e.endsWith(ENDING)).map((e) => e.slice(0, -ENDING.length));
  const alive = await Promise.all(
    names.filter(isName).map(async (name) => [name, await answers(folder, name)] as const),
  );
  return alive
    .filter(([, is]) => is)
    .map(([name]) => name)
    .sort();
}

async function answers(folder: string, name: string): Promise<boolean> {
  const path = socketPath(folder, name);
  const socket = await tryConnect(path);
  socket?.destroy();
  if (socket === undefined) await removeStale(path);
  return socket !== undefined;
}

/** A connection; undefined if nobody listens there. Throws ControlError `folder` for what else goes wrong. */
export function tryConnect(path: string): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true });
    socket.once('connect', () => resolve(socket));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(undefined);
      else reject(new ControlError('folder', `cannot connect to ${path}: ${error.message}`, { cause: error }));
    });
  });
}

/** Whoever had it is gone. Only a socket is removed: anything else is not ours. */
export async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found?.isSocket() === true) await unlink(path).catch(() => undefined);
}
