import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { nodeFiles } from './files.js';

const folder = mkdtempSync(join(tmpdir(), 'understudy-files-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

test('writes make their folders; what is not there is undefined or nothing', async () => {
  const path = join(folder, 'a/b/c');
  await nodeFiles.write(path, 'text');
  assert.equal(await nodeFiles.size(path), 4);
  assert.deepEqual(await nodeFiles.list(join(folder, 'a')), ['b']);
  assert.equal(await nodeFiles.size(join(folder, 'a')), undefined);
  assert.equal(await nodeFiles.read(join(folder, 'none')), undefined);
  assert.equal(await nodeFiles.read(join(path, 'below-a-file')), undefined);
  assert.deepEqual(await nodeFiles.list(join(folder, 'none')), []);
  await nodeFiles.rename(path, join(folder, 'd'));
  assert.deepEqual(new TextDecoder().decode(await nodeFiles.read(join(folder, 'd'))), 'text');
  await nodeFiles.remove(join(folder, 'a'));
  await nodeFiles.remove(join(folder, 'a'));
  assert.deepEqual(await nodeFiles.list(folder), ['d']);
});

test('other errors say which path', async () => {
  await assert.rejects(nodeFiles.rename(join(folder, 'x'), join(folder, 'y')), {
    name: 'ImageError',
    code: 'command',
    message: /y: ENOENT/,
  });
});

/** A file system of 64 KiB, where the machine lets us mount one. */
function smallDisk(path: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'understudy-test', path], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

test('a full disk is told as such, and keeps no half-written file', async (t) => {
  const path = join(folder, 'small');
  await nodeFiles.makeFolder(path);
  if (!smallDisk(path)) {
    t.skip('mounting needs root');
    return;
  }
  try {
    const file = join(path, 'file');
    await assert.rejects(nodeFiles.write(file, new Uint8Array(200_000)), {
      code: 'disk-full',
      message: /UNDERSTUDY_CACHE/,
    });
    assert.ok(!existsSync(file));
  } finally {
    execFileSync('umount', [path]);
  }
});
