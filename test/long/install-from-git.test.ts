/** Installed from a git repository, where nothing is built yet. Fetches the development dependencies. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, test } from 'node:test';

const folder = mkdtempSync(join(tmpdir(), 'understudy-git-'));
after(() => rmSync(folder, { recursive: true }));

/** npm tells its children of the project it runs in: here it is another one. */
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
const run = (cwd: string, command: string, ...args: string[]): string =>
  execFileSync(command, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

test('npm install git+file:…', { timeout: 900_000 }, () => {
  const repository = join(folder, 'repository');
  const left = new Set(['.git', 'node_modules', 'dist', 'build']);
  cpSync('.', repository, { recursive: true, filter: (path) => !left.has(basename(path)) });
  run(repository, 'git', 'init', '--quiet');
  run(repository, 'git', 'add', '--all');
  run(repository, 'git', '-c', 'user.name=test', '-c', 'user.email=test', 'commit', '--quiet', '-m', 'all');

  const app = join(folder, 'app');
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "private": true, "type": "module" }');
  run(app, 'npm', 'install', '--no-audit', '--no-fund', '--prefer-offline', `git+file://${repository}`);
  assert.match(run(app, 'npx', '--offline', 'understudy', 'version'), /^understudy \d/);
  const imports = `import { Computer } from 'understudy'; import { createSessions } from 'understudy/session';`;
  const said = run(
    app,
    process.execPath,
    '--input-type=module',
    '-e',
    `${imports} console.log(typeof Computer, typeof createSessions)`,
  );
  assert.equal(said, 'function function\n');
  assert.ok(!existsSync(join(app, 'node_modules/understudy/test')));
});
