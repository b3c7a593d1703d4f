import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toBytes, toText } from '../image/bytes.js';
import { ImageError } from '../image/errors.js';
import type { Commands } from '../image/host.js';
import { MemoryFiles } from '../image/testing/host.js';
import { arHeader, BLOCK, PackageDisk } from './package-disk.js';

/** dpkg-deb of two packages; pieces as odd as a pipe gives them. */
const commands: Commands = {
  run: () => Promise.reject(new Error('nothing else is run')),
  async *stream(command, [what, deb]) {
    await Promise.resolve();
    assert.equal(command, 'dpkg-deb');
    const text = what === '--ctrl-tarfile' ? `control of ${deb}` : `data of ${deb} `.repeat(400);
    for (let at = 0; at < text.length; at += 777) yield toBytes(text.slice(at, at + 777));
  },
};

test('packages lie one behind the other as ar archives, each at the begin of a block', async () => {
  const files = new MemoryFiles();
  const disk = new PackageDisk(await files.create('/disk'), commands, undefined);
  const [a, b] = [await disk.add('a.deb'), await disk.add('bb.deb')];
  await disk.finish();
  const all = files.all.get('/disk')!;
  assert.equal(all.length % BLOCK, 0);
  assert.deepEqual([a.at, b.at % BLOCK], [0, 0]);
  assert.ok(b.at >= a.size);
  for (const [name, { at, size }] of [
    ['a.deb', a],
    ['bb.deb', b],
  ] as const) {
    const archive = toText(all.subarray(at, at + size));
    assert.ok(archive.startsWith('!<arch>\n'));
    const members = [];
    for (let from = 8; from < archive.length;) {
      const [member, length] = [archive.slice(from, from + 16).trim(), Number(archive.slice(from + 48, from + 58))];
      assert.equal(archive.slice(from + 58, from + 60), '`\n');
      members.push([member, archive.slice(from + 60, from + 60 + length)]);
      from += 60 + length + (length % 2);
    }
    assert.deepEqual(members, [
      ['debian-binary', '2.0\n'],
      ['control.tar', `control of ${name}`],
      ['data.tar', `data of ${name} `.repeat(400)],
    ]);
  }
});

test('a header has its fields where ar expects them, or is refused', () => {
  assert.equal(toText(arHeader('data.tar', 123)), 'data.tar        0           0     0     100644  123       `\n');
  assert.throws(() => arHeader('data.tar', 10 ** 10), ImageError);
});
