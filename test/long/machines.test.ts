/** Small machines and large ones: with the least memory that we say a kernel needs it comes up, and all that `run` allows works. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Computer, GuestError, type ImageBoot } from '../../src/index.js';
import { mostMemory } from '../../src/partition/limits.js';
import { understudy } from '../testing/command-line.js';
import { KERNELS, MIB, testImage } from '../testing/images.js';

const MOST_HARTS = 64;

/** What is said to be enough for it. */
async function least(computer: Computer, boot: ImageBoot): Promise<number> {
  try {
    await computer.boot({ ...boot, memory: MIB });
  } catch (error) {
    assert.ok(error instanceof GuestError && error.code === 'too-little-memory' && error.needed !== undefined);
    assert.match(error.message, new RegExp(`at least ${error.needed / MIB} MiB`));
    return error.needed;
  }
  throw new assert.AssertionError({ message: 'one mebibyte was enough' });
}

for (const kernel of KERNELS) {
  describe(`the least memory for ${kernel}`, () => {
    for (const [profile, harts] of [
      ['shell', 1],
      ['shell', 8],
      ['redis', 1],
    ] as const) {
      test(`${profile}, ${harts} harts: it is enough, and so is a little more`, { timeout: 240_000 }, async () => {
        const computer = await Computer.create({ memory: 512 * MIB, harts });
        const image = await testImage(kernel, profile);
        const boot = { image, harts, run: 'nproc; cat /proc/cmdline; echo "up ""and well"', bootArguments: 'panic=-1' };
        const enough = await least(computer, boot);
        for (const memory of [enough, enough + 3 * MIB, enough + 16 * MIB]) {
          const guest = await computer.boot({ ...boot, memory });
          assert.deepEqual(await guest.ended, { kind: 'shutdown' }, guest.console.text.slice(-3000));
          assert.match(guest.console.text, /up and well/, `${memory / MIB} MiB`);
          assert.equal(/cma=0/.test(guest.console.text), kernel === 'backports');
        }
        await computer.close();
      });
    }
  });
}

describe('what --help allows works', () => {
  for (const [harts, memory] of [
    [12, '256'],
    [MOST_HARTS, '1G'],
    [MOST_HARTS, `${mostMemory(MOST_HARTS) / MIB}`],
    [1, `${mostMemory(1) / MIB}`],
  ] as const) {
    test(`${harts} harts, ${memory}`, { timeout: 600_000 }, async () => {
      const command = 'nproc; grep -o "MemTotal: *[0-9]*" /proc/meminfo';
      const args = ['run', '--harts', `${harts}`, '--memory', memory, '--timeout', '500', '--command', command];
      const { status, stdout, stderr } = await understudy(args);
      assert.equal(status, 0, stderr);
      assert.match(stdout, new RegExp(`^${harts}\\nMemTotal: +\\d+\\n$`));
      assert.doesNotMatch(stderr, /[Ww]arning/);
    });
  }

  test('and what it does not allow is said, with what is', async () => {
    for (const [harts, memory] of [
      ['1', '4G'],
      [`${MOST_HARTS}`, '3G'],
    ]) {
      const { status, stderr } = await understudy(['run', '--harts', harts, '--memory', memory]);
      assert.equal(status, 2);
      assert.match(stderr, /--memory .G: at most \d+ MiB with/);
    }
  });
});
