/**
 * The second signal ends `understudy run` at once, whatever the first one waits for; and a terminal that goes away ends
 * it too. What it waits for here is a host that does not come back from giving a disk's space back.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { inTerminal, PROMPT, start, understudyCommand } from './testing/command-line.js';
import { testImage } from './testing/images.js';

let folder = '';
/** The path with a `fallocate` that hangs for as long as we live. */
let env: NodeJS.ProcessEnv = {};
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'understudy-signals-'));
  await testImage('trixie');
  const fallocate = join(folder, 'fallocate');
  await writeFile(fallocate, `#!/bin/sh\necho > ${folder}/hangs\nexec cat > /dev/null\n`);
  await chmod(fallocate, 0o755);
  env = { PATH: `${folder}:${process.env['PATH']}` };
});
after(() => rm(folder, { recursive: true }));

async function newDisk(name: string): Promise<string> {
  await rm(join(folder, 'hangs'), { force: true });
  const disk = join(folder, name);
  await writeFile(disk, Buffer.alloc(1 << 20, 'disk'));
  return disk;
}

async function hangs(): Promise<void> {
  for (let turn = 0; !existsSync(join(folder, 'hangs')); turn++) {
    assert.ok(turn < 1200, 'the disk is asked to give space back');
    await delay(100);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function isGone(pid: number): Promise<void> {
  for (let turn = 0; isAlive(pid); turn++) {
    assert.ok(turn < 300, `process ${pid} is gone`);
    await delay(100);
  }
}

const RUN = ['run', '--memory', '256', '--no-network'];
const LONGER_THAN_THE_SAME = 1000;

describe('a second signal, while the first waits for a host that hangs', () => {
  for (const [first, second] of [
    ['SIGINT', 'SIGINT'],
    ['SIGTERM', 'SIGTERM'],
    ['SIGHUP', 'SIGTERM'],
    ['SIGINT', 'SIGHUP'],
  ] as const) {
    test(`${first}, ${second}: ended at once, by the signal`, { timeout: 240_000 }, async () => {
      const disk = await newDisk(`${first}-${second}.img`);
      const script = 'blkdiscard /dev/vda';
      const { child, finished } = start(...understudyCommand([...RUN, '--disk', disk, '--command', script]), env);
      const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
      await hangs();
      child.kill(first);
      await delay(LONGER_THAN_THE_SAME);
      assert.deepEqual([child.exitCode, child.signalCode], [null, null], 'the first one waits');
      child.kill(second);
      assert.deepEqual(await exit, [null, second]);
      const { stderr } = await finished;
      assert.doesNotMatch(stderr, /Error|at file:/);
    });
  }

  test('in a terminal, which is as it was afterwards', { timeout: 240_000 }, async () => {
    const disk = await newDisk('terminal.img');
    const { child, until, output, finished } = inTerminal([...RUN, '--disk', disk], folder, { env, told: true });
    await until(PROMPT);
    const pid = Number(/pid=(\d+)/.exec(output())?.[1]);
    child.stdin?.write('blkdiscard /dev/vda\r');
    await hangs();
    process.kill(pid, 'SIGINT');
    await delay(LONGER_THAN_THE_SAME);
    assert.ok(isAlive(pid), 'the first one waits');
    process.kill(pid, 'SIGINT');
    await until(/status=130\r?\n/);
    await until(/terminal-restored/);
    await isGone(pid);
    child.stdin?.end();
    await finished;
  });
});

describe('a terminal that goes away', () => {
  test('ends the guest and us', { timeout: 240_000 }, async () => {
    const { child, until, output, finished } = inTerminal(RUN, folder, { told: true });
    await until(PROMPT);
    const pid = Number(/pid=(\d+)/.exec(output())?.[1]);
    // The terminal's other end goes with the process that has it.
    child.kill('SIGKILL');
    await finished.catch(() => undefined);
    await isGone(pid);
  });

  test('is a SIGHUP, which ends a command gently with 129', { timeout: 240_000 }, async () => {
    const { child, until, finished } = start(...understudyCommand([...RUN, '--command', 'echo begun; sleep 1000']));
    await until(/begun/);
    child.kill('SIGHUP');
    const { status, stderr } = await finished;
    assert.equal(status, 129);
    assert.doesNotMatch(stderr, /Error|at file:/);
  });
});
