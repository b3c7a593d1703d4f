/** Child processes for the image builder. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { ImageError } from '../../image/errors.js';
import type { CommandOptions, Commands } from '../../image/host.js';

const STDERR_KEPT = 64 * 1024;

/**
 * util-linux's setpriv lets a child die with this process, even when this process is killed: the lock
 * on the cache dies then as well, and nobody may go on writing there.
 */
const SETPRIV = '/usr/bin/setpriv';

interface Started {
  child: ChildProcess;
  /** Exit status; rejects only when the command could not be started for another reason than its absence. */
  status: Promise<number>;
  stderr: () => string;
  stop: () => void;
}

function start(command: string, args: readonly string[], { cwd, env, signal }: CommandOptions): Started {
  throwIfAborted(signal, command);
  const merged: NodeJS.ProcessEnv = { ...process.env };
  for (const [key, value] of Object.entries(env ?? {})) {
    if (value === undefined) Reflect.deleteProperty(merged, key);
    else merged[key] = value;
  }
  const bound = existsSync(SETPRIV);
  const [file, argv] = bound ? [SETPRIV, ['--pdeathsig', 'SIGTERM', '--', command, ...args]] : [command, [...args]];
  // A group of its own: a Ctrl-C in the terminal reaches this process alone, and it ends the whole group.
  const child = spawn(file, argv, { cwd, env: merged, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const stop = (): void => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    try {
      process.kill(-child.pid, 'SIGTERM');
    } catch {
      // It ended meanwhile.
    }
  };
  signal?.addEventListener('abort', stop, { once: true });
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-STDERR_KEPT)));
  const status = new Promise<number>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') resolve(127);
      else reject(new ImageError('command', `cannot start ${command}: ${error.message}`, { cause: error }));
    });
    child.once('close', (code) => resolve(code ?? 128));
  }).finally(() => signal?.removeEventListener('abort', stop));
  return { child, status, stderr: () => stderr, stop };
}

function throwIfAborted(signal: AbortSignal | undefined, command: string): void {
  if (signal?.aborted === true) throw new ImageError('aborted', `interrupted at ${command}`);
}

export const nodeCommands: Commands = {
  async run(command, args, options = {}) {
    const { child, status, stderr } = start(command, args, options);
    const lines: string[] = [];
    if (child.stdout !== null) {
      const reader = createInterface({ input: child.stdout });
      reader.on('line', (line) => {
        lines.push(line);
        options.onLine?.(line);
      });
      // Both: the process has ended, and its last line was read.
      const [code] = await Promise.all([status, child.pid === undefined ? undefined : once(reader, 'close')]);
      throwIfAborted(options.signal, command);
      return { status: code, stdout: lines.map((line) => `${line}\n`).join(''), stderr: stderr() };
    }
    throw new ImageError('command', `${command} has no standard output`);
  },

  async *stream(command, args, options = {}) {
    const { child, status, stderr, stop } = start(command, args, options);
    // Looked at below; without this a failure before that would be an unhandled one.
    status.catch(() => undefined);
    try {
      if (child.stdout !== null) for await (const piece of child.stdout) yield piece as Uint8Array;
      const code = await status;
      throwIfAborted(options.signal, command);
      if (code === 127)
        throw new ImageError('unsupported', `This machine has no ${command}, which unpacks Debian packages.`);
      if (code !== 0)
        throw new ImageError('command', `${command} ${args.join(' ')}: ${stderr().trim() || `status ${code}`}`);
    } finally {
      stop();
    }
  },
};
