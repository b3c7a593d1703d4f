/** Shells where what starts them is killed, or was never there. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Carrier, Computer, SystemError, type Instance } from '../src/index.js';
import { KERNELS, MIB, testImage } from './testing/images.js';

let computer: Computer;
beforeEach(async () => {
  computer = await Computer.create({ memory: 288 * MIB, harts: 1, network: false });
});
afterEach(() => computer.close());

/** PID 1 that outlives whatever is killed, and does `then` in the end. */
const init = (then: string): { readonly data: string; readonly mode: number } => ({
  data: `#!/bin/sh
export PATH=/usr/sbin:/usr/bin HOME=/root TERM=linux
mount -a
mkdir /dev/pts /dev/shm
mount -a -T /etc/fstab.dev
cd /root
setsid cttyhack sh -l
${then}
`,
  mode: 0o755,
});
const boot = async (kernel: (typeof KERNELS)[number], then: string): Promise<Instance> =>
  computer.boot({ image: await testImage(kernel), files: { '/init': init(then) }, memory: 256 * MIB });

/** Of another process than the shell, so that the shell is killed too. */
const KILL_ALL = `sh -c 'kill -9 -1; kill -9 $$'; true`;

for (const kernel of KERNELS) {
  describe(kernel, () => {
    test('a command that kills everything: the next one finds another shell', { timeout: 240_000 }, async () => {
      const guest = await boot(kernel, 'while :; do setsid cttyhack sh -l; done');
      const [first, second] = [await guest.shell(), await guest.shell()];
      for (let round = 0; round < 2; round++) {
        assert.equal((await first.run(KILL_ALL)).status, 137);
        assert.equal(await first.check('echo again'), 'again\n');
        assert.equal(await second.check('echo and beside it'), 'and beside it\n');
      }
      // One that ends between two commands.
      await first.run('(sleep 1; kill -9 $$) > /dev/null &');
      await delay(3000);
      assert.equal(await first.check('echo after it'), 'after it\n');
      // The shell itself is spared: it goes on, until it is to be ended.
      await first.run('kept=yes; kill -9 -1');
      assert.equal(await first.check('echo $kept'), 'yes\n');
      await assert.rejects(first.run('sleep 1000', { timeout: 2000 }), { code: 'timeout' });
      assert.equal(await first.check('echo "${kept-no}"'), 'no\n');
      assert.equal((await first.run('exit 3')).status, 3);
      await first.run('kill -9 -1');
      const third = await guest.shell();
      assert.equal(await third.check('echo new'), 'new\n');
      for (const shell of [first, second, third]) await shell.close();
      assert.equal(await (await guest.shell()).check('echo last'), 'last\n');
      await guest.destroy();
    });
  });
}

test(
  'where nothing starts it again, that is said soon, and not when the time is over',
  { timeout: 240_000 },
  async () => {
    const guest = await boot('trixie', 'while :; do sleep 1; done');
    const shell = await guest.shell();
    const isGone = (error: unknown): boolean =>
      error instanceof SystemError && error.code === 'no-shell' && /was killed/.test(error.message);
    const begin = performance.now();
    await assert.rejects(shell.run(KILL_ALL, { timeout: 600_000 }), isGone);
    await assert.rejects(shell.run('echo', { timeout: 600_000 }), isGone);
    await assert.rejects(guest.shell({ timeout: 600_000 }), isGone);
    assert.ok(performance.now() - begin < 120_000);
    await shell.close();
    await guest.destroy();
  },
);

test('a guest that powers off when its shell is killed has ended', { timeout: 240_000 }, async () => {
  const guest = await boot('trixie', 'sleep 1; poweroff -f');
  const shell = await guest.shell();
  await assert.rejects(shell.run(KILL_ALL), { code: 'ended' });
  await assert.rejects(shell.run('echo'), { code: 'ended' });
});

test('an instance without a shell on its console says so at once', { timeout: 240_000 }, async () => {
  const isWithout = { name: 'SystemError', code: 'no-shell', message: /in place of a shell/ };
  const carrier = await Carrier.boot(computer, { name: 'a', image: await testImage('trixie'), memory: 256 * MIB });
  const begin = performance.now();
  await assert.rejects(carrier.instance.shell({ timeout: 600_000 }), isWithout);
  assert.ok(performance.now() - begin < 10_000);
  await carrier.instance.destroy();

  // A script may start one all the same.
  const guest = await computer.boot({ image: await testImage('trixie'), run: 'exec setsid cttyhack sh -l' });
  await assert.rejects(guest.shell({ timeout: 600_000 }), isWithout);
  await guest.console.waitFor(/[#$] /);
  assert.equal(await (await guest.shell()).check('echo there'), 'there\n');
  await guest.destroy();
});
