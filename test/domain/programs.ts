import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Sources of the test domains, seen from the folder the tests are run in. */
const SOURCES = 'test/programs';
const COMPILER = 'riscv64-linux-gnu-gcc';

/** Compiles the test domains, or C programs of another folder; answers static executables by name. Throws with the line that installs the compiler. */
export function compilePrograms(names: readonly string[], sources = SOURCES): Record<string, Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-programs-'));
  try {
    return Object.fromEntries(
      names.map((name) => {
        const out = join(folder, name);
        try {
          execFileSync(COMPILER, ['-O2', '-static', '-pthread', '-o', out, join(sources, `${name}.c`)], {
            stdio: 'pipe',
          });
        } catch (e) {
          if (e instanceof Error && 'code' in e && e.code === 'ENOENT') {
            throw new Error(`${COMPILER} is missing: apt-get install gcc-riscv64-linux-gnu`, { cause: e });
          }
          throw e;
        }
        return [name, new Uint8Array(readFileSync(out))];
      }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** All test domains there are, or those of them that are asked for. */
export function programNames(only?: readonly string[]): string[] {
  return readdirSync(SOURCES)
    .filter((f) => f.endsWith('.c'))
    .map((f) => f.slice(0, -2))
    .filter((name) => only === undefined || ['counter', 'refused'].includes(name) || only.includes(name))
    .sort();
}
