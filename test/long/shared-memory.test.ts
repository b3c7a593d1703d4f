/** A computer that has less memory than its guests could use together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Computer, type BlockBackend, type Instance } from '../../src/index.js';
import { KERNELS, MIB, testImage } from '../testing/images.js';

const options = { timeout: 300_000 };
const TROUBLE = 'dmesg | grep -ciE "oops|bug:|out of memory" || true';

/** Waits until it is so. */
async function until(what: string, isSo: () => boolean): Promise<void> {
  for (let i = 0; !isSo(); i++) {
    assert.ok(i < 1200, what);
    await wait(50);
  }
}

const resident = ({ memory }: Instance): number => (memory?.resident ?? NaN) / MIB;
const lent = ({ memory }: Instance): number => (memory?.lent ?? NaN) / MIB;

test('four guests of 512 MiB that use 100 fit into 1 GiB, and work at the same time', options, async () => {
  const computer = await Computer.create({ memory: 1024 * MIB, harts: 4, network: false });
  try {
    const images = await Promise.all(KERNELS.map((kernel) => testImage(kernel)));
    const guests: Instance[] = [];
    for (let i = 0; i < 4; i++) {
      guests.push(await computer.boot({ image: images[i % 2], memory: 512 * MIB, guaranteed: 160 * MIB }));
    }
    const shells = await Promise.all(guests.map((guest) => guest.shell()));
    // Each in turn uses far more than its share of the computer, and frees it again.
    for (const [i, shell] of shells.entries()) {
      const before = resident(guests[i]);
      await shell.check('dd if=/dev/zero of=/tmp/much bs=1M count=120 2> /dev/null');
      assert.ok(resident(guests[i]) > before + 100, `guest ${i}: ${before} MiB, then ${resident(guests[i])}`);
      await shell.check('rm /tmp/much');
      await until(`guest ${i} gives back what it frees`, () => resident(guests[i]) < before + 50);
    }
    // And all at the same time what is to stay.
    const keep =
      'head -c 10000000 /dev/urandom > /tmp/kept; for i in 1 2; do cat /tmp/kept; done > /tmp/twice; md5sum < /tmp/twice';
    const sums = await Promise.all(shells.map((shell) => shell.check(keep)));
    assert.equal(new Set(sums).size, 4);
    assert.deepEqual(await Promise.all(shells.map((shell) => shell.check('md5sum < /tmp/twice'))), sums);
    for (const shell of shells) assert.equal(await shell.check(TROUBLE), '0\n');
    const all = guests.reduce((sum, guest) => sum + resident(guest), 0);
    assert.ok(all < 800, `${all} MiB`);
  } finally {
    await computer.close();
  }
});

/** A disk of which each sector has its own contents. */
const numbered: BlockBackend = {
  sectors: 240 * 2048,
  readOnly: true,
  id: 'numbered',
  read: (sector, into) => {
    for (let at = 0; at < into.length; at += 512) into.fill((sector + at / 512) & 0xff, at, at + 512);
    return Promise.resolve();
  },
  write: () => Promise.reject(new Error('read-only')),
  flush: () => Promise.resolve(),
};

test(
  'a guest gives what it keeps of files when another needs memory, and may have it again later',
  options,
  async () => {
    const computer = await Computer.create({ memory: 640 * MIB, harts: 2, network: false });
    try {
      const image = await testImage('trixie');
      const boot = { image, memory: 512 * MIB, guaranteed: 96 * MIB };
      const first = await computer.boot({ ...boot, disks: [numbered] });
      const second = await computer.boot(boot);
      const [a, b] = [await first.shell(), await second.shell()];
      // While somebody has the disk open its contents stay in memory.
      await a.check('exec 3< /dev/vda; dd if=/dev/vda of=/dev/null bs=1M 2> /dev/null');
      const full = resident(first);
      assert.ok(full > 300, `${full} MiB`);
      const seen: number[] = [];
      const watch = setInterval(() => seen.push(lent(first)), 20);
      try {
        await b.check(
          'mkdir /mnt; mount -t tmpfs -o size=400m none /mnt; dd if=/dev/zero of=/mnt/much bs=1M count=320 2>&1',
        );
      } finally {
        clearInterval(watch);
      }
      assert.ok(Math.max(...seen) > 100, `${Math.max(...seen)} MiB were lent`);
      assert.ok(resident(first) < full - 50, `${full} MiB, then ${resident(first)}`);
      assert.ok(resident(second) > 380);
      // Both work, and have what they had.
      assert.equal(
        await a.check('dd if=/dev/vda bs=1M count=8 2> /dev/null | md5sum'),
        await a.check('head -c 8388608 /dev/vda | md5sum'),
      );
      await b.check('rm /mnt/much');
      await until('nobody lends any more', () => lent(first) === 0 && lent(second) === 0);
      for (const shell of [a, b]) assert.equal(await shell.check(TROUBLE), '0\n');
    } finally {
      await computer.close();
    }
  },
);
