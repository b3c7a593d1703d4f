import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toText } from './bytes.js';
import { buildCpio, concatCpio, readCpio } from './cpio.js';
import { instanceArchive } from './instance.js';

test("an instance's files stand behind the image's, and win", () => {
  const image = buildCpio([{ path: 'etc/hostname', mode: 0o644, data: 'understudy\n' }]);
  const instance = instanceArchive({
    hostname: 'a',
    network: { address: '10.0.2.15', netmask: '255.255.255.0', gateway: '10.0.2.2', nameserver: '10.0.2.3' },
    run: 'echo hello\n',
    load: ['virtio_net'],
    files: [{ path: 'hands', mode: 0o755, data: 'x' }],
  });
  const read = new Map(readCpio(concatCpio([image, instance])).map((e) => [e.path, e]));
  const text = (path: string): string => toText(read.get(path)?.data as Uint8Array);
  assert.equal(text('etc/hostname'), 'a\n');
  assert.equal(text('etc/understudy/network'), '10.0.2.15 255.255.255.0 10.0.2.2 10.0.2.3\n');
  assert.equal(text('etc/understudy/run'), 'echo hello\n');
  assert.equal(text('etc/understudy/modules'), 'virtio_net\n');
  assert.equal(text('hands'), 'x');
});

test('what /init would read as something else is refused', () => {
  assert.throws(() => instanceArchive({ hostname: 'a b' }), { code: 'invalid' });
  assert.throws(() => instanceArchive({ load: ['x\ny'] }), { code: 'invalid' });
  const network = { address: '10.0.0.2', netmask: '255.0.0.0', nameserver: '10.0.0.1' };
  assert.throws(() => instanceArchive({ network }), { code: 'invalid' });
});
