// Makes of dist/src, as tsc has left it, what the package has: modules without comments, and of declarations those that an
// entry point leads to.
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, normalize, relative } from 'node:path';
import { decode, encode } from '@jridgewell/sourcemap-codec';
import ts from 'typescript';

const SOURCES = 'src';
const OUT = 'dist';
const { config } = ts.readConfigFile('tsconfig.json', (path) => readFileSync(path, 'utf8'));
const { target, verbatimModuleSyntax, isolatedModules, sourceMap } = config.compilerOptions;
const compilerOptions = {
  ...ts.convertCompilerOptionsFromJson({ target, verbatimModuleSyntax, isolatedModules, sourceMap }, '.').options,
  // What NodeNext means in a package of type "module".
  module: ts.ModuleKind.ES2022,
  removeComments: true,
};

/** Whether it is in the package: tests and what only they use are not. */
const isPacked = (path) =>
  path.endsWith('.ts') && !path.endsWith('.d.ts') && !path.includes('.test.') && !/(^|\/)testing\//.test(path);

/** A stack trace names lines: of what a line of output was made of, the first of each source line. */
function oncePerLine(segments) {
  return segments.filter((segment, n) => n === 0 || segment[2] !== segments[n - 1][2]);
}

// Declarations have the docstrings, the sources that the maps lead to have all comments, and a package is a twentieth
// smaller without them. What tsc has checked is only printed here.
for (const name of readdirSync(SOURCES, { recursive: true })) {
  const source = join(SOURCES, name);
  if (!isPacked(source) || !statSync(source).isFile()) continue;
  const out = join(OUT, source.replace(/\.ts$/, '.js'));
  const { outputText, sourceMapText } = ts.transpileModule(readFileSync(source, 'utf8'), {
    fileName: basename(source),
    compilerOptions,
  });
  const map = JSON.parse(sourceMapText);
  map.sources = [relative(dirname(out), source)];
  map.mappings = encode(decode(map.mappings).map(oncePerLine));
  writeFileSync(out, outputText);
  writeFileSync(`${out}.map`, JSON.stringify(map));
}

// Nobody can import the other declarations.
const entries = (value) =>
  typeof value === 'string' ? [value] : Object.values(value ?? {}).flatMap((inner) => entries(inner));
const { exports } = JSON.parse(readFileSync('package.json', 'utf8'));
const declarationOf = (path) => path.replace(/(\.d)?\.[jt]s$/, '.d.ts');
const wanted = new Set();
const toLookAt = entries(exports)
  .filter((path) => path.startsWith(`./${OUT}/`))
  .map((path) => normalize(declarationOf(path)));
while (toLookAt.length > 0) {
  const path = toLookAt.pop();
  if (wanted.has(path)) continue;
  // An incremental build does not make anew what was removed here before.
  if (!existsSync(path))
    throw new Error(`there is no ${path}, to which an entry point leads: remove ${OUT}, and build anew`);
  wanted.add(path);
  for (const [, to] of readFileSync(path, 'utf8').matchAll(/(?:from|import)\s*\(?\s*['"](\.[^'"]+)['"]/g))
    toLookAt.push(normalize(join(dirname(path), declarationOf(to))));
}
for (const name of readdirSync(join(OUT, SOURCES), { recursive: true })) {
  const path = join(OUT, SOURCES, name);
  if (path.endsWith('.d.ts') && !wanted.has(path)) rmSync(path);
}
