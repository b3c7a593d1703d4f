// What depends on the JavaScript engine, on other engines than the one that runs this: the hart and guests on the
// newest Node of each line, the sessions on Bun and Deno. npm has all of them as packages; they are kept in build/.
// Closes with "N passed, N failed". `node scripts/engines.mjs 24 bun` runs these two only.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { closeWith, runCounted } from './run.mjs';

/** Lines of Node by the package's tag. */
const NODES = ['22', '24', 'latest'];
/**
 * Translated code, threads, atomics and tables; then a guest each for a shell, a port, and two kernels side by side.
 * The differential test and the other engines of the hart are npm test's.
 */
const ON_NODE = ['--once', 'translator', 'src/wasm', 'src/hart', 'test/examples'];

/** The path of a package's command, in the newest version of that tag. */
function install(name, tag) {
  const folder = resolve('build/engines', `${name}-${tag}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true }');
  // The packages fetch the one binary of this machine's kind when they are installed.
  const args = ['install', '--prefix', folder, '--no-audit', '--no-fund', '--no-save', '--loglevel=error'];
  const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^npm_/i.test(key)));
  spawnSync('npm', [...args, `${name}@${tag}`], { stdio: ['ignore', 2, 2], env });
  const command = join(folder, 'node_modules/.bin', name);
  if (!existsSync(command)) throw new Error(`npm install ${name}@${tag} brought no command ${name}`);
  const version = spawnSync(command, ['--version'], { encoding: 'utf8' }).stdout?.split('\n')[0] ?? '';
  console.log(`\n${name} ${version.replace(/^v|^deno /, '')}`);
  return { command, version };
}

const sessionTests = () =>
  readdirSync('src/session', { recursive: true })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => `./dist/src/session/${name.replace(/\.ts$/, '.js')}`)
    .sort();

/** Counts in the summary of another test runner: each number after the last match of its pattern. */
const counting = (patterns) => (text) => {
  const numbers = patterns.map((p) => [...text.matchAll(p)].at(-1)?.[1]);
  if (numbers[0] === undefined) return undefined;
  const [passed, failed, skipped] = numbers.map((n) => Number(n ?? 0));
  return { passed, failed, skipped };
};

const RUNS = {
  bun: () =>
    runCounted(install('bun', 'latest').command, ['test', ...sessionTests()], {
      count: counting([/^ *(\d+) pass$/gm, /^ *(\d+) fail$/gm, /^ *(\d+) skip$/gm]),
    }),
  deno: () =>
    runCounted(install('deno', 'latest').command, ['test', '--allow-all', '--no-check', ...sessionTests()], {
      // A step is what node:test calls a test; suites are counted apart.
      count: counting([/passed \((\d+) steps?\)/g, /failed \((\d+) steps?\)/g, /ignored \((\d+) steps?\)/g]),
    }),
};
for (const tag of NODES) {
  RUNS[tag] = async () => {
    const { command, version } = install('node', tag);
    if (version.split('.')[0] === process.version.split('.')[0]) {
      console.log('the same line as this one, where npm test runs everything');
      return { passed: 0, failed: 0, skipped: 0 };
    }
    return runCounted(command, ['scripts/test.mjs', ...ON_NODE]);
  };
}

const wanted = process.argv.length > 2 ? process.argv.slice(2) : [...NODES, 'bun', 'deno'];
const all = [];
for (const name of wanted) {
  if (RUNS[name] === undefined) throw new Error(`no engine ${name}; there are ${Object.keys(RUNS).join(', ')}`);
  try {
    all.push(await RUNS[name]());
  } catch (error) {
    console.error(error.message);
    all.push({ passed: 0, failed: 1, skipped: 0 });
  }
}
closeWith(all);
