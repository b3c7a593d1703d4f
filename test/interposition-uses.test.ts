/** What the monitor does at devices that a real guest goes on using: each at run time, and each over when it is said. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Computer, FileDisk, type Instance, type Shell } from '../src/index.js';
import { DiskDevice } from '../src/interposition/kinds/disk.js';
import { NicDevice } from '../src/interposition/kinds/nic.js';
import { MIB, testImage } from './testing/images.js';

const HOST = '10.0.2.2';
const DISK = 24 * MIB;
const data = new Uint8Array(2 * MIB).map((_, i) => (i * 2654435761) >>> 11);
const sum = createHash('sha256').update(data).digest('hex');
const server = createServer((socket) => {
  socket.on('error', () => undefined);
  socket.end(data);
});

let folder: string;
let computer: Computer;
let guest: Instance;
let shell: Shell;
let port: number;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'understudy-uses-'));
  await writeFile(join(folder, 'disk.img'), new Uint8Array(DISK));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
  computer = await Computer.create({ memory: 600 * MIB, harts: 2 });
  guest = await computer.boot({
    image: await testImage('trixie'),
    memory: 256 * MIB,
    disks: [await computer.addDisk(join(folder, 'disk.img'))],
  });
  shell = await guest.shell();
});
after(async () => {
  await computer?.close();
  server.close();
  await rm(folder, { recursive: true });
});

const nic = (): NicDevice => device(NicDevice);
const disk = (): DiskDevice => device(DiskDevice);
function device<T extends DiskDevice | NicDevice>(kind: new (...args: never[]) => T): T {
  const found = guest.devices.find((d) => d instanceof kind);
  assert.ok(found instanceof kind);
  return found;
}

/** Fetches the data over TCP and answers the seconds it took; all of it has to be there. */
async function fetched(by: Shell): Promise<number> {
  const begin = performance.now();
  const output = await by.check(`nc ${HOST} ${port} </dev/null | sha256sum`);
  assert.equal(output.split(' ')[0], sum);
  return (performance.now() - begin) / 1000;
}

test('frames are written down in a file that Wireshark opens, and counted', { timeout: 60_000 }, async () => {
  const blocks: Uint8Array[] = [];
  const watch = await nic().watch((bytes) => void blocks.push(bytes.slice()));
  assert.equal(nic().mode, 'interposed');
  await fetched(shell);
  await shell.check(`ping -c 2 ${HOST}`);
  await watch.end();
  assert.equal(nic().mode, 'direct');
  assert.ok(watch.counts.tcp > 10 && watch.counts.icmp >= 4, JSON.stringify(watch.counts));
  assert.ok(watch.bytes.in > data.length);
  // Section header, interface, packets: each block has its length at both ends (pcapng, 3.1).
  const file = Buffer.concat(blocks);
  let packets = 0;
  for (let at = 0; at < file.length;) {
    const length = file.readUInt32LE(at + 4);
    assert.equal(file.readUInt32LE(at + length - 4), length);
    if (at === 0) assert.equal(file.readUInt32LE(0), 0x0a0d0d0a);
    if (file.readUInt32LE(at) === 6) packets++;
    at += length;
  }
  assert.equal(packets, watch.frames.in + watch.frames.out);
});

test('a network card is limited, and goes on at full speed afterwards', { timeout: 90_000 }, async () => {
  const limit = await nic().limit({ bytesPerSecond: MIB });
  const slow = await fetched(shell);
  await limit.end();
  assert.ok(slow > 1.5, `2 MiB at 1 MiB/s took ${slow} s`);
  const before = nic().counters.monitorEntries;
  const quick = await fetched(shell);
  assert.ok(quick < slow, `${quick} s without a limit, ${slow} s with it`);
  assert.equal(nic().counters.monitorEntries, before, 'nothing of the monitor runs for a direct card');
});

test('a network card that loses and delays frames still brings all of them', { timeout: 90_000 }, async () => {
  const rule = await nic().disturb({ loss: 0.02, latency: 3, jitter: 2, duplicate: 0.01 });
  await fetched(shell);
  await rule.end();
  assert.equal(nic().mode, 'direct');
});

test('a second OS instance uses the same network card, under its own address', { timeout: 120_000 }, async () => {
  const shared = await nic().share();
  const second = await computer.boot({ image: await testImage('trixie'), memory: 256 * MIB, network: shared });
  const other = await second.shell();
  await fetched(other);
  await fetched(shell);
  assert.notEqual(second.address, guest.address);
  const output = await other.check(`ping -c 2 ${guest.address ?? ''}`);
  assert.match(output, /2 packets received/);
  await assert.rejects(nic().stepAway(), { code: 'in-use' });
  await second.destroy();
  await shared.end();
  assert.equal(nic().mode, 'direct');
  await fetched(shell);
});

test('a disk answers errors by rule, is limited, and its requests are counted', { timeout: 90_000 }, async () => {
  const rule = await disk().disturb({ errors: 1, requests: ['write'] });
  const failed = await shell.run('dd if=/dev/zero of=/dev/vda bs=64k count=4 conv=fsync');
  assert.notEqual(failed.status, 0);
  await rule.end();
  const watch = await disk().watch(() => undefined);
  const limit = await disk().limit({ bytesPerSecond: 4 * MIB });
  const begin = performance.now();
  await shell.check('dd if=/dev/zero of=/dev/vda bs=1M count=8 conv=fsync');
  assert.ok(performance.now() - begin > 1500);
  await limit.end();
  await watch.end();
  assert.ok(watch.counts.write > 0 && watch.counts.flush > 0, JSON.stringify(watch.counts));
  assert.ok(watch.bytes.written >= 8 * MIB);
  assert.equal(disk().mode, 'direct');
});

test('a disk moves to another file while it is written, and the old one is free', { timeout: 120_000 }, async () => {
  const path = join(folder, 'new.img');
  await writeFile(path, new Uint8Array(DISK));
  const target = await FileDisk.open(path);
  const writing = shell.check(
    'for i in 1 2 3 4 5 6; do dd if=/dev/urandom of=/dev/vda bs=1M count=12 seek=$((i % 2 * 12)) conv=fsync 2>/dev/null; done; sync; sha256sum /dev/vda',
    { timeout: 90_000 },
  );
  const { bytes, rounds } = await disk().moveTo(target);
  assert.ok(bytes >= DISK && rounds >= 1);
  const written = await writing;
  const old = await readFile(join(folder, 'disk.img'));
  assert.equal(disk().mode, 'direct');
  await shell.check('dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=notrunc,fsync 2>/dev/null');
  assert.deepEqual(await readFile(join(folder, 'disk.img')), old, 'the old file is not touched any more');
  const now = await readFile(path);
  assert.ok(now.subarray(0, 4096).every((byte) => byte === 0), 'what is written arrives in the new one');
  await shell.check('echo 3 >/proc/sys/vm/drop_caches');
  const again = await shell.check('sha256sum /dev/vda');
  assert.equal(again.split(' ')[0], createHash('sha256').update(now).digest('hex'));
  assert.match(written, /^[0-9a-f]{64}/);
});
