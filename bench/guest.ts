/** What is added to a guest's user space so that it runs the programs. */
import { readFileSync } from 'node:fs';
import type { CpioEntry } from '../src/image/index.js';

/** The executable with all programs; /init runs the runner in place of a shell. */
export function runnerFiles(executable: string): CpioEntry[] {
  return [
    { path: 'bench/bench', mode: 0o755, data: readFileSync(executable) },
    { path: 'etc/understudy/run', mode: 0o644, data: 'exec /bench/bench\n' },
  ];
}

/** What a machine boots: the same for all machines with the same processor. */
export interface GuestFiles {
  /** Paths. */
  readonly kernel: string;
  readonly initramfs: string;
  readonly mebibytes: number;
  /** Boot arguments, without the console. */
  readonly arguments: string;
}

/** Without the self-tests of the kernel's ciphers and of its jitter source, which are no user's work. */
export const BOOT_ARGUMENTS = 'quiet cryptomgr.notests=1 initcall_blacklist=jent_mod_init';
