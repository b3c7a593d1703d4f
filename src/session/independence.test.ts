// The entry point runs everywhere and depends on nothing: what it imports, and
// what that imports, lies in this folder and is no `node:` module.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { describe, it } from 'node:test';

/** All modules that are loaded with `entry`, by path from the project's root; and everything else it asks for. */
function loaded(entry: string): { files: string[]; others: string[] } {
  const files = new Set<string>();
  const others = new Set<string>();
  const visit = (path: string): void => {
    if (files.has(path)) return;
    files.add(path);
    const source = readFileSync(path, 'utf8');
    for (const [, type, specifier] of source.matchAll(
      /^(?:import|export)\s+(type\s)?[^'"]*?from\s+['"]([^'"]+)['"]/gm,
    )) {
      if (type !== undefined) continue;
      if (specifier.startsWith('.')) visit(resolve(dirname(path), specifier.replace(/\.js$/, '.ts')));
      else others.add(specifier);
    }
  };
  visit(resolve(entry));
  return { files: [...files].map((path) => relative('.', path)), others: [...others].sort() };
}

describe('the session entry point', () => {
  it('needs nothing outside its folder, and no module of Node', () => {
    const { files, others } = loaded('src/session/index.ts');
    assert.deepEqual(others, []);
    assert.ok(files.length > 10);
    for (const file of files) assert.match(file, /^src\/session\/[a-z0-9-]+\.ts$/);
  });

  it('stays so for the adapters of the web, Hono, Fastify and Redis', () => {
    for (const name of ['web', 'hono', 'fastify', 'redis']) {
      const { files, others } = loaded(`src/session/adapters/${name}.ts`);
      assert.deepEqual(others, [], name);
      for (const file of files) assert.match(file, /^src\/session\//);
    }
  });

  it('asks on Node for modules of Node only', () => {
    const { files, others } = loaded('src/session/node/index.ts');
    for (const other of others) assert.match(other, /^node:/);
    for (const file of files) assert.match(file, /^src\/session\//);
  });
});
