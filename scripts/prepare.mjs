// What npm runs after `npm ci` in a clone, before `npm pack`, and when somebody installs from git: the build.
// Later builds of the same clone are incremental, so nothing is compiled twice.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const COMPILER = 'node_modules/typescript/bin/tsc';
if (!existsSync(COMPILER)) {
  console.error('understudy: not built, because the compiler is a development dependency; npm ci installs it');
} else {
  await import('./stale-output.mjs');
  const { status } = spawnSync(process.execPath, [COMPILER, '-p', '.'], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
  if (status === 0) await import('./packed-output.mjs');
}
