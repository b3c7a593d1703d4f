import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What is wrong with the lines of docs/SPECIFICATION.md: promises that stand there twice, and checks that do not exist. */
export function faultsOfSpecification(root: string): string[] {
  const files = ['src', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((path) => `${folder}/${path}`),
  );
  const faults: string[] = [];
  const promises = new Set<string>();
  for (const line of readFileSync(join(root, 'docs/SPECIFICATION.md'), 'utf8').split('\n')) {
    if (line.startsWith('#')) promises.clear();
    const [, promise = ''] = line.split(/ *\| */);
    if (promise === '' || /^-+$/.test(promise)) continue;
    if (promises.has(promise)) faults.push(`twice: ${promise}`);
    promises.add(promise);
    for (const [, path] of line.matchAll(/`((?:src|test)\/[^`]*\.test\.ts)`/g))
      if (!files.some((file) => isNamed(file, path))) faults.push(`no ${path}`);
  }
  return faults;
}

/** `*` stands for what is in a file's name. */
function isNamed(file: string, pattern: string): boolean {
  const [before = '', after] = pattern.split('*');
  return after === undefined ? file === pattern : file.startsWith(before) && file.endsWith(after);
}
