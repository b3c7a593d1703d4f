/** The code in README and docs: each block marked `ts` is a whole module, as if it lay where its page lies. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import ts from 'typescript';
import { markdownFiles } from './links.js';

export interface Snippet {
  /** `docs/library.md:12`, the line of its first line. */
  readonly where: string;
  readonly page: string;
  readonly code: string;
}

/** Pages that are made of the types show declarations, which are no modules. */
const isGenerated = (page: string): boolean => page.startsWith('docs/reference/');

/** All blocks of the pages below the working directory. */
export function snippets(): Snippet[] {
  return markdownFiles('.')
    .filter((page) => !isGenerated(page))
    .flatMap((page) => {
      const text = readFileSync(page, 'utf8');
      return [...text.matchAll(/^```ts\n([^]*?)^```$/gm)].map((match) => ({
        where: `${page}:${text.slice(0, match.index).split('\n').length + 1}`,
        page,
        code: match[1],
      }));
    });
}

/** What the compiler has to say of them, as `docs/library.md:14 message`. */
export function compileErrors(list: readonly Snippet[]): string[] {
  const { config } = ts.readConfigFile('tsconfig.json', (path) => readFileSync(path, 'utf8')) as { config: object };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, '.');
  const virtual = new Map(list.map((s, i) => [resolve(dirname(s.page), `snippet-${i}.ts`), s]));
  const compiler: ts.CompilerOptions = {
    ...options,
    noEmit: true,
    incremental: false,
    // A page shows names that its reader goes on with.
    noUnusedLocals: false,
  };
  delete compiler.tsBuildInfoFile;
  const host = ts.createCompilerHost(compiler);
  const { readFile, fileExists } = host;
  // A module even where nothing is imported.
  host.readFile = (path) => virtual.get(path)?.code.concat('export {};\n') ?? readFile(path);
  host.fileExists = (path) => virtual.has(path) || fileExists(path);
  const program = ts.createProgram([...virtual.keys()], compiler, host);
  return [...virtual].flatMap(([path, { where, page }]) => {
    const source = program.getSourceFile(path);
    const first = Number(where.slice(page.length + 1));
    return ts.getPreEmitDiagnostics(program, source).map(({ start, messageText }) => {
      const line = source === undefined || start === undefined ? 0 : source.getLineAndCharacterOfPosition(start).line;
      return `${page}:${first + line} ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
    });
  });
}

/** A block as JavaScript. */
export const toJavaScript = ({ code }: Snippet): string =>
  ts.transpileModule(code, { compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 } })
    .outputText;
