/** The code in README and docs compiles, and what a reader would try first runs. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { compileErrors, snippets, toJavaScript } from './package/snippets.js';
import { start } from './testing/command-line.js';
import { testImage } from './testing/images.js';

/** Below the project, so that `understudy` is this project's. */
const FOLDER = join('build', `snippets-${process.pid}`);
after(() => rmSync(FOLDER, { recursive: true, force: true }));

const all = snippets();

test('every block marked ts is a module that compiles', () => {
  assert.ok(all.length >= 10, 'there are some');
  assert.deepEqual(compileErrors(all), []);
});

/** Runs the first block of a page to its end; answers its standard output. */
async function run(page: string): Promise<string> {
  const snippet = all.find((s) => s.page === page);
  assert.ok(snippet, page);
  mkdirSync(FOLDER, { recursive: true });
  const path = join(FOLDER, page.replace(/\W/g, '-') + '.mjs');
  // A port that somebody else may have on this machine.
  writeFileSync(path, toJavaScript(snippet).replace(/\bport: 8080\b/, 'port: 0'));
  const running = start(process.execPath, [path]);
  running.child.stdin?.end();
  const { status, stdout, stderr } = await running.finished;
  assert.equal(status, 0, `${page}\n${stdout}${stderr}`);
  return stdout;
}

const whole = { timeout: 120_000 };

test('the README’s runs', whole, async () => {
  await testImage('trixie');
  assert.match(await run('README.md'), /^Linux os0 6\.12\.\S+ .* riscv64 GNU\/Linux\n/);
});

test('docs/images.md’s runs', whole, async () => {
  assert.match(await run('docs/images.md'), /hello from a file\r\n[^]*shutdown\n$/);
});

test('docs/library.md’s runs', whole, async () => {
  assert.match(await run('docs/library.md'), /^ext4 on \/dev\/vda\n6\.12\.\S+\nshutdown\n$/);
});

test('docs/maintenance.md’s runs', whole, async () => {
  await testImage('backports', 'redis');
  assert.match(
    await run('docs/maintenance.md'),
    /^6\.12\.\S+ → 7\.2\.\S+, \d+ frames flipped, stood still for \d+ ms\n$/,
  );
});

test('docs/network.md’s runs', whole, async () => {
  assert.match(await run('docs/network.md'), /^127\.0\.0\.1:\d+ leads to 10\.0\.2\.15\n$/);
});
