/** C programs for guests. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const COMPILER = 'riscv64-linux-gnu-gcc';

/** Compiles C programs of a folder; answers static executables by name. Throws with the line that installs the compiler. */
export function compile(sources: string, names: readonly string[]): Record<string, Uint8Array> {
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
