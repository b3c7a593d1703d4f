import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { defaultCacheFolder, nodeCache } from './cache.js';
import { nodeFiles } from './files.js';

async function withFolder(act: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-cache-'));
  try {
    await act(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Another process that takes the lock, says so, and keeps it. */
async function holder(folder: string): Promise<ChildProcess> {
  const module = new URL('./cache.js', import.meta.url).href;
  const script = `
    const { nodeCache } = await import(${JSON.stringify(module)});
    await nodeCache(${JSON.stringify(folder)}).lock();
    console.log('locked');
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

test('the folder: our own variable, then the XDG one, then the home folder', () => {
  assert.equal(defaultCacheFolder({ UNDERSTUDY_CACHE: '/a/b', XDG_CACHE_HOME: '/x' }), '/a/b');
  assert.equal(defaultCacheFolder({ UNDERSTUDY_CACHE: '', XDG_CACHE_HOME: '/x' }), '/x/understudy');
  assert.equal(defaultCacheFolder({ XDG_CACHE_HOME: 'relative' }), join(homedir(), '.cache/understudy'));
});

test('one owner at a time, in the order of coming or not, none forgotten', () =>
  withFolder(async (folder) => {
    let [inside, most, done, waited] = [0, 0, 0, 0];
    const work = async (): Promise<void> => {
      const lock = await nodeCache(folder).lock(undefined, () => waited++);
      inside++;
      most = Math.max(most, inside);
      // The first owner keeps it until all others have found it taken.
      do await new Promise((r) => setTimeout(r, 5));
      while (waited < 7);
      inside--;
      done++;
      await lock.release();
    };
    await Promise.all(Array.from({ length: 8 }, work));
    assert.deepEqual([most, done, waited], [1, 8, 7]);
  }));

test('the lock dies with its owner, and leaves nothing behind', () =>
  withFolder(async (folder) => {
    const child = await holder(folder);
    let waiting = false;
    const lock = nodeCache(folder).lock(undefined, () => {
      waiting = true;
      child.kill('SIGKILL');
    });
    await (await lock).release();
    assert.ok(waiting);
    assert.deepEqual(await nodeFiles.list(folder), []);
  }));

test('who waits can be interrupted', () =>
  withFolder(async (folder) => {
    const child = await holder(folder);
    try {
      const interruption = new AbortController();
      const lock = nodeCache(folder).lock(interruption.signal, () => setTimeout(() => interruption.abort(), 50));
      await assert.rejects(lock, { name: 'ImageError', code: 'aborted' });
    } finally {
      child.kill('SIGKILL');
    }
  }));

test('two folders have two locks', () =>
  withFolder((a) =>
    withFolder(async (b) => {
      const first = await nodeCache(a).lock();
      const second = await nodeCache(b).lock();
      await first.release();
      await second.release();
    }),
  ));
