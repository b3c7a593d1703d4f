/** Memory of a running Debian: more and less of it by its balloon, and what lies free in it is the computer's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Computer, type Instance, type Shell } from '../src/index.js';
import { honest } from './hostile/bare-guest.js';
import { KERNELS, MIB, testImage } from './testing/images.js';

const memTotal = async (shell: Shell): Promise<number> => {
  const [, kib] = /MemTotal:\s+(\d+) kB/.exec(await shell.check('cat /proc/meminfo')) ?? [];
  return (Number(kib) * 1024) / MIB;
};

const resident = (guest: Instance): number => (guest.memory?.resident ?? NaN) / MIB;

/** Waits until so little is resident; what it was last. */
async function downTo(guest: Instance, mib: number): Promise<number> {
  for (let i = 0; i < 300 && resident(guest) > mib; i++) await wait(50);
  return resident(guest);
}

for (const kernel of KERNELS) {
  test(`${kernel}: memory by setMemory both ways, as its own kernel sees it; what it frees comes back`, async () => {
    const computer = await Computer.create({ memory: 560 * MIB, harts: 2, network: false });
    try {
      const image = await testImage(kernel);
      const options = { image, memory: 224 * MIB, maxMemory: 512 * MIB, harts: 2 };
      const guest = await computer.boot(options);
      const { freeMemory } = computer;
      const shell = await guest.shell();
      // It is the driver that does the first of it.
      await guest.setMemory(224 * MIB);
      const least = await memTotal(shell);
      assert.ok(least < 224, `${least} MiB`);
      // The monitor in its balloon's place changes nothing of that.
      const balloon = guest.devices.find(({ kind: is }) => is === 'balloon') ?? assert.fail('there is no balloon');
      await balloon.interpose();
      await guest.setMemory(480 * MIB);
      assert.ok(Math.abs((await memTotal(shell)) - (least + 256)) < 2, `${await memTotal(shell)} MiB`);
      assert.ok(freeMemory - computer.freeMemory >= 255 * MIB, 'what it is given is promised to it');

      // Files in memory, and then none.
      const before = resident(guest);
      await shell.check('dd if=/dev/zero of=/tmp/much bs=1M count=160 2> /dev/null');
      const full = resident(guest);
      assert.ok(full - before > 120, `${before} MiB, then ${full}`);
      await shell.check('rm /tmp/much');
      const after = await downTo(guest, full - 130);
      assert.ok(after <= full - 130, `${full} MiB, then ${after}`);
      await balloon.stepAway();

      const said = guest.memory?.guest;
      assert.ok(said?.total !== undefined && said.free !== undefined && said.available !== undefined);
      await guest.setMemory(192 * MIB);
      assert.ok(Math.abs((await memTotal(shell)) - (least - 32)) < 2, `${await memTotal(shell)} MiB`);
      assert.ok(resident(guest) <= 192);
      assert.ok(computer.freeMemory - freeMemory >= 31 * MIB, 'and what is taken is the computer’s');
      // It goes on working, in memory that it had before.
      await shell.check('dd if=/dev/zero of=/tmp/some bs=1M count=32 2> /dev/null; rm /tmp/some');
      assert.equal(await shell.check('dmesg | grep -ciE "oops|bug:|out of memory" || true'), '0\n');
    } finally {
      await computer.close();
    }
  });
}

test('a guest without a driver of its balloon: how far it came is told; an end ends the wait', async () => {
  const computer = await Computer.create({ memory: 80 * MIB, harts: 1, network: false });
  try {
    const options = { kernel: honest(), console: 'ttyS0', memory: 32 * MIB } as const;
    const fixed = await computer.boot(options);
    assert.equal(fixed.memory, undefined);
    assert.deepEqual(
      fixed.devices.map(({ kind }) => kind),
      ['console', 'entropy'],
      'it has what it always had',
    );
    await assert.rejects(fixed.setMemory(16 * MIB), { code: 'invalid', message: /maxMemory/ });
    await fixed.destroy();
    await assert.rejects(computer.boot({ ...options, maxMemory: 31 * MIB }), { code: 'invalid' });
    const guest = await computer.boot({ ...options, maxMemory: 64 * MIB });
    assert.deepEqual(
      guest.devices.map(({ kind }) => kind),
      ['console', 'entropy', 'balloon'],
    );
    for (const bytes of [0, -4096, 4097, 65 * MIB, NaN])
      await assert.rejects(guest.setMemory(bytes), { code: 'invalid' });
    await assert.rejects(guest.setMemory(16 * MIB, { timeout: 50 }), {
      code: 'memory-not-followed',
      reached: 64 * MIB,
      message: /virtio_balloon/,
    });
    await guest.pause();
    await assert.rejects(guest.setMemory(48 * MIB), { code: 'paused' });
    guest.resume();
    const waiting = assert.rejects(guest.setMemory(48 * MIB), { code: 'ended' });
    await guest.destroy();
    await waiting;
    await assert.rejects(guest.setMemory(32 * MIB), { code: 'ended' });
  } finally {
    await computer.close();
  }
});
