import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const cache = mkdtempSync(join(tmpdir(), 'understudy-cli-'));
after(() => rmSync(cache, { recursive: true, force: true }));

const script = `process.exitCode = await (await import(${JSON.stringify(new URL('./images.js', import.meta.url).href)})).imagesCommand(process.argv.slice(1));`;
const argv = (args: string[]): string[] => ['--input-type=module', '-e', script, '--', ...args];
const env = { ...process.env, UNDERSTUDY_CACHE: cache };
const images = (...args: string[]) => spawnSync(process.execPath, argv(args), { env, encoding: 'utf8' });

test('help, and wrong arguments', () => {
  const help = images('--help');
  assert.deepEqual([help.status, help.stderr], [0, '']);
  assert.match(help.stdout, /^Usage: understudy images/);
  for (const args of [
    ['paint'],
    ['prepare', 'nosuch'],
    ['--nosuch'],
    ['list', 'shell'],
    ['--security-mirror', 'x', 'prepare'],
    ['build'],
    ['build', '--install', ''],
    ['list', '--install', 'nginx'],
    ['build', '--install', 'nginx', '--kernel', 'trixie'],
  ]) {
    const wrong = images(...args);
    assert.deepEqual([wrong.status, wrong.stdout], [2, ''], args.join(' '));
    assert.match(wrong.stderr, /Usage/);
  }
});

test('an empty cache is listed, for people and for programs', () => {
  assert.match(images().stdout, /no images yet/);
  assert.deepEqual(JSON.parse(images('list', '--json').stdout), { cache, images: [], trees: [] });
  assert.deepEqual(JSON.parse(images('clean', '--json').stdout), { cache });
});

test('what cannot be a package or a tree is refused before anything is fetched', () => {
  for (const args of [
    ['--install', 'A'],
    ['--install', 'nginx', '--name', '../x'],
    ['--install', 'nginx=1.2'],
  ]) {
    const wrong = images('build', '--json', ...args);
    assert.equal(wrong.status, 1, wrong.stderr);
    assert.equal((JSON.parse(wrong.stdout) as { error: { code: string } }).error.code, 'invalid');
  }
});

test('an error is one JSON object and one line', () => {
  const wrong = images('prepare', '--json', '--kernel', '../x');
  assert.equal(wrong.status, 1);
  assert.equal((JSON.parse(wrong.stdout) as { error: { code: string } }).error.code, 'invalid');
  assert.match(wrong.stderr, /^understudy: kernel "\.\.\/x" is neither/);
});

const apt = spawnSync('apt-get', ['--version']).status === 0;
test(
  'Ctrl-C ends it with status 130 and leaves nothing half-written',
  { skip: apt ? false : 'this machine has no apt' },
  async () => {
    // A mirror that takes the connection and never answers, so that there is time to interrupt.
    const { createServer } = await import('node:net');
    const server = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    try {
      const child = spawn(process.execPath, argv(['prepare', 'shell', '--mirror', `http://127.0.0.1:${port}/debian`]), {
        env,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      const connected = once(server, 'connection');
      await connected;
      child.kill('SIGINT');
      const [status] = (await once(child, 'exit')) as [number];
      assert.equal(status, 130);
      assert.deepEqual(readdirSync(cache), ['apt']);
      assert.deepEqual(readdirSync(join(cache, 'apt/partial')), []);
    } finally {
      server.close();
    }
  },
);
