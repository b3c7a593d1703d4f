// Puts the table of kinds into docs/domains.md.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { format, resolveConfig } from 'prettier';

const PAGE = 'docs/domains.md';
const [BEGIN, END] = ['<!-- kinds -->', '<!-- /kinds -->'];

/** Answers what is wrong with the page; without `check` it is mended. */
export async function tableOfKinds(check) {
  const { kindsTable } = await import(pathToFileURL(join('dist', 'src', 'domain', 'kinds', 'table.js')));
  const text = readFileSync(PAGE, 'utf8');
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) return [`${PAGE} has no place for the table of kinds: ${BEGIN} … ${END}`];
  const made = await format(`${text.slice(0, begin)}${BEGIN}\n\n${kindsTable()}\n\n${text.slice(end)}`, {
    ...(await resolveConfig(PAGE)),
    parser: 'markdown',
  });
  if (made === text) return [];
  if (check) return [`${PAGE} is not current: npm run reference`];
  writeFileSync(PAGE, made);
  return [];
}
