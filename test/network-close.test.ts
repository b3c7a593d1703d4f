/** Closing the network leaves nothing of it in the process, whatever state its connections are in. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const WALK = fileURLToPath(new URL('testing/network-walk.js', import.meta.url));

test('after 100 random walks nothing is left, and the process ends by itself', async () => {
  const child = spawn(process.execPath, [WALK, '1', '100'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  // A process that never ends is what this is about.
  const timer = setTimeout(() => child.kill('SIGKILL'), 120_000);
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  clearTimeout(timer);
  assert.deepEqual({ said, code, signal }, { said: 'done\n', code: 0, signal: null });
});
