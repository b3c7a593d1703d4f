import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseModules, moduleName, modulesAlias, modulesDep } from './modules.js';
import { makeModule } from './testing/elf.js';

const files = new Map(
  Object.entries({
    virtio_net: 'net_failover',
    net_failover: 'failover',
    failover: '',
    ext4: 'jbd2,mbcache',
    jbd2: '',
    mbcache: '',
  }).map(([name, depends]): [string, Uint8Array] => [
    `usr/lib/modules/6.12/kernel/drivers/${name.replace('_', '-')}.ko`,
    makeModule([`depends=${depends}`, `alias=fs-${name}`, `alias=also-${name}`]),
  ]),
);

test('a module is known by one name, however it is written', () => {
  for (const file of ['virtio-rng', 'virtio_rng.ko', 'a/b/virtio-rng.ko.xz', 'virtio_rng']) {
    assert.equal(moduleName(file), 'virtio_rng');
  }
});

test('each module comes behind what it depends on, once', () => {
  const names = chooseModules(files, [], { names: ['ext4', 'virtio-net', 'jbd2'] }).map((m) => m.name);
  assert.deepEqual(names, ['jbd2', 'mbcache', 'ext4', 'failover', 'net_failover', 'virtio_net']);
});

test('what is built in needs no file; what is optional may be missing', () => {
  const chosen = chooseModules(files, ['kernel/fs/fuse/virtiofs.ko'], {
    names: ['virtiofs', 'failover'],
    optional: ['crc32c_generic', 'jbd2'],
  });
  assert.deepEqual(
    chosen.map((m) => m.name),
    ['failover', 'jbd2'],
  );
});

test('a module that this kernel does not have is named', () => {
  assert.throws(() => chooseModules(files, [], { names: ['zfs'] }), { code: 'not-found', message: /zfs/ });
  const broken = new Map([['a.ko', makeModule(['depends=b'])]]);
  assert.throws(() => chooseModules(broken, [], { names: ['a'] }), {
    code: 'not-found',
    message: /no module b, wanted by a/,
  });
});

test('a circle is refused', () => {
  const circle = new Map([
    ['a.ko', makeModule(['depends=b'])],
    ['b.ko', makeModule(['depends=a'])],
  ]);
  assert.throws(() => chooseModules(circle, [], { names: ['a'] }), { code: 'corrupt' });
});

test("modprobe's tables name all that is needed, and every alias", () => {
  const chosen = chooseModules(files, [], { names: ['virtio_net'] });
  assert.equal(
    modulesDep(chosen),
    'failover.ko:\nnet_failover.ko: failover.ko\nvirtio_net.ko: net_failover.ko failover.ko\n',
  );
  assert.match(modulesAlias(chosen), /^alias fs-failover failover\nalias also-failover failover\n/);
});
