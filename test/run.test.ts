/** `understudy` from the command line: a guest in a terminal, a command in a guest, and its end at any moment. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { defaultCacheFolder } from '../src/adapters/node/cache.js';
import { inTerminal, PROMPT, start, understudy, understudyCommand } from './testing/command-line.js';
import { testImage } from './testing/images.js';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'understudy-run-'));
  await Promise.all([testImage('trixie'), testImage('backports')]);
});
after(() => rm(folder, { recursive: true }));

describe('command lines', () => {
  for (const [args, wanted] of [
    [['--help'], /Usage: understudy/],
    [['help', 'run'], /Usage: understudy run/],
    [['run', '--help'], /--forward/],
    [['images', '--help'], /prepare/],
    [['keys', '--help'], /rotate/],
    [['version'], /^understudy \d+\.\d+\.\d+\n$/],
  ] as const) {
    test(`understudy ${args.join(' ')}`, async () => {
      const { status, stdout, stderr } = await understudy(args);
      assert.deepEqual([status, stderr], [0, '']);
      assert.match(stdout, wanted);
    });
  }

  for (const [args, complaint] of [
    [[], /Usage/],
    [['fly'], /there is no command "fly"/],
    [['run', '--warp'], /--warp/],
    [['run', 'something'], /something/],
    [['run', '--memory', 'much'], /--memory much: a size/],
    [['run', '--memory', '5G'], /at most 4G/],
    [['run', '--harts', '0'], /from 1 to 64/],
    [['run', '--cpu', '0'], /0.01 to 64/],
    [['run', '--forward', '80'], /tcp:8080:80/],
    [['run', '--forward', 'tcp:70000:80'], /65535/],
    [['run', '--no-network', '--forward', '0:80'], /--no-network/],
    [['run', '--initrd', 'file'], /--kernel/],
    [['run', '--debian', '12'], /13, trixie, backports/],
    [['run', '--console', 'tty0', '--kernel', 'x'], /hvc0, ttyS0/],
    [['run', '--json'], /--command/],
    [['run', '--image', 'nobody'], /shell, redis/],
    [['run', '--disk', 'd.img,bogus'], /no flag "bogus"/],
    [['run', '--disk', 'd.img,discard=lots'], /--disk discard lots: a size/],
    [['run', '--disk', 'd.img,discard=1G,ro'], /either ro or discard/],
    [['run', '--disk', 'd.img', '--disk', './d.img'], /given twice/],
  ] as const) {
    test(`understudy ${args.join(' ')} makes no sense`, async () => {
      const { status, stdout, stderr } = await understudy(args);
      assert.deepEqual([status, stdout], [2, '']);
      assert.match(stderr, complaint);
    });
  }
});

test('a command: its output, its status, a disk, and a server outside', { timeout: 240_000 }, async () => {
  const server = createServer((_, response) => void response.end('hello from outside'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const disk = join(folder, 'disk.img');
  await writeFile(disk, Buffer.alloc(1 << 20, 'disk'));
  const { port } = server.address() as AddressInfo;
  const script = `uname -r; head -c 8 /dev/vda; echo; echo changed > /dev/vda; sync
    wget -q -O - http://10.0.2.2:${port}/; echo; printf 'to\\000standard error' >&2; exit 7`;
  const { status, stdout, stderr } = await understudy([
    ...['run', '--command', script, '--disk', `${disk},discard`, '--memory', '256', '--timeout', '200'],
  ]);
  server.close();
  const lines = stdout.split('\n');
  assert.match(lines[0], /^6\.12\./);
  assert.deepEqual(lines.slice(1), ['diskdisk', 'hello from outside', '']);
  assert.match(stderr, /to\0standard error$/);
  assert.equal(status, 7);
  assert.equal((await import('node:fs')).readFileSync(disk).toString('latin1', 0, 8), 'diskdisk');
});

test(
  'a disk whose changes are discarded keeps no more than it may, and one is told',
  { timeout: 240_000 },
  async () => {
    const disk = join(folder, 'sparse.img');
    await writeFile(disk, '');
    await truncate(disk, 100e9);
    const script = `dd if=/dev/urandom of=/dev/vda bs=64k count=1024 conv=fsync 2> /dev/null && exit 9
    blkdiscard /dev/vda
    dd if=/dev/urandom of=/dev/vda bs=64k count=64 conv=fsync 2> /dev/null || exit 8
    dd if=/dev/zero of=/dev/vda bs=1M count=256 conv=fsync 2> /dev/null || exit 7
    echo it is still there`;
    const { status, stdout, stderr } = await understudy([
      ...['run', '--command', script, '--disk', `${disk},discard=8M`, '--memory', '256', '--timeout', '200'],
    ]);
    assert.deepEqual([status, stdout], [0, 'it is still there\n'], stderr);
    assert.equal(
      stderr.match(/^understudy: disk 0: an I\/O error for the guest: .*8388608 bytes of memory/gm)?.length,
      1,
    );
    assert.equal((await stat(disk)).blocks, 0);
  },
);

test('a command as JSON', { timeout: 240_000 }, async () => {
  const { status, stdout } = await understudy([
    ...['run', '--debian', 'backports', '--json', '--memory', '256M', '--harts', '2'],
    ...['--command', 'uname -r; nproc; echo oh >&2; false'],
  ]);
  assert.equal(status, 1);
  const result = JSON.parse(stdout) as Record<string, unknown>;
  assert.deepEqual([result['status'], result['ok'], result['stderr']], [1, true, 'oh\n']);
  assert.match(String(result['stdout']), /^7\.2\..*\n2\n$/);
});

test('a command whose reader is slow waits for it, and nothing is lost', { timeout: 240_000 }, async () => {
  const lines = 200_000;
  const [command, args] = understudyCommand(['run', '--memory', '256', '--command', `seq ${lines}; exit 3`]);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    child.stdout.pause();
    setTimeout(() => child.stdout.resume(), 15);
  });
  assert.equal(await ended, 3);
  const expected = Array.from({ length: lines }, (_, i) => `${i + 1}\n`).join('');
  const text = Buffer.concat(chunks).toString();
  assert.ok(text === expected, `${text.length} of ${expected.length} bytes, the last: ${text.slice(-20)}`);
});

test('a command that does not end in time', { timeout: 60_000 }, async () => {
  const args = ['run', '--json', '--memory', '256M', '--timeout', '1', '--command', 'sleep 1000'];
  const { status, stdout, stderr } = await understudy(args);
  assert.equal(status, 124);
  assert.equal((JSON.parse(stdout) as Record<string, unknown>)['ok'], false);
  assert.match(stderr, /the time of 1 s was over/);
});

test('the status is the command’s end, whatever it does to the ports', { timeout: 240_000 }, async () => {
  const run = ['run', '--memory', '256M', '--no-network', '--timeout', '100', '--command'];
  const forged = await understudy([...run, 'echo 0 > /dev/vport0p3; reboot -f']);
  assert.equal(forged.status, 1, forged.stderr);
  assert.match(forged.stderr, /the guest ended \(reboot\) before the command did/);
  const taken = await understudy([...run, '(exec 9>/dev/vport0p3; sleep 1000 <&9) & sleep 1; exit 5']);
  assert.equal(taken.status, 5, taken.stderr);
});

test('JSON keeps what one string could not hold, and refuses output without end', { timeout: 240_000 }, async () => {
  const run = ['run', '--memory', '256M', '--no-network', '--timeout', '200', '--json', '--command'];
  const endless = await understudy([...run, 'cat /dev/zero']);
  assert.deepEqual([endless.status, endless.stdout], [1, '']);
  assert.match(endless.stderr, /^understudy: the command wrote more than the 256 MiB that --json keeps/m);
  assert.doesNotMatch(endless.stderr, /at file:|RangeError/);
  // Each NUL takes six characters.
  const long = [
    'sh',
    ['-c', '"$0" "$@" | wc -c', ...understudyCommand([...run, 'head -c 100000000 /dev/zero']).flat()],
  ];
  const { status, stdout } = await start(long[0] as string, long[1] as string[]).finished;
  assert.equal(status, 0);
  assert.ok(Number(stdout) > 600_000_000, stdout);
});

test('a cache where no folder can be is refused at once', { timeout: 60_000 }, async () => {
  const { status, stderr } = await understudy(['run', '--command', 'true'], { UNDERSTUDY_CACHE: '/proc/nope' });
  assert.equal(status, 1);
  assert.match(stderr, /^understudy: .*\/proc\/nope/m);
});

test('a terminal is the guest’s until one leaves, and then as it was', { timeout: 240_000 }, async () => {
  const { child, until, output, finished } = inTerminal(['run', '--memory', '256', '--forward', 'tcp:0:80'], folder);
  const type = (text: string): void => void child.stdin?.write(text);
  await until(PROMPT);
  assert.match(output(), /256 MiB, 1 hart, 10\.0\.2\.15, tcp 127\.0\.0\.1:\d+ leads to port 80; Ctrl-A X leaves/);
  type('stty size\r');
  await until(/30 100/);
  // Ctrl-C is the guest's.
  type('sleep 1000\r');
  await delay(500);
  type('\x03');
  type('echo after-$?\r');
  await until(/after-130/);
  // Ctrl-A twice is one for the guest: it goes to the line's beginning.
  type('cho doubled\x01\x01e\r');
  await until(/\ndoubled/);
  type('\x01c');
  await until(/on for \d/);
  type('\x01h');
  await until(/Ctrl-A S {3}has the guest shut down/);
  type('\x01x');
  await until(/status=0/);
  await until(/terminal-restored/);
  child.stdin?.end();
  assert.equal((await finished).status, 0);
});

test(
  'a kernel and an initramfs of one’s own, driven through a pipe, rebooting once',
  { timeout: 240_000 },
  async () => {
    const { kernel, initramfs } = await testImage('backports');
    const own = ['run', '--kernel', kernel, '--initrd', initramfs, '--memory', '256', '--harts', '2'];
    const extra = ['--append', 'cryptomgr.notests=1 initcall_blacklist=jent_mod_init quiet', '--no-network'];
    const { child, until, output, finished } = start(...understudyCommand([...own, ...extra]));
    await until(PROMPT);
    child.stdin?.write('echo "harts: $(nproc)"; reboot -f\n');
    await until(/harts: 2/);
    await until(/harts: 2[^]*understudy:~# (?:\x1b\[6n)?$/);
    child.stdin?.end('echo second boot; ls /sys/class/net\n');
    const { status } = await finished;
    assert.equal(status, 0, output());
    assert.match(output(), /second boot\r\nlo\r\n/);
  },
);

describe('input that ends', () => {
  test('run < /dev/null ends, and echo command | run does what it says', { timeout: 240_000 }, async () => {
    const nothing = await understudy(['run', '--memory', '256', '--no-network', '--timeout', '100']);
    assert.equal(nothing.status, 0, nothing.stderr);
    const { child, finished } = start(...understudyCommand(['run', '--memory', '256', '--timeout', '100']));
    // Before there is a shell that could read it, and with a program that reads to the end behind it.
    child.stdin?.end('echo "har""ts: $(nproc)"; cat > /dev/null; echo the e""nd\n');
    const { status, stdout, stderr } = await finished;
    assert.equal(status, 0, stderr);
    assert.match(stdout, /harts: 1\r\n[^]*the end\r\n/);
  });

  test('a last line without its end is one too', { timeout: 240_000 }, async () => {
    const { child, finished } = start(...understudyCommand(['run', '--memory', '256', '--timeout', '100']));
    child.stdin?.end('echo "the la""st line"');
    const { status, stdout, stderr } = await finished;
    assert.equal(status, 0, stderr);
    assert.match(stdout, /the last line\r\n/);
  });

  test('after a reboot it is still at its end', { timeout: 240_000 }, async () => {
    const { child, until, finished } = start(...understudyCommand(['run', '--memory', '256', '--timeout', '200']));
    await until(PROMPT);
    child.stdin?.end('reboot -f\n');
    const { status, stdout, stderr } = await finished;
    assert.equal(status, 0, stderr);
    assert.equal(stdout.match(/Linux version/g)?.length, 2);
  });

  test('time that is over is told from work', { timeout: 100_000 }, async () => {
    const { finished } = start(...understudyCommand(['run', '--memory', '256', '--timeout', '5']));
    const { status, stderr } = await finished;
    assert.equal(status, 124);
    assert.match(stderr, /the time of 5 s was over/);
  });

  test('a command reads what we do, to its end, byte for byte', { timeout: 240_000 }, async () => {
    const run = ['run', '--memory', '256', '--no-network', '--timeout', '100', '--command'];
    const { child, finished } = start(
      ...understudyCommand([...run, 'read -r first; echo "$first"; sha256sum; echo more; cat']),
    );
    const rest = randomBytes(3 * 2 ** 20);
    child.stdin?.write('the first line\n');
    child.stdin?.end(rest);
    const { status, stdout, stderr } = await finished;
    assert.equal(status, 0, stderr);
    assert.equal(stdout, `the first line\n${createHash('sha256').update(rest).digest('hex')}  -\nmore\n`);

    const closed = await understudy([...run, 'cat; echo nothing']);
    assert.deepEqual([closed.status, closed.stdout], [0, 'nothing\n']);
    // Input without end that nobody reads neither keeps the command nor fills the memory.
    const endless = start('sh', ['-c', 'yes | exec "$0" "$@"', ...understudyCommand([...run, 'head -c 6']).flat()]);
    const done = await endless.finished;
    assert.deepEqual([done.status, done.stdout], [0, 'y\ny\ny\n']);
  });
});

/** Files of the cache that are on their way to their final name. */
async function unfinished(): Promise<string[]> {
  return (await readdir(defaultCacheFolder(), { recursive: true })).filter((name) =>
    /\.(part|tmp|new)$|partial-/.test(name),
  );
}

describe('Ctrl-C and its like at any moment', () => {
  const moments = [0, 150, 400, 900, 1800, 4000];
  for (const [i, moment] of moments.entries()) {
    const [signal, wanted] = i % 2 === 0 ? (['SIGINT', 130] as const) : (['SIGTERM', 143] as const);
    test(`${signal} after ${moment} ms`, { timeout: 60_000 }, async () => {
      const { child, finished, until } = start(...understudyCommand(['run', '--memory', '256', '--harts', '2']));
      // Before its code is loaded a program ends as the system has it.
      await until(/checking the image/);
      await delay(moment);
      child.kill(signal);
      const { status, stderr } = await finished;
      assert.equal(status, wanted);
      assert.doesNotMatch(stderr, /Error|at file:/);
      assert.deepEqual(await unfinished(), []);
    });
  }

  test('a command whose reader goes away ends as well', { timeout: 120_000 }, async () => {
    const { child, finished, until } = start(...understudyCommand(['run', '--memory', '256', '-c', 'yes']));
    await until(/^y\n/);
    child.stdout?.destroy();
    assert.equal((await finished).status, 141);
  });
});
