/** What a computer keeps of the host's memory: nothing of what it has booted, and little of what nobody reads. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Computer, type Instance } from '../src/index.js';
import { BareGuest, fill, forever, FREE, SBI, enable, honest, sbi, start } from './hostile/bare-guest.js';
import { MIB } from './testing/images.js';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'understudy-memory-'));
});
after(() => rm(folder, { recursive: true }));

test('what was booted does not stay in the host’s memory', async () => {
  const kernel = join(folder, 'kernel');
  const initramfs = join(folder, 'initramfs');
  await writeFile(kernel, honest());
  await writeFile(initramfs, new Uint8Array(48 * MIB));
  const code = `
    import { Computer } from ${JSON.stringify(new URL('../src/index.js', import.meta.url).href)};
    const MIB = 2 ** 20;
    const computer = await Computer.create({ memory: 400 * MIB, harts: 2 });
    const settle = async () => {
      for (let i = 0; i < 3; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 50)); }
      return process.memoryUsage().arrayBuffers;
    };
    const before = await settle();
    const options = { console: 'ttyS0', network: false, memory: 176 * MIB, initramfs: process.argv[2] };
    for (let i = 0; i < 2; i++) {
      const guest = await computer.boot({ ...options, kernel: process.argv[1] });
      await guest.console.waitFor('...');
      guest.console.listen(() => undefined);
    }
    console.log((await settle()) - before);
    await computer.close();`;
  const arguments_ = ['--expose-gc', '--input-type=module', '-e', code, kernel, initramfs];
  const { stdout } = await promisify(execFile)(process.execPath, arguments_);
  assert.ok(Number(stdout) < 4 * MIB, `${(Number(stdout) / MIB).toFixed()} MiB are kept of 98`);
});

/** Guests that write for ever, each to another of the ways there are. */
function writers(): Record<string, Uint8Array> {
  const serial = forever('wait: lbu t1, 5(s0); andi t1, t1, 0x20; beqz t1, wait; sb s1, (s0)');
  const console = new BareGuest();
  const queue = console.queue(1, 1, 32, [{ address: FREE, length: 1024 }]);
  return {
    'the SBI': new BareGuest().image(forever(sbi(SBI.console, 0, 1024, FREE, 0))),
    'the SBI, byte by byte': new BareGuest().image(forever(sbi(SBI.console, 2, 65))),
    'the serial port': new BareGuest().image(`li s0, 0x10000000; li s1, 65\n${serial}`),
    'the console': console.image(`${enable(1)}\n${start(1, [queue])}\n${forever(fill(queue))}`),
  };
}

/** Boots a writer and an honest guest; the rest of the memory is the computer's. */
async function withWriter(
  kernel: Uint8Array,
  use: (writer: Instance, other: Instance) => Promise<void>,
): Promise<void> {
  const computer = await Computer.create({ memory: 80 * MIB, harts: 2 });
  try {
    const other = await computer.boot({ kernel: honest(), console: 'ttyS0', memory: 32 * MIB, network: false });
    await use(await computer.boot({ kernel, console: 'ttyS0', memory: 32 * MIB, network: false }), other);
  } finally {
    await computer.close();
  }
}

for (const [way, kernel] of Object.entries(writers())) {
  test(`a guest that writes to ${way} waits while its reader has no room, and goes on when it has`, () =>
    withWriter(kernel, async (writer, other) => {
      let got = 0;
      let room: Promise<void> | undefined;
      let makeRoom: () => void = () => undefined;
      writer.console.listen((bytes) => {
        got += bytes.length;
        return room;
      });
      const until = async (enough: number, what: string): Promise<void> => {
        for (const end = performance.now() + 20_000; got < enough; await wait(5))
          assert.ok(performance.now() < end, what);
      };
      await until(20_000, 'it writes');

      for (let round = 0; round < 2; round++) {
        room = new Promise((resolve) => (makeRoom = resolve));
        const before = got;
        await wait(300);
        assert.ok(got - before < 300 * 1024, `${got - before} bytes came to a reader without room`);
        const still = got;
        await other.console.waitFor('....');
        await wait(200);
        assert.equal(got, still, 'then none');
        // What waits can be paused as anybody can.
        await writer.pause();
        writer.resume();
        room = undefined;
        makeRoom();
        await until(still + 20_000, 'it goes on');
      }
      // A reader that is there no more, too, and a guest that waits is switched off at once.
      const stuck = new Promise<void>(() => undefined);
      room = stuck;
      await wait(100);
      const start = performance.now();
      await writer.destroy();
      assert.ok(performance.now() - start < 2000);
    }));
}

test('a guest whose reader has gone is let go', () =>
  withWriter(Object.values(writers())[0], async (writer) => {
    let got = 0;
    const stop = writer.console.listen(() => new Promise(() => undefined));
    await wait(200);
    writer.console.listen((bytes) => void (got += bytes.length));
    await wait(100);
    got = 0;
    await wait(100);
    assert.equal(got, 0, 'one that has no room holds it for all');
    stop();
    for (const end = performance.now() + 10_000; got < 10_000; await wait(5)) assert.ok(performance.now() < end);
  }));

/** Resident memory of a process in bytes. */
function resident(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

test('understudy run, when nobody reads what it prints', { skip: process.platform !== 'linux' }, async () => {
  const kernel = join(folder, 'writer');
  await writeFile(kernel, writers()['the console']);
  const main = new URL('../../bin/understudy', import.meta.url).pathname;
  const args = ['run', '--kernel', kernel, '--memory', '32M', '--no-network', '--console', 'hvc0'];
  const child = spawn(process.execPath, [main, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  try {
    let got = 0;
    child.stdout.on('data', (chunk: Buffer) => (got += chunk.length));
    for (const end = performance.now() + 30_000; got < 100_000; await wait(20)) {
      assert.ok(performance.now() < end && child.exitCode === null, 'it writes');
    }
    child.stdout.pause();
    await wait(1000);
    const before = resident(child.pid ?? 0);
    await wait(3000);
    const after = resident(child.pid ?? 0);
    assert.ok(after - before < 48 * MIB, `it grew from ${before} to ${after} bytes`);
    child.stdout.resume();
    const seen = got;
    for (const end = performance.now() + 30_000; got < seen + 1_000_000; await wait(20)) {
      assert.ok(performance.now() < end, 'it goes on');
    }
    child.stdout.pause();
    await wait(500);
    child.kill('SIGTERM');
    assert.notEqual(await Promise.race([ended, wait(10_000, 'late')]), 'late', 'it ends when it is told to');
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
});
