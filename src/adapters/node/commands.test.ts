import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { nodeCommands } from './commands.js';

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

async function gone(pid: number): Promise<boolean> {
  for (let n = 0; n < 100 && alive(pid); n++) await delay(50);
  return !alive(pid);
}

test('status, both outputs, and lines as they come', async () => {
  const lines: string[] = [];
  const result = await nodeCommands.run('sh', ['-c', 'echo one; printf two; echo err >&2; exit 3'], {
    onLine: (line) => lines.push(line),
  });
  assert.deepEqual(result, { status: 3, stdout: 'one\ntwo\n', stderr: 'err\n' });
  assert.deepEqual(lines, ['one', 'two']);
});

test('a command that is not there has status 127', async () => {
  assert.equal((await nodeCommands.run('understudy-no-such-command', [])).status, 127);
});

test('environment and folder', async () => {
  const result = await nodeCommands.run('sh', ['-c', 'echo "$GIVEN $HOME"; pwd'], {
    cwd: '/',
    env: { GIVEN: 'yes', HOME: undefined },
  });
  assert.equal(result.stdout, 'yes \n/\n');
});

test('the signal ends the command and its children', async () => {
  const interruption = new AbortController();
  let child = 0;
  const running = nodeCommands.run('sh', ['-c', 'sleep 60 & echo $!; wait'], {
    signal: interruption.signal,
    onLine: (line) => {
      child = Number(line);
      interruption.abort();
    },
  });
  await assert.rejects(running, { name: 'ImageError', code: 'aborted' });
  assert.ok(await gone(child));
  await assert.rejects(nodeCommands.run('true', [], { signal: interruption.signal }), { code: 'aborted' });
});

test('a stream gives what is written, and throws when the command fails at its end', async () => {
  const read = async (script: string): Promise<number> => {
    let length = 0;
    for await (const piece of nodeCommands.stream('sh', ['-c', script])) length += piece.length;
    return length;
  };
  assert.equal(await read('head -c 300000 /dev/zero'), 300000);
  await assert.rejects(read('echo half; echo why >&2; exit 2'), { code: 'command', message: /why/ });
});

test('who stops reading a stream ends the command', async () => {
  let pid = 0;
  for await (const piece of nodeCommands.stream('sh', ['-c', 'echo $$; exec sleep 60'])) {
    pid = Number(new TextDecoder().decode(piece));
    break;
  }
  assert.ok(await gone(pid));
});

test(
  'a command dies with its owner, even when that is killed',
  { skip: existsSync('/usr/bin/setpriv') ? false : 'no setpriv here' },
  async () => {
    const module = new URL('./commands.js', import.meta.url).href;
    const script = `
    const { nodeCommands } = await import(${JSON.stringify(module)});
    await nodeCommands.run('sh', ['-c', 'echo $$; exec sleep 60'], { onLine: (l) => process.stdout.write(l + '\\n') });`;
    const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(owner.stdout, 'data')) as [Uint8Array];
    const pid = Number(new TextDecoder().decode(line));
    assert.ok(alive(pid));
    owner.kill('SIGKILL');
    assert.ok(await gone(pid));
  },
);
