/** Ten thousand switches of a disk under a verified workload with flushes, and of a network card under Redis and transfers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DemoIoResult } from '../../src/faces/cli/demo/io/result.js';
import { redisUnderSwitches, spread } from '../interposition/redis-switches.js';
import { understudy } from '../testing/command-line.js';

const SWITCHES = 10_000;

test('a disk and a network card change hands 20,000 times under a verified load', { timeout: 1_800_000 }, async (t) => {
  const arguments_ = ['demo', 'io', '--json', '--switches', String(2 * SWITCHES)];
  const { status, stdout, stderr } = await understudy(arguments_);
  const r = JSON.parse(stdout) as DemoIoResult;
  const none = ['lost', 'doubled', 'reordered', 'resets', 'monitorEntriesWhenDirect', 'differing', 'failed'] as const;
  for (const count of none) assert.equal(r[count], 0, `${count}: ${stdout}`);
  assert.deepEqual(r.kernelMessages, []);
  assert.deepEqual([r.ok, status], [true, 0], stderr.slice(-2000));
  assert.ok((r.devices['disk0']?.switches ?? 0) > 0.9 * SWITCHES, stdout);
  assert.ok((r.devices['nic0']?.switches ?? 0) > 0.9 * SWITCHES, stdout);
  t.diagnostic(`wait, ms: ${JSON.stringify(r.waitMs)}; switch, ms: ${JSON.stringify(r.switchMs)}`);
  // 0.2 ms and 1 ms are the aims; a busy machine has other work in between.
  assert.ok(r.switchMs.p50 < 1, stdout);
});

for (const [kernel, harts] of [
  ['trixie', 2],
  ['backports', 1],
] as const) {
  const title = `${SWITCHES / 2} switches of a network card on ${kernel}, ${harts} harts, under Redis and a bulk transfer`;
  test(title, { timeout: 1_200_000 }, async (t) => {
    const { waitMs, switchMs } = await redisUnderSwitches(kernel, harts, SWITCHES / 2);
    t.diagnostic(`wait, ms: ${spread(waitMs)}; switch, ms: ${spread(switchMs)}`);
  });
}
