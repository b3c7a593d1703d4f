/** Images out of the real mirror: what `apt` of this machine gives, built, checked, and cached. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { nodeCache } from '../src/adapters/node/cache.js';
import { nodeCommands } from '../src/adapters/node/commands.js';
import { readSections } from '../src/image/elf.js';
import {
  prepareImage,
  readCpio,
  redisProfile,
  shellProfile,
  type CpioEntry,
  type PreparedImage,
} from '../src/image/index.js';
import { start, understudyCommand } from './testing/command-line.js';

const apt = spawnSync('apt-get', ['--version']).status === 0;
const options = { skip: apt ? false : 'this machine has no apt', timeout: 600_000 };

// The cache that every test of the whole system uses: what is there is not fetched again.
const prepare = (profile: Parameters<typeof prepareImage>[0]): Promise<PreparedImage> =>
  prepareImage(profile, { cache: nodeCache(), commands: nodeCommands });

const entriesOf = (image: PreparedImage): Map<string, CpioEntry> =>
  new Map(readCpio(readFileSync(image.initramfs)).map((entry) => [entry.path, entry]));

function checkKernel(image: PreparedImage, series: RegExp): void {
  assert.match(image.kernelVersion, series);
  const kernel = readFileSync(image.kernel);
  assert.equal(kernel.toString('latin1', 56, 60), 'RSC\x05');
  assert.ok(kernel.includes(`Linux version ${image.kernelVersion} `), 'the Image is of that release');
}

function checkModules(image: PreparedImage, entries: Map<string, CpioEntry>): void {
  const folder = `usr/lib/modules/${image.kernelVersion}`;
  for (const name of [
    'virtio_net',
    'net_failover',
    'failover',
    'virtio_blk',
    'virtio_rng',
    'virtio_balloon',
    'ext4',
    'overlay',
    'tcp_diag',
  ]) {
    const data = entries.get(`${folder}/${name}.ko`)?.data;
    assert.ok(data instanceof Uint8Array, name);
    const sections = readSections(data).map((s) => s.name);
    assert.ok(sections.includes('.modinfo') && sections.includes('.gnu.linkonce.this_module'), name);
    assert.ok(!sections.some((s) => s === '.BTF' || s.startsWith('.debug')), name);
  }
  const order = image.manifest.kernel.moduleNames;
  assert.ok(order.indexOf('failover') < order.indexOf('net_failover'));
  assert.ok(order.indexOf('net_failover') < order.indexOf('virtio_net'));
  const alias = new TextDecoder().decode(entries.get(`${folder}/modules.alias`)?.data as Uint8Array);
  assert.match(alias, /^alias fs-ext4 ext4$/m);
  assert.match(alias, /^alias virtio:d00000001v\* virtio_net$/m);
  const loaded = new TextDecoder().decode(entries.get('etc/understudy/modules')?.data as Uint8Array);
  assert.ok(loaded.trim().split(' ').includes('virtio_balloon'), loaded);
}

test('Debian 13 and its backports give both kernels, and one and the same user space', options, async () => {
  const old = await prepare(redisProfile('trixie'));
  const young = await prepare(redisProfile('backports'));
  checkKernel(old, /^6\.12\.\d+\+deb13-riscv64$/);
  checkKernel(young, /^(?!6\.)\d+\.\d+\.\d+\+deb13-riscv64$/);
  const [before, after] = [entriesOf(old), entriesOf(young)];
  checkModules(old, before);
  checkModules(young, after);
  for (const path of ['init', 'usr/bin/busybox', 'usr/bin/redis-server', 'usr/lib/riscv64-linux-gnu/libc.so.6']) {
    assert.ok(before.has(path), path);
    assert.deepEqual(after.get(path), before.get(path));
  }
  assert.equal(before.get('usr/bin/sh')?.symlink, 'busybox');
  assert.ok(readFileSync(old.initramfs).length < 24e6, 'only what is needed');
});

test('the second time comes from the cache', options, async () => {
  const first = await prepare(shellProfile('trixie'));
  const began = performance.now();
  const commands = { ...nodeCommands, run: () => Promise.reject(new Error('nothing is run')) };
  const again = await prepareImage(shellProfile('trixie'), { cache: nodeCache(), commands });
  assert.deepEqual(again, first);
  assert.ok(performance.now() - began < 5000);
  assert.ok(readFileSync(first.initramfs).length < 6e6, 'a shell is small');
});

test(
  'Ctrl-C in the middle of a fetch: everything has ended, nothing is half-written, and it goes on where it was',
  options,
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'understudy-fetch-'));
    try {
      const args = ['images', 'prepare', 'shell', '--kernel', 'trixie'];
      const { child, until, finished } = start(...understudyCommand(args), { UNDERSTUDY_CACHE: folder });
      await until(/^to be fetched: \d+ packages, \d+\.\d MB; images are kept in .*\nfetching 1 package/m);
      child.kill('SIGINT');
      const { status, stderr } = await finished;
      assert.equal(status, 130, stderr);
      assert.deepEqual(readdirSync(folder), ['apt']);
      // Nobody has the lock, and nothing that could still write there.
      const lock = await nodeCache(folder).lock(AbortSignal.timeout(5000));
      await lock.release();
      const users = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && usesFolder(pid, folder));
      assert.deepEqual(users, []);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

/** Whether a process works in a folder, or was given its name. */
function usesFolder(pid: string, folder: string): boolean {
  try {
    const own = pid === String(process.pid);
    return (
      !own &&
      (readlinkSync(`/proc/${pid}/cwd`).startsWith(folder) ||
        readFileSync(`/proc/${pid}/environ`, 'utf8').includes(folder))
    );
  } catch {
    // It ended meanwhile, or is another user's.
    return false;
  }
}
