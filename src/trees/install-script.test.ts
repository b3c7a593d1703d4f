import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PackageRecord } from '../image/apttext.js';
import { installScript } from './install-script.js';
import { foundation } from './prepare.js';

const record = (name: string, more: Partial<PackageRecord> = {}): PackageRecord => ({
  name,
  version: '1',
  architecture: 'riscv64',
  section: '',
  depends: [],
  provides: [],
  size: 1,
  installed: 1,
  essential: false,
  sha256: '',
  ...more,
});

test('laid out first is what no system is without and what that depends on, by other names too', () => {
  const records = [
    record('base-files', { essential: true, depends: ['awk'] }),
    record('mawk', { provides: ['awk'], depends: ['libc6'] }),
    record('libc6'),
    record('nginx', { depends: ['libc6', 'libssl'] }),
    record('libssl'),
  ];
  assert.deepEqual(foundation(records), ['base-files', 'libc6', 'mawk']);
});

test("dpkg gets the foundation in one go, then the others in apt's order", () => {
  const names = ['libc6', 'base-files', 'libssl', 'nginx'];
  const placed = new Map(names.map((name, i) => [name, { at: i * 8192, size: 5000 }]));
  const order = (['libc6', 'base-files', 'libssl', 'nginx'] as const).flatMap((name) => [
    { act: 'unpack' as const, name },
    { act: 'configure' as const, name },
  ]);
  const script = installScript({ order, first: ['base-files', 'libc6'], placed, label: 'x' });
  const calls = script.split('\n').filter((line) => /^(lay|take|unpack|configure) /.test(line));
  assert.deepEqual(calls, [
    'lay base-files 2 2 5000',
    'lay libc6 0 2 5000',
    'take libc6 0 2 5000',
    'take base-files 2 2 5000',
    'unpack libc6 base-files',
    'configure libc6 base-files',
    'take libssl 4 2 5000',
    'unpack libssl',
    'configure libssl',
    'take nginx 6 2 5000',
    'unpack nginx',
    'configure nginx',
  ]);
});
