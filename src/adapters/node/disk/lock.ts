/**
 * Locks on disk images. Node cannot lock a file, but a lock of flock(2) belongs to the open file, not to the process
 * that asked for it: the command `flock` takes it on a descriptor that it inherits from us, and ends; the lock stays
 * until we close the file or die, however we die. It is kept by the kernel for the file itself, so that links, other
 * users and containers make no difference.
 */
import { spawn } from 'node:child_process';
import type { FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { BlockError } from '../../../computer/virtio/block-backend.js';

/** A process that was killed may take a moment to let go of its locks. */
const ATTEMPTS = 5;
const BETWEEN_ATTEMPTS = 60;
/** What `flock -n` ends with when somebody else has the lock. */
const TAKEN = 1;

/** Throws BlockError `in-use`, or `no-lock` if the host cannot lock the file. */
export async function lockFile(file: FileHandle, path: string, kind: 'shared' | 'exclusive'): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const { status, said } = await flock(file.fd, kind);
    if (status === 0) return;
    if (status !== TAKEN) {
      const message = `${path} cannot be locked against other machines: ${said}; where that is no danger, attach it without a lock`;
      throw new BlockError('no-lock', message);
    }
    if (attempt === ATTEMPTS) {
      const others = kind === 'shared' ? 'writes it' : 'uses it';
      throw new BlockError('in-use', `${path}: another machine ${others}; two would destroy what is on it`);
    }
    await sleep(BETWEEN_ATTEMPTS);
  }
}

function flock(fd: number, kind: 'shared' | 'exclusive'): Promise<{ status: number | null; said: string }> {
  return new Promise((resolve) => {
    const child = spawn('flock', ['-n', kind === 'shared' ? '-s' : '-x', '3'], {
      stdio: ['ignore', 'ignore', 'pipe', fd],
    });
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    child.on('error', () => resolve({ status: null, said: 'there is no command "flock" (package util-linux)' }));
    child.on('close', (status) => resolve({ status, said: said.trim() || `"flock" ended with ${String(status)}` }));
  });
}
