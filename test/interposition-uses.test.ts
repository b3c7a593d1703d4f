/** What the monitor steps in for, at the devices of a Debian that goes on using them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Computer, FileDisk, NicDevice, type DiskDevice, type Instance, type Shell } from '../src/index.js';
import { MIB, testImage } from './testing/images.js';

const SIZE = 24 * MIB;
const PATIENCE = { timeout: 120_000 };

let folder = '';
let computer: Computer;
let guest: Instance;
let shell: Shell;
let disk: DiskDevice;
let nic: NicDevice;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'understudy-uses-'));
  await writeFile(join(folder, 'old.img'), new Uint8Array(SIZE).fill(0x55));
  await writeFile(join(folder, 'new.img'), new Uint8Array(SIZE + MIB).fill(0xaa));
  computer = await Computer.create({ memory: 512 * MIB, harts: 2 });
  disk = await computer.addDisk(join(folder, 'old.img'));
  guest = await computer.boot({ image: await testImage('trixie'), memory: 200 * MIB, disks: [disk] });
  const card = guest.devices.find((device) => device instanceof NicDevice);
  assert.ok(card);
  nic = card;
  shell = await guest.shell();
});
after(async () => {
  await computer.close();
  await rm(folder, { recursive: true });
});

const READ = `dd if=/dev/vda of=/dev/null bs=64k count=${SIZE / 65536} iflag=direct`;

async function seconds(command: string): Promise<number> {
  const begin = performance.now();
  await shell.check(command, PATIENCE);
  return (performance.now() - begin) / 1000;
}

function digestOf(path: string, length: number): Promise<string> {
  const hash = createHash('sha256');
  return new Promise((resolve, reject) => {
    createReadStream(path, { end: length - 1 })
      .on('data', (data) => hash.update(data))
      .on('error', reject)
      .on('end', () => resolve(hash.digest('hex')));
  });
}

test('the computer knows its devices, and who has them', async () => {
  assert.deepEqual(
    guest.devices.map(({ kind, user, mode }) => [kind, user, mode]),
    ['console', 'entropy', 'disk', 'nic'].map((kind) => [kind, guest.name, 'direct']),
  );
  assert.equal(computer.devices.get(disk.id), disk);
  assert.deepEqual(new Set(computer.devices), new Set(guest.devices));
  await assert.rejects(
    computer.boot({ image: await testImage('trixie'), memory: 200 * MIB, disks: [disk], network: false }),
    { name: 'InterpositionError', code: 'mode' },
  );
});

test('a limit halves what dd reads in a second, and ends', async () => {
  await shell.check(READ, PATIENCE);
  const free = await seconds(READ);
  const limit = await disk.limit({ bytesPerSecond: SIZE / free / 2, burst: 0.001 });
  const watch = await disk.watch(() => undefined);
  const limited = await seconds(READ);
  assert.equal(watch.bytes.read, SIZE);
  assert.ok(limited > 1.6 * free, `${limited} s with the limit, ${free} s without`);
  await Promise.all([limit.end(), watch.end()]);
  assert.equal(disk.mode, 'direct');
  assert.equal(disk.counters.monitorEntriesWhenDirect, 0);
});

test('errors by rule are the guest’s, which goes on when the rule ends', async () => {
  const rule = await disk.disturb({ errors: 1, requests: ['read'] });
  const failed = await shell.run(`${READ} 2>&1`, PATIENCE);
  assert.notEqual(failed.status, 0);
  assert.match(failed.output, /Input\/output error/);
  await rule.end();
  await shell.check(READ, PATIENCE);
  assert.equal(disk.mode, 'direct');
});

test('what is watched on the network is a pcapng file', async () => {
  const parts: Uint8Array[] = [];
  const watch = await nic.watch((bytes) => parts.push(bytes.slice()));
  await shell.check('ping -c 3 10.0.2.2', PATIENCE);
  await watch.end();
  assert.equal(nic.mode, 'direct');
  const file = Buffer.concat(parts);
  const types: number[] = [];
  const echoes = { 1: 0, 2: 0 };
  for (let at = 0; at < file.length; at += file.readUInt32LE(at + 4)) {
    assert.equal(file.readUInt32LE(at + file.readUInt32LE(at + 4) - 4), file.readUInt32LE(at + 4));
    const type = file.readUInt32LE(at);
    types.push(type);
    if (type !== 6) continue;
    const frame = file.subarray(at + 28, at + 28 + file.readUInt32LE(at + 20));
    const flags = file.readUInt32LE(at + 28 + ((frame.length + 3) & ~3) + 4);
    if (frame[23] === 1 && (frame[34] === 8 || frame[34] === 0))
      echoes[frame[34] === 8 ? 2 : 1] += flags === (frame[34] === 8 ? 2 : 1) ? 1 : 0;
  }
  assert.deepEqual(types.slice(0, 2), [0x0a0d0d0a, 1]);
  assert.ok(types.slice(2).every((type) => type === 6));
  assert.deepEqual(echoes, { 1: 3, 2: 3 });
  assert.equal(watch.counts.icmp, 6);
});

test('latency is felt by a ping, and gone with its rule', async () => {
  const rule = await nic.disturb({ latency: 60, direction: 'in' });
  const late = await shell.check('ping -c 3 10.0.2.2', PATIENCE);
  assert.ok(Number(/min\/avg\/max = ([\d.]+)/.exec(late)?.[1]) >= 55, late);
  await rule.end();
  await shell.check('ping -c 1 10.0.2.2', PATIENCE);
  assert.equal(nic.mode, 'direct');
});

test('a second OS instance uses the same card and the same disk, each under what is its own', async () => {
  const page = 'x'.repeat(300_000);
  const server = createServer((_, response) => response.end(page));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://10.0.2.2:${(server.address() as AddressInfo).port}/`;
  const [card, view] = await Promise.all([nic.share(), disk.share({ overlay: true })]);
  const two = await computer.boot({
    image: await testImage('trixie'),
    memory: 160 * MIB,
    network: card,
    disks: [view],
    name: 'two',
  });
  try {
    assert.notEqual(two.address, guest.address);
    assert.deepEqual([nic.uses, disk.uses], [[card], [view]]);
    // Two instances that write the same view would ruin its file system.
    await assert.rejects(
      computer.boot({ image: await testImage('trixie'), memory: 200 * MIB, disks: [view], network: false }),
      { name: 'InterpositionError', code: 'in-use' },
    );
    const second = await two.shell();
    const count = (where: Shell): Promise<string> => where.check(`wget -q -O - ${url} | wc -c`, PATIENCE);
    assert.deepEqual(await Promise.all([count(second), count(shell)]), [`${page.length}\n`, `${page.length}\n`]);
    // To each other, without leaving the monitor; and from outside.
    await second.check(`ping -c 2 ${guest.address ?? ''}`, PATIENCE);
    await shell.check(`ping -c 2 ${two.address ?? ''}`, PATIENCE);
    await second.check('mkdir -p /tmp/www && echo second > /tmp/www/index.html && httpd -p 80 -h /tmp/www');
    const forward = await two.forward({ guestPort: 80 });
    assert.equal(await (await fetch(`http://127.0.0.1:${forward.port}/index.html`)).text(), 'second\n');
    assert.equal(await shell.check(`wget -q -O - http://${two.address ?? ''}/index.html`, PATIENCE), 'second\n');
    // The same disk, and yet not: what either writes the other does not see.
    const WRITE = 'dd if=/dev/zero of=/dev/vda bs=4k count=16 conv=fsync 2>&1';
    const HEAD = 'dd if=/dev/vda bs=4k count=16 iflag=direct 2>/dev/null | sha256sum';
    const original = await second.check(HEAD, PATIENCE);
    await shell.check(WRITE.replace('/dev/zero', '/dev/urandom'), PATIENCE);
    const first = await shell.check(HEAD, PATIENCE);
    assert.notEqual(first, original);
    assert.equal(await second.check(HEAD, PATIENCE), original);
    await second.check(WRITE, PATIENCE);
    assert.notEqual(await second.check(HEAD, PATIENCE), original);
    assert.equal(await shell.check(HEAD, PATIENCE), first);
    await assert.rejects(nic.stepAway(), { name: 'InterpositionError', code: 'in-use' });
    await assert.rejects(disk.stepAway(), { name: 'InterpositionError', code: 'in-use' });
  } finally {
    await two.destroy();
    await Promise.all([card.end(), view.end()]);
    server.close();
  }
  assert.deepEqual([nic.mode, disk.mode], ['direct', 'direct']);
  await shell.check('ping -c 1 10.0.2.2', PATIENCE);
});

test('the disk moves to another file while it is written, and the guest goes on with it alone', async () => {
  const target = await FileDisk.open(join(folder, 'new.img'));
  // 256 KiB at a place that changes, with a barrier each.
  await shell.check(
    `cat > /tmp/writer << 'END'
i=0
while [ ! -e /tmp/stop ]; do
  dd if=/dev/urandom of=/dev/vda bs=256k count=1 seek=$((i % 90)) conv=notrunc,fsync 2>> /tmp/errors || touch /tmp/failed
  i=$((i + 1))
done
echo $i > /tmp/rounds
END
(sh /tmp/writer > /dev/null 2>&1 &)`,
  );
  // With the monitor told to stay: it goes on at the new place through it, then without it.
  await disk.interpose();
  const { bytes, rounds } = await disk.moveTo(target);
  assert.ok(bytes >= SIZE && rounds >= 1);
  assert.equal(disk.mode, 'interposed');
  await shell.check('sleep 0.3');
  await disk.stepAway();
  const frozen = await digestOf(join(folder, 'old.img'), SIZE);
  await shell.check('sleep 0.3; touch /tmp/stop; until [ -e /tmp/rounds ]; do sleep 0.1; done', PATIENCE);
  assert.ok(Number(await shell.check('cat /tmp/rounds')) > 1);
  assert.equal(await shell.check('ls /tmp/failed 2>/dev/null || echo none'), 'none\n');
  const digest = await shell.check(
    `sync; echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/vda bs=64k iflag=direct 2>/dev/null | sha256sum`,
    PATIENCE,
  );
  assert.equal(digest.split(' ')[0], await digestOf(join(folder, 'new.img'), SIZE));
  assert.notEqual(frozen, await digestOf(join(folder, 'new.img'), SIZE));
  assert.equal(await digestOf(join(folder, 'old.img'), SIZE), frozen);
  // The old file is nobody's any more.
  await (await FileDisk.open(join(folder, 'old.img'))).close();
  assert.equal(disk.counters.monitorEntriesWhenDirect, 0);
  await guest.destroy();
  assert.equal(disk.mode, 'unused');
  await computer.devices.remove(disk);
  await target.close();
});
