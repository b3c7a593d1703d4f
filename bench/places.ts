/** Where things lie. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder with package.json, whichever folder the compiled bench is in. */
export const projectFolder = ((): string => {
  for (let at = dirname(fileURLToPath(import.meta.url)); at !== '/'; at = dirname(at)) {
    if (existsSync(join(at, 'bench/programs/programs.inc'))) return at;
  }
  throw new Error('the bench does not find its sources');
})();

export const programsFolder = join(projectFolder, 'bench/programs');
export const ioProgramsFolder = join(projectFolder, 'bench/io/programs');
