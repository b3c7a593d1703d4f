// The package's interface, read from the compiled types by the TypeScript compiler: what each entry point exports, how
// it is declared, what is said of it, and which types of ours it mentions.
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import ts from 'typescript';

/** @typedef {{ name: string, own: string, symbol: ts.Symbol, kind: string, doc: string, code: string, mentions: Map<ts.Symbol, string> }} Export */

const { exports } = JSON.parse(readFileSync('package.json', 'utf8'));
const entries = Object.entries(exports)
  .filter(([, target]) => target.types !== undefined)
  .map(([path, target]) => ({ path, file: resolve(target.types) }));
for (const { file } of entries) if (!existsSync(file)) throw new Error(`${file} is not there: npm run build`);

const program = ts.createProgram(
  entries.map(({ file }) => file),
  {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2024.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    noEmit: true,
  },
);
const checker = program.getTypeChecker();
const ours = resolve('dist/src');

const resolved = (symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol);

const isPrivate = (node) =>
  (ts.getCombinedModifierFlags(node) & ts.ModifierFlags.Private) !== 0 ||
  (node.name !== undefined && ts.isPrivateIdentifier(node.name));

/** The text of the comment above a declaration, without its frame. */
function docOf(node) {
  // A variable's comment stands above its statement.
  const at = ts.isVariableDeclaration(node) ? node.parent.parent : node;
  const comment = (ts.getLeadingCommentRanges(at.getSourceFile().text, at.getFullStart()) ?? [])
    .map(({ pos, end }) => at.getSourceFile().text.slice(pos, end))
    .findLast((text) => text.startsWith('/**'));
  if (comment === undefined) return '';
  return comment
    .slice(3, -2)
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trimEnd())
    .join('\n')
    .trim();
}

/** The declaration as it is written, without what is private and without the comment above it. */
function codeOf(node) {
  const text = node.getSourceFile().text;
  if (ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node)) {
    const head = text.slice(node.getStart(), node.members.pos);
    const members = node.members.filter((m) => !isPrivate(m)).map((m) => text.slice(m.getFullStart(), m.end));
    return plain(`${head}${members.join('')}\n}`);
  }
  const whole = ts.isVariableDeclaration(node) ? node.parent.parent : node;
  return plain(text.slice(whole.getStart(), whole.end));
}

const plain = (code) => code.replace(/^export (declare )?/, '').replace(/\{\n\}$/, '{}');

const KINDS = [
  [ts.isClassDeclaration, 'class'],
  [ts.isInterfaceDeclaration, 'interface'],
  [ts.isTypeAliasDeclaration, 'type'],
  [ts.isFunctionDeclaration, 'function'],
  [ts.isVariableDeclaration, 'constant'],
  [ts.isEnumDeclaration, 'enumeration'],
];

/** Types of the package that a declaration mentions, by what they are. */
function mentionsOf(declarations) {
  const found = new Map();
  const visit = (node) => {
    if (isPrivate(node)) return;
    const name = ts.isTypeReferenceNode(node)
      ? node.typeName
      : ts.isTypeQueryNode(node)
        ? node.exprName
        : ts.isExpressionWithTypeArguments(node)
          ? node.expression
          : undefined;
    const symbol = name && checker.getSymbolAtLocation(name);
    if (symbol !== undefined) {
      const target = resolved(symbol);
      const file = target.declarations?.[0]?.getSourceFile().fileName ?? '';
      if (file.startsWith(ours) && !(target.flags & ts.SymbolFlags.TypeParameter)) found.set(target, target.name);
    }
    ts.forEachChild(node, visit);
  };
  declarations.forEach(visit);
  return found;
}

/** @returns {{ path: string, doc: string, exports: Export[] }[]} */
export function readApi() {
  return entries.map(({ path, file }) => {
    const source = program.getSourceFile(file);
    const symbols = checker.getExportsOfModule(checker.getSymbolAtLocation(source));
    const list = symbols.map((exported) => {
      const symbol = resolved(exported);
      const declarations = symbol.declarations ?? [];
      const [first] = declarations;
      return {
        name: exported.name,
        own: symbol.name,
        symbol,
        kind: KINDS.find(([is]) => is(first))?.[1] ?? 'other',
        doc: declarations.map(docOf).find((doc) => doc !== '') ?? '',
        code: declarations.map(codeOf).join('\n'),
        mentions: mentionsOf(declarations),
        file: first
          .getSourceFile()
          .fileName.slice(ours.length + 1)
          .replace(/\.d\.ts$/, '.ts'),
      };
    });
    return { path, doc: moduleDoc(file), exports: list.sort((a, b) => (a.name < b.name ? -1 : 1)) };
  });
}

/** The comment at the head of an entry point's source: the compiler does not keep it. */
function moduleDoc(declarations) {
  const source = readFileSync(declarations.replace(/^.*\/dist\//, '').replace(/\.d\.ts$/, '.ts'), 'utf8');
  const [, comment] = /^\s*\/\*\*([^]*?)\*\//.exec(source) ?? [];
  return (comment ?? '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trimEnd())
    .join('\n')
    .trim();
}

/** What is exported without a docstring, and types that are mentioned but cannot be imported from any entry point. */
export function faults(api) {
  const exported = new Set(api.flatMap((entry) => entry.exports.map((e) => e.symbol)));
  const found = new Set();
  for (const entry of api) {
    for (const e of entry.exports) {
      if (e.doc === '') found.add(`${e.name} of ${entry.path} has no docstring (src/${e.file})`);
      for (const [symbol, name] of e.mentions) {
        if (!exported.has(symbol)) found.add(`${name}, which ${e.name} of ${entry.path} mentions, is exported nowhere`);
      }
    }
  }
  return [...found].sort();
}
