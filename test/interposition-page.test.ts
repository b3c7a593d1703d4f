/** docs/interposition.md says what the program does. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { SEQUENCES } from '../src/computer/virtio/sequences.js';
import { IO_USAGE } from '../src/faces/cli/io/options.js';
import { emptyResult } from '../src/faces/cli/demo/io/result.js';

const page = readFileSync(new URL('../../docs/interposition.md', import.meta.url), 'utf8');

test('its table of sequences is that of the registers', () => {
  const table = /<!-- sequences: begin -->(.*)<!-- sequences: end -->/s.exec(page)?.[1] ?? '';
  const rows = table
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .slice(2)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  assert.deepEqual(
    rows,
    SEQUENCES.map(({ name, begins, ends }) => [name, begins.join(', '), ends.join(', ')]),
  );
});

test('it names every field that the demonstration prints', () => {
  for (const field of Object.keys(emptyResult())) assert.match(page, new RegExp(`\`${field}\``), field);
});

test('its commands are those that there are', () => {
  const used = new Set(
    [...page.matchAll(/\bio (list|[a-z]+(?:-[a-z]+)*) (?:disk|nic)0/g)].map(([, command]) => command),
  );
  assert.ok(used.size >= 7);
  for (const command of used) assert.match(IO_USAGE, new RegExp(`^  ${command} DEVICE`, 'm'), command);
});
