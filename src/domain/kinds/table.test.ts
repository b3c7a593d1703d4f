import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { described, kindsTable } from './table.js';

test('every kind says what it keeps, under a name of its own', () => {
  for (const kind of described) assert.ok(kind.keeps !== '', `${kind.name} keeps something`);
  assert.equal(new Set(described.map((k) => k.name)).size, described.length, 'names are given once');
});

test('docs/domains.md has the table as the kinds give it (npm run reference)', () => {
  const squeeze = (text: string): string => text.replace(/-{3,}/g, '---').replace(/ +/g, ' ');
  const page = readFileSync('docs/domains.md', 'utf8');
  const there = page.slice(page.indexOf('<!-- kinds -->') + 14, page.indexOf('<!-- /kinds -->')).trim();
  assert.equal(squeeze(there), squeeze(kindsTable()));
});

test('a cell cannot break the table', () => {
  assert.match(kindsTable([{ name: 'a|b', keeps: 'one\ntwo' }]), /^\| a\\\|b \| one two \|  \|$/m);
});
