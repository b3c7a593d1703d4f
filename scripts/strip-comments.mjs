// Emits the modules of dist/src again without comments: declarations have the docstrings, the sources that the maps lead
// to have all of them, and a package is a twentieth smaller. What tsc has checked is only printed here.
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, normalize, relative } from 'node:path';
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
  writeFileSync(out, outputText);
  writeFileSync(`${out}.map`, JSON.stringify(map));
}

// Of declarations, those stay that an entry point leads to: nobody else can import the others.
const entries = (value) =>
  typeof value === 'string' ? [value] : Object.values(value ?? {}).flatMap((inner) => entries(inner));
const { exports } = JSON.parse(readFileSync('package.json', 'utf8'));
const declarationOf = (path) => path.replace(/(\.d)?\.[jt]s$/, '.d.ts');
const wanted = new Set();
const toLookAt = entries(exports).map((path) => normalize(declarationOf(path)));
while (toLookAt.length > 0) {
  const path = toLookAt.pop();
  if (wanted.has(path) || !existsSync(path)) continue;
  wanted.add(path);
  for (const [, to] of readFileSync(path, 'utf8').matchAll(/(?:from|import)\s*\(?\s*['"](\.[^'"]+)['"]/g))
    toLookAt.push(normalize(join(dirname(path), declarationOf(to))));
}
for (const name of readdirSync(join(OUT, SOURCES), { recursive: true })) {
  const path = join(OUT, SOURCES, name);
  if (path.endsWith('.d.ts') && !wanted.has(path)) rmSync(path);
}
