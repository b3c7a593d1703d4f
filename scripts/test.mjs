// Runs the compiled tests: node scripts/test.mjs [--out DIR] [--long] [--once ENGINE] [PATTERN ...]
// A pattern is a part of a test file's path. Closes with "N passed, N failed".
// What lies in test/long takes long and rarely breaks: it runs when asked for, with --long or by its path.
// With --once the hart's tests run on one engine only, instead of on each in turn.
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { existsSync, readdirSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { availableParallelism } from 'node:os';

const args = process.argv.slice(2);
const at = args.indexOf('--out');
const out = at < 0 ? 'dist' : args.splice(at, 2)[1];
const onceAt = args.indexOf('--once');
const once = onceAt < 0 ? undefined : args.splice(onceAt, 2)[1];
if (once !== undefined) process.env['UNDERSTUDY_ENGINE'] = once;
const LONG = join('test', 'long');
const longAt = args.indexOf('--long');
if (longAt >= 0) args.splice(longAt, 1);
const long = longAt >= 0;

/** What takes long is run by --long, or by a pattern that begins with its folder; all else by neither. */
function isWanted(path) {
  const matches = (patterns) => patterns.some((a) => path.includes(a));
  if (!path.startsWith(LONG + sep)) return !long && (args.length === 0 || matches(args));
  return long ? args.length === 0 || matches(args) : matches(args.filter((a) => a.startsWith(LONG)));
}

/** The test sources decide what runs: a stale file in the output folder does not. */
const sources = ['src', 'test']
  .filter((dir) => existsSync(dir))
  .flatMap((dir) => readdirSync(dir, { recursive: true }).map((name) => join(dir, name)))
  .filter((path) => path.endsWith('.test.ts') && isWanted(path))
  .sort();

// Whole-system tests boot machines whose harts are threads: one file at a time leaves them their cores.
const unit = sources.filter((path) => path.startsWith('src'));
const system = sources.filter((path) => path.startsWith('test'));

/** So many of the files that took longest are named in the end. */
const SHOWN = 15;

const counts = { passed: 0, failed: 0, skipped: 0 };
/** Milliseconds by file. */
const took = new Map();
async function runFiles(files, concurrency) {
  if (files.length === 0) return;
  const compiled = files.map((path) => join(out, path.replace(/\.ts$/, '.js')));
  const stream = run({
    files: compiled,
    concurrency,
    timeout: 1_200_000,
  });
  stream.on('test:pass', (e) => {
    if (e.details.type === 'suite') return;
    if (e.skip !== undefined) counts.skipped++;
    else counts.passed++;
  });
  stream.on('test:fail', (e) => {
    if (e.details.type !== 'suite' || e.details.error?.failureType !== 'subtestsFailed') counts.failed++;
  });
  // A file is a test too, whose name is its path.
  stream.on('test:complete', ({ nesting, name, details }) => {
    if (nesting === 0 && compiled.includes(name)) took.set(name, (took.get(name) ?? 0) + details.duration_ms);
  });
  for await (const chunk of stream.compose(new spec())) process.stdout.write(chunk);
}

await runFiles(unit, availableParallelism());
await runFiles(system, 1);

// What says that the hart is right is said again of translated code, of both engines taking turns,
// and of translated code that is dropped all the time to make room.
const ofTheHart = sources.filter((path) => /^(src\/hart\/[^/]+|test\/differential)\.test\.ts$/.test(path));
for (const engine of once === undefined ? ['translator', 'mixed', 'crowded'] : []) {
  process.env['UNDERSTUDY_ENGINE'] = engine;
  if (ofTheHart.length > 0) console.log(`\nthe hart's tests again, engine: ${engine}`);
  await runFiles(ofTheHart, availableParallelism());
}
if (counts.passed + counts.failed === 0) {
  console.error('no test matched');
  process.exitCode = 1;
}
if (counts.failed > 0) process.exitCode = 1;
const slowest = [...took].sort((a, b) => b[1] - a[1]).slice(0, SHOWN);
if (took.size > SHOWN)
  for (const [file, ms] of slowest)
    console.log(`${String(Math.round(ms / 1000)).padStart(5)} s  ${relative(out, file)}`);
const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`);
