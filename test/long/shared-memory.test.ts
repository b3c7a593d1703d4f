/** A computer that has less memory than its guests could use together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Computer } from '../../src/index.js';
import { KERNELS, MIB, testImage } from '../testing/images.js';

test(
  'four guests of 512 MiB that use 100 fit into 1 GiB, and work at the same time',
  { timeout: 600_000 },
  async () => {
    const computer = await Computer.create({ memory: 1024 * MIB, harts: 4, network: false });
    try {
      const images = await Promise.all(KERNELS.map((kernel) => testImage(kernel)));
      const guests = [];
      for (let i = 0; i < 4; i++) {
        guests.push(await computer.boot({ image: images[i % 2], memory: 512 * MIB, guaranteed: 160 * MIB }));
      }
      const shells = await Promise.all(guests.map((guest) => guest.shell()));
      // Each in turn uses far more than its share of the computer, and frees it again.
      for (let round = 0; round < 2; round++) {
        for (const [i, shell] of shells.entries()) {
          const sum = await shell.check(
            'head -c 200000000 /dev/urandom > /tmp/much; cksum < /tmp/much; cksum < /tmp/much',
          );
          const [first, second] = sum.trim().split('\n');
          assert.equal(first, second);
          await shell.check('rm /tmp/much');
          for (let n = 0; n < 600 && (guests[i].memory?.resident ?? 0) > 220 * MIB; n++) await wait(50);
          assert.ok((guests[i].memory?.resident ?? Infinity) <= 220 * MIB, `guest ${i}`);
        }
      }
      // And all at the same time what they are guaranteed, with something in it that must stay.
      const sums = await Promise.all(
        shells.map((shell) => shell.check('head -c 30000000 /dev/urandom > /tmp/kept; cksum < /tmp/kept')),
      );
      assert.deepEqual(await Promise.all(shells.map((shell) => shell.check('cksum < /tmp/kept'))), sums);
      for (const shell of shells) assert.equal(await shell.check('dmesg | grep -ciE "oops|bug:" || true'), '0\n');
    } finally {
      await computer.close();
    }
  },
);

test(
  'a guest that fills its cache is asked for it when another needs memory, and has it again later',
  { timeout: 600_000 },
  async () => {
    const computer = await Computer.create({ memory: 640 * MIB, harts: 2, network: false });
    try {
      const image = await testImage('trixie');
      const [first, second] = [
        await computer.boot({ image, memory: 480 * MIB, guaranteed: 128 * MIB }),
        await computer.boot({ image, memory: 480 * MIB, guaranteed: 128 * MIB }),
      ];
      const [a, b] = [await first.shell(), await second.shell()];
      // Files of its cache that it can drop: they lie on a disk of its own memory that is not mounted any more than once.
      await a.check('head -c 300000000 /dev/zero > /tmp/free; rm /tmp/free; head -c 200000000 /dev/zero > /tmp/held');
      let lent = 0;
      const watch = setInterval(() => (lent = Math.max(lent, first.memory?.lent ?? 0)), 20);
      await b.check('head -c 280000000 /dev/zero > /tmp/much; rm /tmp/much');
      clearInterval(watch);
      assert.ok(lent > 0, 'it was asked');
      await a.check('rm -f /tmp/held');
      for (let n = 0; n < 600 && ((first.memory?.lent ?? 1) > 0 || (second.memory?.lent ?? 1) > 0); n++) await wait(50);
      assert.deepEqual([first.memory?.lent, second.memory?.lent], [0, 0]);
    } finally {
      await computer.close();
    }
  },
);
