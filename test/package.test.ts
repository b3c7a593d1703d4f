/** The package as its users get it: packed, installed in an empty folder, imported, compiled against. */
import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { deadLinks } from './package/links.js';
import { faultsOfSpecification } from './package/specification.js';
import { start, type Finished } from './testing/command-line.js';

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
  readonly unpackedSize: number;
}
interface Manifest {
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}

const PROJECT = process.cwd();
let folder = '';
let packed: Packed;
let tarball = '';
/** Where the package is installed. */
let app = '';
let installed = '';

function run(cwd: string, command: string, ...args: readonly string[]): Promise<Finished> {
  // npm tells its children of the project it runs in: here it is another one.
  const env = Object.fromEntries(
    Object.keys(process.env)
      .filter((n) => /^npm_/i.test(n))
      .map((n) => [n, undefined]),
  );
  const running = start('env', ['-C', cwd, command, ...args], env);
  running.child.stdin?.end();
  return running.finished;
}

async function ok(cwd: string, command: string, ...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await run(cwd, command, ...args);
  assert.equal(status, 0, `${command} ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}

const manifest = (): Manifest => JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Manifest;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-package-'));
  app = join(folder, 'app');
  installed = join(app, 'node_modules/understudy');
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "private": true, "type": "module" }');
  // It is built already, or this test would not run.
  await ok(PROJECT, process.execPath, 'scripts/stale-output.mjs');
  const said = await ok(PROJECT, 'npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', folder);
  const list = JSON.parse(said) as Packed[] | Record<string, Packed>;
  [packed] = Object.values(list);
  tarball = join(folder, packed.filename);
  await ok(app, 'npm', 'install', '--offline', '--no-audit', '--no-fund', tarball);
});
after(() => rmSync(folder, { recursive: true }));

describe('what is in it', () => {
  const paths = (): string[] => packed.files.map((f) => f.path);

  test('no tests, and nothing but the package', () => {
    const others = paths().filter((p) => /\.test\.|(^|\/)(testing|test|bench)\/|tsbuildinfo/.test(p));
    assert.deepEqual(others, []);
    const places = new Set(paths().map((p) => p.split('/')[0]));
    assert.deepEqual([...places].sort(), [
      ...['CONTRIBUTING.md', 'LICENSE', 'README.md', 'bin', 'dist', 'docs', 'examples', 'package.json', 'src'],
    ]);
  });

  test('each source map finds its sources', () => {
    const maps = paths().filter((p) => p.endsWith('.map'));
    assert.ok(maps.length > 100);
    for (const map of maps) {
      const { sources } = JSON.parse(readFileSync(join(installed, map), 'utf8')) as { sources: string[] };
      for (const source of sources) assert.ok(existsSync(join(installed, dirname(map), source)), `${map}: ${source}`);
    }
  });

  test('a stack trace names lines of the sources', async () => {
    const script = `
      import { Computer } from 'understudy';
      await Computer.create({ memory: 2 ** 40 }).catch((error) => console.log(error.stack));`;
    const stack = await ok(app, process.execPath, '--enable-source-maps', '--input-type=module', '-e', script);
    const [, source, line] = /understudy\/(src\/\S+\.ts):(\d+):/.exec(stack) ?? [];
    assert.ok(source !== undefined, stack);
    assert.match(
      readFileSync(join(installed, source), 'utf8').split('\n')[Number(line) - 1],
      /throw new ComputerError/,
    );
  });

  test('it depends on nothing, and stays small', () => {
    assert.equal(manifest().dependencies, undefined);
    assert.deepEqual(
      readdirSync(join(app, 'node_modules')).filter((n) => !n.startsWith('.')),
      ['understudy'],
    );
    assert.ok(packed.unpackedSize < 10e6, `${packed.unpackedSize} bytes`);
  });

  test('no link in its documents is dead', () => {
    assert.deepEqual(deadLinks(installed), []);
  });
});

test('each promise of the specification stands there once, and is checked by tests that exist', () => {
  assert.deepEqual(faultsOfSpecification(PROJECT), []);
});

test('each export has a docstring and stands in docs/reference, with every type that it mentions', async () => {
  const { status, stderr } = await run(PROJECT, process.execPath, 'scripts/reference/main.mjs', '--check');
  assert.equal(stderr, '');
  assert.equal(status, 0);
});

describe('installed', () => {
  test('every entry point can be imported', async () => {
    const entries = Object.keys(manifest().exports).filter((e) => !e.endsWith('.json'));
    const imports = entries.map((e) => `await import(${JSON.stringify(e.replace('.', 'understudy'))})`);
    const script = `console.log([${imports.join(', ')}].filter((m) => Object.keys(m).length > 0).length)`;
    // The floors are types only.
    assert.equal(await ok(app, process.execPath, '--input-type=module', '-e', script), `${entries.length - 1}\n`);
  });

  test('npx understudy, and its demonstration, which asks for no further package', async () => {
    assert.match(await ok(app, 'npx', '--offline', 'understudy', '--help'), /^Usage: understudy/);
    // Images cannot be had without apt; that it gets there says that all of its code was loaded.
    const PATH = join(folder, 'nothing');
    const bin = join(app, 'node_modules/.bin/understudy');
    const { status, stdout } = await run(
      app,
      'env',
      `PATH=${PATH}`,
      `UNDERSTUDY_CACHE=${PATH}`,
      process.execPath,
      bin,
      'demo',
      '--json',
    );
    assert.equal(status, 1);
    assert.match(stdout, /"code":"unsupported"/);
  });
});

describe('checked by others', () => {
  test('publint', { timeout: 120_000 }, async () => {
    await ok(PROJECT, process.execPath, 'node_modules/publint/src/cli.js', 'run', tarball, '--strict');
  });

  test('are the types wrong?', { timeout: 120_000 }, async () => {
    const attw = ['node_modules/@arethetypeswrong/cli/dist/index.js', tarball, '--no-definitely-typed'];
    await ok(PROJECT, process.execPath, ...attw, '--profile', 'esm-only', '--format', 'ascii');
  });
});

describe('its types', () => {
  const compilers = {
    'the lowest TypeScript': 'test/package/lowest-typescript/node_modules/typescript',
    'the TypeScript it is built with': 'node_modules/typescript',
  };
  before(() => {
    // Node's types are their users' own.
    mkdirSync(join(app, 'node_modules/@types'));
    symlinkSync(join(PROJECT, 'node_modules/@types/node'), join(app, 'node_modules/@types/node'));
    symlinkSync(join(PROJECT, 'node_modules/undici-types'), join(app, 'node_modules/undici-types'));
    cpSync('test/package/every-entry.ts', join(app, 'every-entry.ts'));
  });
  for (const [name, compiler] of Object.entries(compilers)) {
    for (const [module, moduleResolution] of [
      ['nodenext', 'nodenext'],
      ['esnext', 'bundler'],
    ] as const) {
      test(`${name}, ${moduleResolution}, libraries checked as well`, { timeout: 120_000 }, async () => {
        const compilerOptions = {
          ...{ module, moduleResolution, target: 'es2022', lib: ['es2022', 'esnext.disposable'], types: ['node'] },
          ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: false },
          noEmit: true,
        };
        writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['every-entry.ts'] }));
        await ok(app, process.execPath, join(PROJECT, compiler, 'bin/tsc'), '-p', '.');
      });
    }
  }
});
