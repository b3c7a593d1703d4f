/** `understudy domain`: a program as a domain of a machine in another process, from its start to its end. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { start, understudy, understudyCommand, type Running } from './testing/command-line.js';

const folder = mkdtempSync(join(tmpdir(), 'understudy-domain-'));
const env = { XDG_RUNTIME_DIR: folder };
let machine: Running;

const domain = (...args: string[]) => understudy(['domain', ...args], env);

before(async () => {
  machine = start(...understudyCommand(['domain', 'serve', '--name', 'm', '--memory', '300M']), env);
  await machine.until(/is ready/);
});
after(async () => {
  machine.child.kill('SIGINT');
  const { status } = await machine.finished;
  rmSync(folder, { recursive: true, force: true });
  assert.equal(status, 130);
});

test("a program's output and status are the command's", async () => {
  const wrong = await domain('run', '--', 'nosuch');
  assert.deepEqual([wrong.status, wrong.stdout], [1, '']);
  assert.match(wrong.stderr, /there is no program nosuch in \/usr\/local\/sbin:/);
  const whole = await domain('run', '--env', 'WORD=said', '--', 'sh', '-c', 'echo $WORD; exit 7');
  assert.deepEqual([whole.status, whole.stdout], [7, 'said\n']);
  assert.match(whole.stderr, /^sh(-\d)? runs in a\n$/);
});

test('user, limits and folder are as told', async () => {
  const args = ['--user', 'user', '--limit', 'nofile=77:88', '--workdir', '/usr'];
  const { status, stdout } = await domain(
    'run',
    ...args,
    '--',
    '/usr/bin/sh',
    '-c',
    'id -u; ulimit -n; pwd; echo $HOME',
  );
  assert.deepEqual([status, stdout], [0, '1000\n77\n/usr\n/home/user\n']);
});

test('a domain is listed, checked, moved to another kernel and back, heard, and stopped', async () => {
  const script = 'trap "echo bye; exit 5" TERM; while :; do echo turn; sleep 0.2 & wait $!; done';
  const started = await domain('run', '--name', 'turns', '--detach', '--', '/usr/bin/sh', '-c', script);
  assert.deepEqual([started.status, started.stdout], [0, 'turns runs in a\n'], started.stderr);
  assert.match((await domain('run', '--name', 'turns', '--', '/usr/bin/true')).stderr, /runs already/);
  assert.match((await domain('ps')).stdout, /^a: Linux 6\.12[^]*\nturns +a .*sh \(2\)/);
  assert.deepEqual(await domain('check', 'turns').then((r) => [r.status, r.stdout]), [0, 'turns could move\n']);
  const there = await domain('move', 'turns');
  assert.match(there.stdout, /^turns has moved from a to b, Linux 7\.2.* it stood still for \d+ ms$/m, there.stderr);
  const back = JSON.parse(
    (await domain('move', 'turns', '--to', 'trixie', '--json')).stdout.split('\n').at(-2) ?? '',
  ) as {
    to: string;
  };
  assert.equal(back.to, 'a');
  const logs = (await domain('logs', 'turns')).stdout.split('\n').length;
  assert.ok(logs > 2, `${logs} lines`);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  assert.ok((await domain('logs', 'turns')).stdout.split('\n').length > logs, 'it goes on');
  const stopped = await domain('stop', 'turns');
  assert.equal(stopped.stdout, 'turns ended with status 5\n');
  assert.match((await domain('logs', 'turns')).stdout, /bye\n$/);
  assert.match((await domain('ps')).stdout, /turns .* ended with status 5/);
});

test('what is in the way of a move is told, all of it, and since when', async () => {
  const script = 'exec 7< /dev/mem; exec 8< /dev/kmsg; exec sleep 1000';
  await domain('run', '--name', 'stuck', '--detach', '--', '/usr/bin/sh', '-c', script);
  const check = await domain('check', 'stuck', '--json');
  assert.equal(check.status, 3);
  type Said = { movable: boolean; obstacles: { resource: string; since: string }[] };
  const first = JSON.parse(check.stdout) as Said;
  assert.deepEqual(first.obstacles.map((o) => o.resource).sort(), ['the device /dev/kmsg', 'the device /dev/mem']);
  const again = JSON.parse((await domain('check', 'stuck', '--json')).stdout) as Said;
  assert.deepEqual(again.obstacles, first.obstacles);
  const refused = await domain('move', 'stuck');
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /the device \/dev\//);
  assert.equal((await domain('stop', 'stuck', '--timeout', '0')).stdout, 'stuck ended by signal 9\n');
});

test('what has no meaning is said, with status 2 or 1', async () => {
  for (const args of [[], ['fly'], ['run'], ['check'], ['ps', 'x'], ['stop', 'x', '--follow'], ['serve']]) {
    assert.equal((await domain(...args)).status, 2, args.join(' '));
  }
  assert.match((await domain('stop', 'nobody')).stderr, /there is no domain nobody; there are/);
  assert.match((await domain('run', '--tree', 'none', '--', '/bin/true')).stderr, /started without the tree none/);
  assert.match((await domain('run', '--user', 'nemo', '--', '/bin/true')).stderr, /there is no user nemo/);
  assert.match((await domain('run', '--limit', 'x=1', '--', '/bin/true')).stderr, /is no limit/);
});
