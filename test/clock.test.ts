/** What time it is in a guest: the host's, from boot on, and after it has stood still. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Computer, type Instance, type Shell } from '../src/index.js';
import { compile } from './testing/compile.js';
import { KERNELS, MIB, testImage } from './testing/images.js';

const programs = compile('test/clock', ['alarm']);
/** Seconds that a busy host may be late with an answer. */
const LATE = 5;

for (const kernel of KERNELS) {
  describe(`the clock of ${kernel}`, () => {
    let computer: Computer;
    let guest: Instance;
    let shell: Shell;
    before(async () => {
      computer = await Computer.create({ memory: 256 * MIB, harts: 1, network: false });
      guest = await computer.boot({
        image: await testImage(kernel),
        files: { '/alarm': { data: programs['alarm'], mode: 0o755 } },
      });
      shell = await guest.shell();
    });
    after(() => computer.close());

    /** The guest's date lies between the host's before and after it was asked for. */
    const isRight = async (): Promise<void> => {
      const earliest = Math.floor(Date.now() / 1000) - 1;
      const date = Number(await shell.check('date +%s'));
      const latest = Date.now() / 1000 + 1;
      assert.ok(date >= earliest && date <= latest, `${date} is not from ${earliest} to ${latest}`);
    };

    test('is right at boot', isRight);

    test('is right after the guest has stood still', async () => {
      await guest.pause();
      await delay(4000);
      guest.resume();
      await isRight();
    });

    test('is read from a real-time clock that can be set, and goes on', async () => {
      assert.equal(await shell.check('cat /sys/class/rtc/rtc0/hctosys'), '1\n');
      await shell.check('date -s "2040-02-29 12:00:00" && hwclock -w -u');
      const since = Number(await shell.check('cat /sys/class/rtc/rtc0/since_epoch')) - Date.UTC(2040, 1, 29, 12) / 1000;
      assert.ok(since >= 0 && since < LATE, `${since} s later`);
      await shell.check('date -s "2000-01-01 00:00:00" && hwclock -s -u');
      assert.match(await shell.check('date -u'), /2040/);
    });

    test('has an alarm that interrupts', async () => {
      const [, late] = /^alarm, (\d) s late$/m.exec(await shell.check('/alarm')) ?? [];
      assert.ok(Number(late) < LATE, `${late} s late`);
    });
  });
}
