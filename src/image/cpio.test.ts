import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toBytes, toText } from './bytes.js';
import { buildCpio, concatCpio, readCpio, type CpioEntry } from './cpio.js';
import { ImageError } from './errors.js';

const entries: CpioEntry[] = [
  { path: 'usr/bin/tool', mode: 0o755, data: 'program', uid: 5, gid: 6 },
  { path: 'init', mode: 0o100755, data: '#!/bin/sh\n' },
  { path: 'bin', mode: 0o777, symlink: 'usr/bin' },
  { path: 'dev/console', mode: 0o020600, rdev: [5, 1] },
  { path: 'tmp', mode: 0o041777 },
];

test('an archive has the bytes that the format prescribes', () => {
  const text = toText(buildCpio([{ path: 'a', mode: 0o644, data: 'hello' }]));
  const header = (fields: string): string => `070701${fields.replaceAll(' ', '')}`;
  const one = header(
    '00000001 000081A4 00000000 00000000 00000001 00000000 00000005 00000000 00000000 00000000 00000000 00000002 00000000',
  );
  const end = header(
    '00000000 00000000 00000000 00000000 00000001 00000000 00000000 00000000 00000000 00000000 00000000 0000000B 00000000',
  );
  assert.equal(text.slice(0, 244), `${one}a\0hello\0\0\0${end}TRAILER!!!\0\0\0\0`.slice(0, 244));
  assert.equal(text.length, 512);
});

test('what is written is read again, with the folders in between', () => {
  const read = readCpio(buildCpio(entries));
  assert.deepEqual(
    read.map((e) => [e.path, e.mode.toString(8)]),
    [
      ['bin', '120777'],
      ['dev', '40755'],
      ['dev/console', '20600'],
      ['init', '100755'],
      ['tmp', '41777'],
      ['usr', '40755'],
      ['usr/bin', '40755'],
      ['usr/bin/tool', '100755'],
    ],
  );
  const tool = read.find((e) => e.path === 'usr/bin/tool');
  assert.deepEqual(tool?.data, toBytes('program'));
  assert.deepEqual([tool?.uid, tool?.gid], [5, 6]);
  assert.equal(read.find((e) => e.path === 'bin')?.symlink, 'usr/bin');
  assert.deepEqual(read.find((e) => e.path === 'dev/console')?.rdev, [5, 1]);
});

test('the order of the entries does not change the bytes', () => {
  assert.deepEqual(buildCpio([...entries].reverse()), buildCpio(entries));
});

test('archives in a row are read as one', () => {
  const odd = buildCpio([{ path: 'a', mode: 0o644, data: 'x' }]).subarray(0, 244);
  const both = concatCpio([odd, buildCpio([{ path: 'b', mode: 0o644, data: 'y' }])]);
  assert.equal(both.length % 512, 0);
  assert.deepEqual(
    readCpio(both).map((e) => e.path),
    ['a', 'b'],
  );
});

test('paths that make no sense in an archive are refused', () => {
  for (const path of ['', '/etc', 'a//b', '../x', 'a/./b', 'a/']) {
    assert.throws(() => buildCpio([{ path, mode: 0o644 }]), { name: 'ImageError', code: 'invalid' }, path);
  }
  assert.throws(() => buildCpio([entries[0], entries[0]]), { code: 'invalid' });
});

test('bytes that are no archive are refused', () => {
  const good = buildCpio(entries);
  assert.throws(() => readCpio(good.subarray(0, 300)), { code: 'corrupt' });
  assert.throws(() => readCpio(toBytes('070702')), { code: 'corrupt' });
  const long = good.slice();
  long.set(toBytes('7FFFFFFF'), 54);
  assert.throws(() => readCpio(long), ImageError);
});
