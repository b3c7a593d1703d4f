import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, linkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { toBytes, toText } from './bytes.js';
import { readTar } from './tar.js';
import { makeTar } from './testing/tar.js';

async function* pieces(data: Uint8Array, size: number): AsyncIterable<Uint8Array> {
  for (let at = 0; at < data.length; at += size) yield await Promise.resolve(data.subarray(at, at + size));
}
const all = (): boolean => true;

test('reads what tar(1) writes: long names, links, modes, in pieces of any size', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-tar-'));
  try {
    const long = `${'deep/'.repeat(30)}name-${'x'.repeat(90)}`;
    mkdirSync(join(folder, long, '..'), { recursive: true });
    writeFileSync(join(folder, long), 'far away');
    writeFileSync(join(folder, 'big'), 'b'.repeat(5000), { mode: 0o750 });
    writeFileSync(join(folder, 'empty'), '');
    symlinkSync(`../${'y'.repeat(120)}`, join(folder, 'link'));
    linkSync(join(folder, 'big'), join(folder, 'same'));
    for (const format of ['gnu', 'posix', 'ustar']) {
      // ustar has no place for the long link.
      const args = format === 'ustar' ? ['--exclude=./link', '--exclude=./deep'] : [];
      const tar = execFileSync('tar', ['-c', `--format=${format}`, '--sort=name', ...args, '-C', folder, '.']);
      for (const size of [1, 511, 4096, tar.length]) {
        const entries = await readTar(pieces(tar, size), all);
        const get = (path: string) => entries.find((e) => e.path === path);
        const big = get('big');
        assert.equal(toText(big?.data ?? new Uint8Array()), 'b'.repeat(5000), `${format} ${size}`);
        assert.equal(big?.mode, 0o750);
        assert.equal(get('empty')?.data.length, 0);
        assert.deepEqual([get('same')?.type, get('same')?.link], ['hardlink', 'big']);
        if (format !== 'ustar') {
          assert.equal(toText(get(long)?.data ?? new Uint8Array()), 'far away');
          assert.deepEqual([get('link')?.type, get('link')?.link], ['symlink', `../${'y'.repeat(120)}`]);
          assert.equal(get('deep')?.type, 'folder');
        }
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('keeps only what is asked for', async () => {
  const tar = makeTar([
    { path: 'a', data: 'x'.repeat(2000) },
    { path: 'b', data: 'wanted' },
    { path: 'c', data: 'y'.repeat(700) },
  ]);
  const entries = await readTar(pieces(tar, 100), (path) => path === 'b');
  assert.deepEqual(
    entries.map((e) => [e.path, toText(e.data)]),
    [['b', 'wanted']],
  );
});

test('a stream that is cut or altered is refused', async () => {
  const tar = makeTar([{ path: 'a', data: 'x'.repeat(2000) }]);
  for (const length of [100, 512 + 700, 600]) {
    await assert.rejects(readTar(pieces(tar.subarray(0, length), 64), all), { code: 'corrupt' }, String(length));
    await assert.rejects(
      readTar(pieces(tar.subarray(0, length), 64), () => false),
      { code: 'corrupt' },
      String(length),
    );
  }
  const altered = tar.slice();
  altered[3] ^= 1;
  await assert.rejects(readTar(pieces(altered, 512), all), { code: 'corrupt' });
});

test('a path that leaves its folder is refused', async () => {
  const tar = makeTar([{ path: '../../etc/passwd', data: toBytes('x') }]);
  await assert.rejects(readTar(pieces(tar, 512), all), { code: 'corrupt' });
});
