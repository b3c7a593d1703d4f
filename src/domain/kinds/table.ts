/** What moves with a domain and what is refused: the table of docs/domains.md is made from here (npm run reference). */
import { memory } from '../memory/described.js';
import { tree } from '../tree/described.js';
import type { Described } from './kind.js';
import { domainKinds, fileKinds, processKinds } from './registry.js';
import { socket } from './sockets/socket.js';

/** All kinds, in the order of the table. */
export const described: readonly Described[] = [
  memory,
  tree,
  ...processKinds,
  // It stands for the kinds of sockets, which come after it.
  ...fileKinds.filter((kind) => kind !== socket),
  ...domainKinds,
];

/** The table, as Markdown. */
export function kindsTable(kinds: readonly Described[] = described): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
  const rows = kinds.map((k) => `| ${cell(k.name)} | ${cell(k.keeps)} | ${cell(k.refuses ?? '')} |`);
  return ['| kind | kept | refused by name |', '| --- | --- | --- |', ...rows].join('\n');
}
