/** The demonstration of devices that change hands, as a user starts it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DemoIoResult } from '../src/faces/cli/demo/io/result.js';
import { start, understudy, understudyCommand } from './testing/command-line.js';

test('the monitor steps in and away under load, and nothing is lost', { timeout: 240_000 }, async () => {
  const { status, stdout, stderr } = await understudy(['demo', 'io', '--json', '--switches', '120', '--seconds', '4']);
  assert.match(stdout, /^\{.*\}\n$/, `one JSON object and nothing else; it said:\n${stderr}`);
  const r = JSON.parse(stdout) as DemoIoResult;
  const none = ['lost', 'doubled', 'reordered', 'resets', 'monitorEntriesWhenDirect', 'differing', 'failed'] as const;
  for (const count of none) assert.equal(r[count], 0, `${count}: ${stdout}`);
  assert.deepEqual(r.kernelMessages, []);
  assert.equal(r.error, undefined);
  assert.deepEqual([r.ok, status], [true, 0], stdout);
  assert.equal(r.switches, 120);
  for (const spread of [r.waitMs, r.switchMs]) {
    assert.ok(spread.p50 > 0 && spread.p50 <= spread.p99 && spread.p99 <= spread.max, stdout);
  }
  assert.match(r.kernel, /^6\.12\./);
  // Three programs, with at least a round of eight writes each between two reports.
  assert.ok(r.requests > 3 * 64, stdout);
  assert.ok(r.transfers > 0 && r.transferredBytes > 2 * 2 ** 20, stdout);
  const made = Object.values(r.devices).map(({ switches }) => switches);
  assert.equal(
    made.reduce((a, b) => a + b, 0),
    120,
  );
  // Nobody stepped in there.
  assert.deepEqual(r.devices['console0'], { switches: 0, monitorEntries: 0 });
  assert.match(stderr, /the monitor steps in at (disk|nic)0: waited/);
  assert.match(stderr, /the monitor steps away from/);
});

for (const [when, said] of [
  ['the guest boots', /boots/],
  ['devices change hands', /steps in at/],
] as const) {
  test(`Ctrl-C while ${when} ends it`, { timeout: 240_000 }, async () => {
    const running = start(...understudyCommand(['demo', 'io', '--json', '--switches', '1000', '--seconds', '100']));
    running.child.stdin?.end();
    await running.until(said);
    running.child.kill('SIGINT');
    const { status, stdout, stderr } = await running.finished;
    assert.equal(status, 130, stderr);
    assert.equal(stdout, '');
  });
}
