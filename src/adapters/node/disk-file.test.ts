import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FileDisk } from './disk-file.js';

void test('a file is a disk', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'disk-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'image.raw');
  const bytes = Uint8Array.from({ length: 10 * 512 + 100 }, (_, i) => (i * 11) & 0xff);
  await writeFile(path, bytes);
  const disk = await FileDisk.open(path);
  assert.deepEqual([disk.sectors, disk.readOnly, disk.id], [10, false, 'image.raw']);
  const got = new Uint8Array(1024);
  await disk.read(8, got);
  assert.deepEqual(got, bytes.subarray(8 * 512, 10 * 512));
  await disk.write(3, new Uint8Array(512).fill(9));
  await disk.flush();
  await disk.close();
  bytes.fill(9, 3 * 512, 4 * 512);
  assert.deepEqual(new Uint8Array(await readFile(path)), bytes);

  const fixed = await FileDisk.open(path, true);
  await assert.rejects(fixed.write(0, new Uint8Array(512)), { code: 'read-only' });
  await truncate(path, 512);
  await assert.rejects(fixed.read(1, new Uint8Array(512)), { code: 'range' });
  await fixed.close();
  await truncate(path, 511);
  await assert.rejects(FileDisk.open(path), { code: 'size' });
  await assert.rejects(FileDisk.open(join(folder, 'none')), { code: 'ENOENT' });
});
