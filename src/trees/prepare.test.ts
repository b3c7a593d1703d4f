import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256, toBytes } from '../image/bytes.js';
import { MemoryCache, TestHost } from '../image/testing/host.js';
import { findTree, listTrees, prepareTree, type TreeOptions } from './prepare.js';

function world() {
  const cache = new MemoryCache();
  const commands = new TestHost(cache.files);
  const options: TreeOptions = { cache, commands, computer: () => Promise.reject(new Error('no guest boots')) };
  return { cache, commands, options };
}

/** A tree as it was made before. */
async function keep({ cache, options }: ReturnType<typeof world>, contents: string): Promise<void> {
  const disk = { name: 'tree.ext4', sha256: await sha256('a disk'), bytes: 6 };
  await cache.files.write(`/cache/blobs/tree.ext4-${disk.sha256}`, 'a disk');
  const manifest = {
    name: 'web',
    install: ['server'],
    packages: [{ name: 'server', version: '1' }],
    contents,
    used: 6,
    disk,
  };
  await cache.files.write('/cache/trees/web.json', JSON.stringify(manifest));
  assert.equal(options.cache, cache);
}

/** Of the only package in {@link keep}, at its version. */
const key = async (): Promise<string> => (await sha256(JSON.stringify([1, ['server=1']]))).slice(0, 20);

test('a package that does not exist is named with those that are like it, before anything is fetched', async () => {
  const { commands, options } = world();
  await assert.rejects(prepareTree(['sevrer'], options), {
    code: 'not-found',
    message: /no package sevrer; did you mean server\?/,
  });
  assert.ok(!commands.calls.some((call) => call.includes(' download ')));
});

test('without room on the disk nothing is fetched', async () => {
  const { cache, commands, options } = world();
  cache.files.room = 10_000_000;
  await assert.rejects(prepareTree(['server'], options), { code: 'disk-full', message: /has 10 MiB left/ });
  assert.ok(!commands.calls.some((call) => call.includes(' download ')));
  assert.equal(cache.locked, false);
});

test('what is no name is refused before anything is asked', async () => {
  const { commands, options } = world();
  for (const names of [[], ['-y'], ['a b'], ['nginx=1'], ['?essential']]) {
    await assert.rejects(prepareTree(names, options), { code: 'invalid' });
  }
  await assert.rejects(prepareTree(['server'], { ...options, name: '../x' }), { code: 'invalid' });
  assert.deepEqual(commands.calls, []);
});

test('a tree of the same packages is taken from the cache; what was altered is not', async () => {
  const w = world();
  await keep(w, await key());
  const tree = await prepareTree(['server'], { ...w.options, name: 'web' });
  assert.deepEqual(w.commands.calls, []);
  assert.equal((await findTree('web', w.options)).disk, tree.disk);
  assert.deepEqual(
    (await listTrees(w.cache)).map((t) => [t.name, t.whole]),
    [['web', true]],
  );
  w.cache.files.all.set(tree.disk, toBytes('a desk'));
  await assert.rejects(findTree('web', w.options), { code: 'corrupt', message: /--name web --install server/ });
  assert.deepEqual(
    (await listTrees(w.cache)).map((t) => t.whole),
    [false],
  );
  await assert.rejects(findTree('other', w.options), { code: 'not-found', message: /there is no tree other \(web\)/ });
});

test('a tree made by another builder, or of other packages, is not taken', async () => {
  const w = world();
  await keep(w, 'of another builder');
  w.cache.files.room = 0;
  await assert.rejects(prepareTree(['server'], { ...w.options, name: 'web' }), { code: 'disk-full' });
  await keep(w, await key());
  await assert.rejects(prepareTree(['server', 'libthing1'], { ...w.options, name: 'web' }), { code: 'disk-full' });
});
