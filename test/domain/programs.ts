import { readdirSync } from 'node:fs';
import { compile } from '../testing/compile.js';

/** Sources of the test domains, seen from the folder the tests are run in. */
const SOURCES = 'test/programs';

/** Compiles test domains; answers static executables by name. */
export const compilePrograms = (names: readonly string[]): Record<string, Uint8Array> => compile(SOURCES, names);

/** All test domains there are, or those of them that are asked for. */
export function programNames(only?: readonly string[]): string[] {
  return readdirSync(SOURCES)
    .filter((f) => f.endsWith('.c'))
    .map((f) => f.slice(0, -2))
    .filter((name) => only === undefined || ['counter', 'refused', 'restless'].includes(name) || only.includes(name))
    .sort();
}
