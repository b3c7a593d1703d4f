/** Builds the programs: one static executable for each processor. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { BenchError } from './errors.js';

export type Processor = 'native' | 'riscv64' | 'i386';

interface Toolchain {
  readonly compilers: readonly (readonly string[])[];
  /** The Debian packages that bring one of them. */
  readonly packages: string;
}

const TOOLCHAINS: Readonly<Record<Processor, Toolchain>> = {
  native: { compilers: [['gcc'], ['cc']], packages: 'gcc libc6-dev' },
  riscv64: {
    compilers: [['riscv64-linux-gnu-gcc', '-march=rv64gc', '-mabi=lp64d']],
    packages: 'gcc-riscv64-linux-gnu libc6-dev-riscv64-cross',
  },
  // SSE2 for floating point: the x87 would be slower, and would round otherwise.
  i386: {
    compilers: [
      ['i686-linux-gnu-gcc', '-march=pentium4', '-mfpmath=sse'],
      ['gcc', '-m32', '-march=pentium4', '-mfpmath=sse'],
    ],
    packages: 'gcc-i686-linux-gnu libc6-dev-i386-cross',
  },
};

/**
 * The same for all. No fused multiply-add, which some processors have and round differently;
 * functions in the order of the source, because straddle.c places one.
 */
const FLAGS = ['-O2', '-static', '-std=gnu11', '-Wall', '-Wextra', '-ffp-contract=off', '-fno-toplevel-reorder'];

/**
 * Path of the executable. Throws BenchError `missing` where no compiler works, and says what to install.
 *
 * @param programs folder of the sources.
 * @param out folder for what is built; made when it is not there.
 */
export function compilePrograms(processor: Processor, programs: string, out: string): string {
  mkdirSync(out, { recursive: true });
  const path = join(out, `bench.${processor}`);
  const sources = readdirSync(programs).map((name) => join(programs, name));
  if (isNewer(path, sources)) return path;
  const { compilers, packages } = TOOLCHAINS[processor];
  let said = '';
  for (const [command, ...flags] of compilers) {
    const temporary = `${path}.${process.pid}`;
    const c = sources.filter((name) => name.endsWith('.c')).sort();
    const { status, error, stderr } = spawnSync(command, [...FLAGS, ...flags, '-o', temporary, ...c, '-lm'], {
      encoding: 'utf8',
    });
    if (status === 0) {
      renameSync(temporary, path);
      return path;
    }
    said += `\n  ${command}: ${error === undefined ? stderr.trim() : error.message}`;
  }
  throw new BenchError(
    'missing',
    `the programs cannot be built for ${processor} (apt-get install ${packages} helps):${said}`,
  );
}

function isNewer(path: string, sources: readonly string[]): boolean {
  const built = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return sources.every((source) => statSync(source).mtimeMs < built);
}
