// A page of the reference: what one entry point exports, with what its docstrings say.

const ORDER = ['function', 'class', 'constant', 'interface', 'type', 'enumeration', 'other'];
const PLURAL = {
  function: 'Functions',
  class: 'Classes',
  constant: 'Constants',
  interface: 'Interfaces',
  type: 'Types',
  enumeration: 'Enumerations',
  other: 'Others',
};

/** The page of an entry point: `.` is `understudy.md`, `./session/node` is `session-node.md`. */
export function pageName(entry) {
  return entry === '.' ? 'understudy.md' : `${entry.slice(2).replaceAll('/', '-')}.md`;
}

const fence = (code) => `\`\`\`typescript\n${code}\n\`\`\``;
/** As in headings' links on the usual hosts. */
const anchor = (name) => name.toLowerCase();

/** A docstring as Markdown: links are names, tags are said in words, code of examples is fenced. */
export function docMarkdown(doc) {
  const [text, ...tags] = doc.replace(/\{@link (\S+?)\}/g, '`$1`').split(/^(?=@\w)/m);
  const out = [indentedCode(text)];
  const params = [];
  for (const tag of tags) {
    const [, kind, rest] = /^@(\w+)\s*([^]*)$/.exec(tag);
    const said = rest.trim();
    if (kind === 'example') out.push(fence(said));
    else if (kind === 'param') params.push(`- ${said.replace(/^(\S+)\s*-?\s*/, '`$1`: ').replaceAll('\n', ' ')}`);
    else out.push(`${{ returns: 'Returns', throws: 'Throws' }[kind] ?? `_${kind}_`} ${said}`);
  }
  if (params.length > 0) out.splice(1, 0, params.join('\n'));
  return out.filter((part) => part.trim() !== '').join('\n\n');
}

/** Code in a docstring is indented by four: fenced, it is coloured. */
function indentedCode(text) {
  const out = [];
  let code = [];
  const flush = () => {
    while (code.at(-1) === '') code.pop();
    if (code.length > 0) out.push(fence(code.join('\n')), '');
    code = [];
  };
  for (const line of text.trim().split('\n')) {
    if (line.startsWith('    ')) code.push(line.slice(4));
    else if (line === '' && code.length > 0) code.push('');
    else {
      flush();
      out.push(line);
    }
  }
  flush();
  return out.join('\n').trim();
}

export function renderPage({ path, doc, exports }) {
  const from = path.replace('.', 'understudy');
  const lines = [
    `# ${from}`,
    '',
    '<!-- Made of the types by npm run reference: change the docstrings, not this page. -->',
    '',
  ];
  if (doc !== '') lines.push(docMarkdown(doc), '');
  for (const kind of ORDER) {
    const list = exports.filter((e) => e.kind === kind);
    if (list.length > 0)
      lines.push(`${PLURAL[kind]}: ${list.map((e) => `[${e.name}](#${anchor(e.name)})`).join(' · ')}`, '');
  }
  for (const e of ORDER.flatMap((kind) => exports.filter((x) => x.kind === kind))) {
    lines.push(`## ${e.name}`, '');
    if (e.name !== e.own) lines.push(`Declared as \`${e.own}\`.`, '');
    lines.push(docMarkdown(e.doc), '', fence(e.code), '');
  }
  return `${lines.join('\n').trimEnd()}\n`;
}
