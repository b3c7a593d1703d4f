/** The demonstration of partitions, as a user starts it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DemoPartitionResult } from '../src/faces/cli/demo/partition/result.js';
import { start, understudy, understudyCommand } from './testing/command-line.js';

test('whoever probes finds the same beside others as alone; shares are as asked for; a disk is hidden until it is given', async () => {
  const { status, stdout, stderr } = await understudy(['demo', 'partition', '--json', '--seconds', '2']);
  assert.match(stdout, /^\{.*\}\n$/, `one JSON object and nothing else; it said:\n${stderr}`);
  const r = JSON.parse(stdout) as DemoPartitionResult;
  assert.equal(r.error, undefined);
  assert.equal(r.difference, undefined);
  assert.deepEqual([r.ok, status], [true, 0], stdout);
  assert.ok(r.transcriptsEqual && r.hiddenUntilGiven && r.booksBalance, stdout);
  assert.ok(r.rounds >= 5 && r.probes > 20_000 * r.rounds && r.refusedDmas > 100 * r.rounds, stdout);
  assert.deepEqual([r.shares['a']?.asked, r.shares['b']?.asked], [0.75, 0.25]);
  assert.ok(r.wakeMs.p50 > 0 && r.wakeMs.p50 <= r.wakeMs.p99, stdout);
  assert.equal(r.given, 'vda');
  assert.match(r.kernel, /^6\.12\./);
  assert.match(stderr, /the disk is given to b, which finds it: vda/);
});

test('Ctrl-C while the two boot ends it', async () => {
  const running = start(...understudyCommand(['demo', 'partition', '--json', '--seconds', '100']));
  running.child.stdin?.end();
  await running.until(/boot beside the prober/);
  running.child.kill('SIGINT');
  const { status, stdout, stderr } = await running.finished;
  assert.equal(status, 130, stderr);
  assert.equal(stdout, '');
});
