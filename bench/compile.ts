/** Builds the programs: one static executable for each processor. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { BenchError } from './errors.js';
import { inRoot, type Packages } from './packages.js';

export type Processor = 'native' | 'riscv64' | 'i386';

interface Toolchain {
  readonly compilers: readonly (readonly string[])[];
  /** The Debian packages that bring the first. */
  readonly packages: readonly string[];
}

const TOOLCHAINS: Readonly<Record<Processor, Toolchain>> = {
  native: { compilers: [['gcc'], ['cc']], packages: ['gcc', 'libc6-dev'] },
  riscv64: {
    compilers: [['riscv64-linux-gnu-gcc', '-march=rv64gc', '-mabi=lp64d']],
    packages: ['gcc-riscv64-linux-gnu', 'libc6-dev-riscv64-cross'],
  },
  // SSE2 for floating point: the x87 would be slower, and would round otherwise.
  i386: {
    compilers: [
      ['i686-linux-gnu-gcc', '-march=pentium4', '-mfpmath=sse'],
      ['gcc', '-m32', '-march=pentium4', '-mfpmath=sse'],
    ],
    packages: ['gcc-i686-linux-gnu', 'libc6-dev-i386-cross'],
  },
};

/**
 * The same for all. No fused multiply-add, which some processors have and round differently;
 * functions in the order of the source, because straddle.c places one.
 */
const FLAGS = ['-O2', '-static', '-std=gnu11', '-Wall', '-Wextra', '-ffp-contract=off', '-fno-toplevel-reorder'];

/**
 * Path of the executable, made with a compiler of this machine.
 * Throws BenchError `missing` where none works, and says what to install.
 *
 * @param programs folder of the sources.
 * @param out folder for what is built.
 */
export function compilePrograms(processor: Processor, programs: string, out: string): string {
  const path = join(out, `bench.${processor}`);
  const { compilers, packages } = TOOLCHAINS[processor];
  const c = sources(programs).map((name) => join(programs, name));
  let said = '';
  for (const [command, ...flags] of compilers) {
    const why = compile([command], [...flags, '-o', path, ...c]);
    if (why === undefined) return path;
    said += `\n  ${command}: ${why}`;
  }
  throw new BenchError(
    'missing',
    `the programs cannot be built for ${processor} (apt-get install ${packages.join(' ')} helps):${said}`,
  );
}

/**
 * The same, and where this machine has no compiler for it, with Debian's out of a root folder of the cache.
 *
 * @param packages those of this machine's processor.
 */
export async function buildPrograms(
  processor: Processor,
  programs: string,
  out: string,
  packages: Packages,
): Promise<string> {
  try {
    return compilePrograms(processor, programs, out);
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    return compileInRoot(processor, programs, out, packages);
  }
}

async function compileInRoot(processor: Processor, programs: string, out: string, packages: Packages): Promise<string> {
  const { compilers, packages: names } = TOOLCHAINS[processor];
  const { folder } = await packages.once(`compiler-${processor}`, names.join(' '), (into) =>
    packages.unpack(names, into, 'all'),
  );
  const work = join(folder, 'bench');
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work);
  for (const name of readdirSync(programs)) copyFileSync(join(programs, name), join(work, name));
  const [command, ...flags] = compilers[0];
  const c = sources(programs).map((name) => `/bench/${basename(name)}`);
  const why = compile(inRoot(folder, `/usr/bin/${command}`, []), [...flags, '-o', '/bench/out', ...c]);
  if (why !== undefined) throw new BenchError('missing', `Debian's compiler for ${processor}: ${why}`);
  const path = join(out, `bench.${processor}`);
  copyFileSync(join(work, 'out'), path);
  return path;
}

const sources = (programs: string): string[] =>
  readdirSync(programs)
    .filter((name) => name.endsWith('.c'))
    .sort();

/** Why it failed, or undefined. */
function compile([command, ...before]: readonly string[], args: readonly string[]): string | undefined {
  const { status, error, stderr } = spawnSync(command, [...before, ...FLAGS, ...args, '-lm'], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  });
  return status === 0 ? undefined : (error?.message ?? stderr.trim());
}
