import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toText } from './bytes.js';
import { readCpio } from './cpio.js';
import { cleanCache, listImages } from './inventory.js';
import type { Progress } from './host.js';
import { prepareImage, prepareImages, type PrepareOptions } from './prepare.js';
import { shellProfile, type Profile } from './profile.js';
import { MemoryCache, TestHost } from './testing/host.js';

const profile = (kernel: string, more: Partial<Profile> = {}): Profile => ({
  ...shellProfile(kernel),
  modules: { names: ['virtio_net', 'virtio_pci'], optional: ['crc32c_generic'] },
  load: ['virtio_net'],
  ...more,
});
const server = (kernel: string): Profile =>
  profile(kernel, { name: 'server', packages: ['server'], programs: ['usr/bin/server'] });

function world() {
  const cache = new MemoryCache();
  const commands = new TestHost(cache.files);
  const progress: Progress[] = [];
  const options: PrepareOptions = { cache, commands, onProgress: (p) => progress.push(p) };
  const prepare = (p: Profile, more: Partial<PrepareOptions> = {}) => prepareImage(p, { ...options, ...more });
  const contents = (path: string) => readCpio(cache.files.all.get(path) ?? new Uint8Array(1));
  return { cache, commands, progress, options, prepare, contents };
}

const half = (cache: MemoryCache): string[] =>
  [...cache.files.all.keys()].filter((p) => p.startsWith('/cache/') && /\/(tmp|partial)\//.test(p));

test('an image has a kernel, its modules in load order, and the user space', async () => {
  const { cache, prepare, contents } = world();
  const image = await prepare(server('trixie'));
  assert.equal(image.kernelVersion, '6.12.113+deb13-riscv64');
  assert.match(toText(cache.files.all.get(image.kernel)!), /kernel 6\.12\.113/);
  assert.deepEqual(image.manifest.kernel.moduleNames, ['failover', 'net_failover', 'virtio_net']);
  const entries = contents(image.initramfs);
  const text = (path: string): string => toText(entries.find((e) => e.path === path)?.data as Uint8Array);
  const folder = 'usr/lib/modules/6.12.113+deb13-riscv64';
  assert.match(text(`${folder}/modules.dep`), /^virtio_net\.ko: net_failover\.ko failover\.ko$/m);
  assert.match(text(`${folder}/modules.alias`), /^alias for-virtio_net virtio_net$/m);
  assert.equal(text('etc/understudy/modules'), 'virtio_net\n');
  assert.match(text('init'), /^#!\/bin\/sh\n/);
  const paths = entries.map((e) => e.path);
  for (const path of [
    'usr/bin/server',
    'usr/lib/riscv64-linux-gnu/libthing.so.1',
    'usr/lib/ld.so.1',
    'usr/bin/udhcpc',
  ]) {
    assert.ok(paths.includes(path), path);
  }
  assert.ok(!paths.some((p) => p.includes('share/doc') || p.includes('sound')), 'nothing that is not needed');
  assert.equal(entries.find((e) => e.path === 'usr/bin/mount')?.symlink, 'busybox');
  assert.deepEqual(
    image.manifest.userland.packages.map((p) => p.name),
    ['busybox-static', 'libthing1', 'server'],
  );
});

test('both kernels get the same user space, byte for byte', async () => {
  const { prepare, contents } = world();
  const [old, young] = [await prepare(server('trixie')), await prepare(server('backports'))];
  assert.equal(young.kernelVersion, '7.2.11+deb13-riscv64');
  assert.deepEqual(young.manifest.userland, old.manifest.userland);
  const without = (path: string) => contents(path).filter((e) => !e.path.startsWith('usr/lib/modules/'));
  const user = (path: string) => without(path).filter((e) => e.path !== 'usr' && e.path !== 'usr/lib');
  assert.deepEqual(user(young.initramfs), user(old.initramfs));
});

test('an exact release can be asked for, and one that is not there is named with those that are', async () => {
  const { prepare } = world();
  assert.equal((await prepare(profile('6.12.107+deb13-riscv64'))).kernelVersion, '6.12.107+deb13-riscv64');
  await assert.rejects(prepare(profile('6.12.1+deb13-riscv64')), {
    code: 'not-found',
    message: /6\.12\.107\+deb13-riscv64, 6\.12\.113/,
  });
});

test('the second time nothing is run, and nothing needs the network', async () => {
  const { commands, prepare } = world();
  const first = await prepare(profile('trixie'));
  commands.calls.length = 0;
  assert.deepEqual(await prepare(profile('trixie')), first);
  assert.deepEqual(commands.calls, []);
});

test('what was altered or cut in the cache is built again', async () => {
  const { cache, prepare } = world();
  const first = await prepare(profile('trixie'));
  for (const path of [first.kernel, first.initramfs]) {
    const good = cache.files.all.get(path)!;
    cache.files.all.set(path, good.subarray(0, good.length - 1));
    assert.deepEqual(await prepare(profile('trixie')), first);
    const flipped = good.slice();
    flipped[good.length >> 1] ^= 1;
    cache.files.all.set(path, flipped);
    assert.deepEqual(
      (await listImages(cache)).map((i) => i.whole),
      [false],
    );
    assert.deepEqual(await prepare(profile('trixie')), first);
    assert.deepEqual(cache.files.all.get(path), good);
  }
});

test('damaged manifests are built again', async () => {
  const { cache, prepare } = world();
  const first = await prepare(profile('trixie'));
  const manifests = [...cache.files.all.keys()].filter((p) => p.endsWith('.json'));
  assert.equal(manifests.length, 3);
  for (const text of ['', '{', '{"profile":3}', '{"kernel":{"image":{"name":"../../etc/passwd"}}}', 'null']) {
    for (const path of manifests) await cache.files.write(path, text);
    assert.deepEqual(await prepare(profile('trixie')), first);
  }
});

test('refresh takes what is newer, and keeps what is not', async () => {
  const { commands, prepare } = world();
  commands.newest = '6.12.107';
  assert.equal((await prepare(profile('trixie'))).kernelVersion, '6.12.107+deb13-riscv64');
  commands.newest = '6.12.113';
  assert.equal((await prepare(profile('trixie'))).kernelVersion, '6.12.107+deb13-riscv64');
  assert.equal((await prepare(profile('trixie'), { refresh: true })).kernelVersion, '6.12.113+deb13-riscv64');
  commands.calls.length = 0;
  await prepare(profile('trixie'), { refresh: true });
  assert.ok(
    !commands.calls.some((c) => c.includes('download') && c.includes('linux-image')),
    'the kernel is not fetched again',
  );
});

test('a full disk at any write: a clear error, nothing half-written, and later it goes on', async () => {
  let writes = 0;
  for (; writes < 100; writes++) {
    const { cache, prepare } = world();
    cache.files.writesLeft = writes;
    try {
      await prepare(server('trixie'));
      break;
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'disk-full', `after ${writes} writes: ${String(error)}`);
    }
    assert.deepEqual(half(cache), [], `after ${writes} writes`);
    assert.equal(cache.locked, false);
    cache.files.writesLeft = Infinity;
    assert.equal((await prepare(server('trixie'))).kernelVersion, '6.12.113+deb13-riscv64');
  }
  assert.ok(writes > 10 && writes < 100, `${writes} writes`);
});

test('interrupted at any command: no lock, nothing half-written, and later it goes on', async () => {
  const counting = world();
  await counting.prepare(server('trixie'));
  const commandCount = counting.commands.calls.length;
  assert.ok(commandCount > 10);
  for (let n = 1; n <= commandCount; n++) {
    const { cache, commands, prepare } = world();
    const interruption = new AbortController();
    commands.before = () => commands.calls.length === n && interruption.abort();
    await assert.rejects(
      prepare(server('trixie'), { signal: interruption.signal }),
      { code: 'aborted' },
      `command ${n}`,
    );
    assert.deepEqual(half(cache), [], `command ${n}`);
    assert.equal(cache.locked, false);
    assert.equal((await prepare(server('trixie'))).kernelVersion, '6.12.113+deb13-riscv64');
  }
});

test('two at once: one builds, the other waits and takes it', async () => {
  const { commands, progress, prepare } = world();
  const [a, b] = await Promise.all([prepare(profile('trixie')), prepare(profile('trixie'))]);
  assert.deepEqual(a, b);
  assert.equal(commands.calls.filter((c) => c.includes(' update')).length, 1);
  assert.ok(progress.some((p) => p.step === 'wait'));
});

test('a package that is altered on its way is fetched once more, then refused', async () => {
  const { cache, commands, prepare } = world();
  let altered = 0;
  commands.corrupt = (_, data) => (altered++ === 0 ? data.slice().fill(7, 600, 610) : data);
  assert.equal((await prepare(profile('trixie'))).kernelVersion, '6.12.113+deb13-riscv64');
  const other = world();
  other.commands.corrupt = (_, data) => data.slice().fill(7, 600, 610);
  await assert.rejects(other.prepare(profile('trixie')), { code: 'network', message: /does not match its index/ });
  assert.deepEqual([...half(cache), ...half(other.cache)], []);
});

test('a mirror that serves one name of the release out of step is asked by the other name', async () => {
  const { commands, prepare } = world();
  commands.broken = new Set(['trixie-backports', 'trixie-security']);
  commands.alias = { 'stable-backports': 'trixie-backports', 'stable-security': 'trixie-security' };
  assert.equal((await prepare(profile('backports'))).kernelVersion, '7.2.11+deb13-riscv64');
  assert.equal((await prepare(profile('trixie'))).kernelVersion, '6.12.113+deb13-riscv64');
});

test('another release under the other name is not taken', async () => {
  const { commands, progress, prepare } = world();
  commands.broken = new Set(['trixie-backports', 'trixie-security']);
  commands.alias = { 'stable-backports': 'forky-backports', 'stable-security': 'forky-security' };
  await assert.rejects(prepare(profile('backports')), { code: 'network', message: /trixie-backports/ });
  // Security updates are missed with a warning: the release itself is whole.
  assert.equal((await prepare(profile('trixie'))).kernelVersion, '6.12.107+deb13-riscv64');
  assert.ok(progress.some((p) => p.step === 'warning' && p.message.includes('security')));
});

test('without a network, without apt, without Debian: the message says what to bring', async () => {
  const offline = world();
  offline.commands.broken = new Set(
    ['', '-backports', '-security'].flatMap((s) => ['trixie', 'stable', 'oldstable'].map((n) => n + s)),
  );
  await assert.rejects(offline.prepare(profile('trixie')), {
    code: 'network',
    message: /--kernel IMAGE --initrd CPIO/,
  });
  const elsewhere = world();
  elsewhere.commands.hasApt = false;
  await assert.rejects(elsewhere.prepare(profile('trixie')), {
    code: 'unsupported',
    message: /--kernel IMAGE --initrd CPIO/,
  });
  const other = world();
  other.cache.files.all.clear();
  await assert.rejects(other.prepare(profile('trixie')), { code: 'unsupported', message: /no Debian mirror/ });
});

test('a profile that names what does not exist, or could be taken for an option, is refused', async () => {
  const { commands, prepare } = world();
  await assert.rejects(prepare(profile('trixie', { packages: ['nosuchthing'] })), {
    code: 'not-found',
    message: /nosuchthing/,
  });
  await assert.rejects(prepare(profile('trixie', { modules: { names: ['zfs'] } })), {
    code: 'not-found',
    message: /zfs/,
  });
  commands.calls.length = 0;
  await assert.rejects(prepare(profile('trixie', { packages: ['--allow-insecure'] })), { code: 'invalid' });
  await assert.rejects(prepare(profile('../../etc')), { code: 'invalid' });
  assert.deepEqual(commands.calls, []);
});

test('a file of the profile takes the place of ours', async () => {
  const { prepare, contents } = world();
  const image = await prepare(profile('trixie', { files: [{ path: 'init', mode: 0o755, data: 'mine' }] }));
  const init = contents(image.initramfs).filter((e) => e.path === 'init');
  assert.deepEqual(
    init.map((e) => toText(e.data as Uint8Array)),
    ['mine'],
  );
});

test('the cache lists what it holds, and is emptied', async () => {
  const { cache, prepare } = world();
  await prepare(profile('trixie'));
  await prepare(server('backports'));
  const images = await listImages(cache);
  assert.deepEqual(
    images.map((i) => [i.manifest.profile, i.whole]),
    [
      ['server', true],
      ['shell', true],
    ],
  );
  await cleanCache(cache, { packagesOnly: true });
  assert.equal((await listImages(cache)).length, 2);
  await cleanCache(cache);
  assert.deepEqual(
    [...cache.files.all.keys()].filter((p) => p.startsWith('/cache')),
    [],
  );
});

test('how much is fetched for all images is said before the first package is, and shared packages count once', async () => {
  const { commands, progress, options } = world();
  const events: string[] = [];
  commands.before = (call) => {
    if (call.startsWith('apt-get') && call.includes(' download ')) events.push('download');
  };
  const onProgress = (p: Progress): void => {
    progress.push(p);
    events.push(p.step);
  };
  const images = await prepareImages([server('trixie'), server('backports')], { ...options, onProgress });
  assert.deepEqual(
    images.map((i) => i.kernelVersion),
    ['6.12.113+deb13-riscv64', '7.2.11+deb13-riscv64'],
  );
  const plans = progress.filter((p) => p.step === 'plan');
  assert.equal(plans.length, 1);
  assert.ok(events.indexOf('plan') < events.indexOf('download'));
  // One kernel package, two of the split kernel, and the user space of both once.
  assert.match(plans[0].message, /^to be fetched: 6 packages, \d+\.\d MB; images are kept in \/cache$/);
  const { total } = plans[0].bytes!;
  const fetched = progress.filter((p) => p.step === 'download').map((p) => p.bytes!);
  assert.ok(fetched.every((b, i) => b.total === total && b.done >= (fetched[i - 1]?.done ?? 0)));
  assert.equal(fetched.at(-1)?.done, total);
  const names = new Set(
    images.flatMap(({ manifest: m }) => [...m.kernel.packages, ...m.userland.packages].map((p) => p.name)),
  );
  const sizes = commands.sizes();
  assert.equal(
    total,
    [...names].reduce((n, name) => n + (sizes.get(name) ?? NaN), 0),
  );
});

test('what an interrupted fetch has left is not announced again; what is whole is not announced at all', async () => {
  const { commands, progress, prepare } = world();
  const interruption = new AbortController();
  commands.before = (call) => call.startsWith('dpkg-deb') && interruption.abort();
  await assert.rejects(prepare(server('trixie'), { signal: interruption.signal }), { code: 'aborted' });
  commands.before = () => undefined;
  await prepare(server('trixie'));
  await prepare(server('trixie'));
  const [first, second, ...others] = progress.filter((p) => p.step === 'plan').map((p) => p.bytes!.total);
  const kernel = commands.sizes().get('linux-image-6.12.113+deb13-riscv64')!;
  assert.equal(second, first - kernel);
  assert.deepEqual(others, []);
});
