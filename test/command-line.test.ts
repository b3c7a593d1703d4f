/** The kernel's command line: all of it arrives, exactly as it was given, or the boot is refused. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Computer } from '../src/index.js';
import { understudy } from './testing/command-line.js';
import { KERNELS, MIB, testImage } from './testing/images.js';

/** As COMMAND_LINE_SIZE of both kernels says, without the NUL. */
const LONGEST = 1023;
const OURS = 'console=hvc0 cryptomgr.notests=1 initcall_blacklist=jent_mod_init quiet panic=-1';

for (const kernel of KERNELS) {
  describe(kernel, () => {
    test(
      'the longest that a kernel reads arrives whole, and one byte more is refused',
      { timeout: 120_000 },
      async () => {
        const computer = await Computer.create({ memory: 256 * MIB, harts: 1, network: false });
        const common = { image: await testImage(kernel), run: 'cat /proc/cmdline' };
        const longest = `${OURS} `.padEnd(LONGEST - 3, 'x') + 'end';
        await assert.rejects(computer.boot({ ...common, commandLine: `${longest}!` }), { code: 'command-line' });
        const guest = await computer.boot({ ...common, commandLine: longest });
        assert.deepEqual(await guest.ended, { kind: 'shutdown' });
        assert.ok(guest.console.text.split('\r\n').includes(longest), guest.console.text.slice(-2000));
        await computer.close();
      },
    );
  });
}

test('run --cmdline is exactly what the kernel has; --append stands behind ours', { timeout: 120_000 }, async () => {
  const run = ['run', '--memory', '256', '--no-network', '--timeout', '100', '--command', 'cat /proc/cmdline'];
  const exact = await understudy([...run, '--cmdline', OURS]);
  assert.deepEqual([exact.status, exact.stdout], [0, `${OURS}\n`]);
  const appended = await understudy([...run, '--append', 'one two']);
  assert.match(appended.stdout, /^console=hvc0 .* one two\n$/);
  const tooLong = await understudy([...run, '--append', 'x'.repeat(1000)]);
  assert.equal(tooLong.status, 1);
  assert.match(tooLong.stderr, /command line has \d+ bytes, of which a kernel reads 1023/);
});
