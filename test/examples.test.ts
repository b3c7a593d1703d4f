/** The examples do what they say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start } from './testing/command-line.js';
import { testImage } from './testing/images.js';

async function example(name: string): Promise<string> {
  const path = new URL(`../examples/${name}.js`, import.meta.url).pathname;
  const { status, stdout, stderr } = await start(process.execPath, [path]).finished;
  assert.equal(status, 0, stderr);
  return stdout;
}

test('hello', { timeout: 120_000 }, async () => {
  await testImage('trixie');
  assert.match(await example('hello'), /^Linux hello 6\.12\.\S+ .* riscv64 GNU\/Linux\nshutdown\n$/);
});

test('web-server', { timeout: 120_000 }, async () => {
  assert.equal(await example('web-server'), '200 <h1>Served by Linux in Node</h1>\n');
});

test('two-kernels', { timeout: 120_000 }, async () => {
  await testImage('backports');
  const lines = (await example('two-kernels')).trim().split('\n');
  assert.match(lines[0], /^trixie at 10\.0\.2\.1[56]: 6\.12\./);
  assert.match(lines[1], /^backports at 10\.0\.2\.1[56]: 7\.2\./);
  assert.match(lines[2], /1 packets received/);
  assert.match(lines[3], /^1 hart and \d+ MiB are free; backports serves on$/);
  assert.match(lines[4], /load average/);
});
