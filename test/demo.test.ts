/** The demonstration as a user starts it: once as it should go, once with a failure in the move, and broken off. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DemoResult } from '../src/faces/cli/demo/result.js';

const MAIN = new URL('../src/faces/cli/main.js', import.meta.url).href;
const START = `const { main } = await import(${JSON.stringify(MAIN)});
process.exitCode = await main(['demo', ...process.argv.slice(1)]);`;
const MIB = 2 ** 20;

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
  const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', START, '--', ...args], { env });
  let stdout = '';
  let stderr = '';
  const waiting: { text: string; found: () => void }[] = [];
  child.stdout?.on('data', (chunk: Buffer) => void (stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
    for (const w of waiting) if (stderr.includes(w.text)) w.found();
  });
  const ended = new Promise<Outcome>((resolve) => {
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
  /** Resolves when `text` has appeared on standard error, or the process has ended. */
  const says = (text: string): Promise<unknown> =>
    Promise.race([ended, new Promise<void>((found) => waiting.push({ text, found }))]);
  return { child, ended, says };
}

const run = (...args: string[]): Promise<Outcome> => start(args).ended;

function only({ stdout, stderr }: Outcome): DemoResult {
  assert.match(stdout, /^\{.*\}\n$/, `one JSON object and nothing else; it said:\n${stderr}`);
  return JSON.parse(stdout) as DemoResult;
}

test('Redis moves to another kernel, and its clients see nothing but a pause', async () => {
  const outcome = await run('--memory', '16', '--json');
  const r = only(outcome);
  assert.equal(r.ok, true, outcome.stderr);
  assert.equal(outcome.status, 0);
  assert.equal(r.error, undefined);
  assert.match(r.kernelBefore, /^6\.12\./);
  assert.match(r.kernelAfter, /^7\./);
  assert.equal(r.pidsKept, true);
  assert.ok(r.pids.length > 0 && r.pids.every((pid) => pid > 1));
  assert.equal(r.sameProcess, true);
  assert.ok(r.keysWritten * 16_000 >= 16 * MIB, `${r.keysWritten} keys`);
  assert.equal(r.keysVerified, r.keysWritten);
  assert.ok(r.commandsSent > 200, `${r.commandsSent} commands`);
  assert.equal(r.commandsAnswered, r.commandsSent);
  assert.equal(r.wrongAnswers, 0);
  assert.equal(r.connectionsBroken, 0);
  // The pause is what a client saw: at least what the move itself says it took.
  assert.ok(r.pauseMs >= r.movePauseMs * 0.5 && r.pauseMs > 0 && r.pauseMs < 30_000, `${r.pauseMs} ms`);
  assert.ok(r.longestGapMs >= r.pauseMs);
  assert.ok(r.usualGapMs.median > 0 && r.usualGapMs.median <= r.usualGapMs.p99);
  assert.deepEqual(Object.keys(r.pauseParts).sort(), ['describe', 'flip', 'freeze', 'rebuild', 'resume']);
  const parts = Object.values(r.pauseParts).reduce((sum, ms) => sum + ms, 0);
  assert.ok(Math.abs(parts - r.movePauseMs) < 1, `the parts make ${parts} of ${r.movePauseMs} ms`);
  assert.ok(r.domainBytes >= 16 * MIB, `${r.domainBytes} bytes`);
  assert.ok(r.framesFlipped * 4096 >= r.domainBytes, `${r.framesFlipped} frames`);
  assert.equal(r.bytesCopied, 0);
  assert.ok(r.kernelBytesCopied < MIB);
  assert.ok(r.bootSeconds.a > 0 && r.bootSeconds.b > 0);
  assert.equal(r.returnedToPool.harts, 1);
  assert.ok(r.returnedToPool.bytes >= 384 * MIB);
  assert.match(outcome.stderr, /b boots beside it, while a serves/);
});

test('when the move fails the domain goes on where it was, with all its data and connections', async () => {
  const outcome = await run('--memory', '16', '--json', '--fail-at', 'finish');
  const r = only(outcome);
  assert.equal(outcome.status, 1);
  assert.equal(r.ok, false);
  assert.equal(r.error?.code, 'move-failed');
  assert.match(r.error.message, /finish.*goes on in a/);
  assert.equal(r.kernelAfter, r.kernelBefore);
  assert.equal(r.pidsKept, true);
  assert.equal(r.sameProcess, true);
  assert.equal(r.keysVerified, r.keysWritten);
  assert.equal(r.commandsAnswered, r.commandsSent);
  assert.equal(r.wrongAnswers, 0);
  assert.equal(r.connectionsBroken, 0);
});

for (const [when, said] of [
  ['a boots', 'a boots'],
  ['Redis is being filled', 'redis-server runs'],
] as const) {
  test(`Ctrl-C while ${when} ends it at once`, async () => {
    const { child, ended, says } = start(['--memory', '16', '--json']);
    await says(said);
    const from = performance.now();
    child.kill('SIGINT');
    const { status, stdout, stderr } = await ended;
    assert.equal(status, 130, stderr);
    assert.equal(stdout, '');
    // A thread, timer or socket that remained would keep the process.
    assert.ok(performance.now() - from < 10_000);
  });
}

test('a port that is taken is named before anything boots', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const outcome = await run('--memory', '16', '--json', '--port', String(port));
  server.close();
  assert.equal(outcome.status, 1);
  assert.equal(only(outcome).error?.code, 'PORT_IN_USE');
  assert.match(outcome.stderr, new RegExp(`port ${port} .*taken`));
  assert.doesNotMatch(outcome.stderr, /boots/);
});

test('where there is no apt and no image, it says what to bring instead', async () => {
  const empty = await mkdtemp(join(tmpdir(), 'understudy-demo-'));
  const outcome = await start(['--json'], { ...process.env, PATH: empty, UNDERSTUDY_CACHE: empty }).ended;
  await rm(empty, { recursive: true });
  assert.equal(outcome.status, 1);
  assert.equal(only(outcome).error?.code, 'unsupported');
  assert.match(outcome.stderr, /no apt.*--kernel/);
});

test('a command line that makes no sense is told so', async () => {
  for (const args of [['--memory', '32'], ['--every', '0'], ['--fail-at', 'bury'], ['--port', 'x'], ['what']]) {
    const { status, stdout, stderr } = await run(...args);
    assert.equal(status, 2, args.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr, /demo --help/);
  }
  const help = await run('--help');
  assert.equal(help.status, 0);
  assert.match(help.stdout, /^Usage: understudy demo/);
});
