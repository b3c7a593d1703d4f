/** Shutting down loses nothing, and the keyboard is the programs’, whatever key it is. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Computer, type Instance } from '../src/index.js';
import { inTerminal, PROMPT } from './testing/command-line.js';
import { KERNELS, MIB, testImage } from './testing/images.js';

let folder = '';
let computer: Computer;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'understudy-shutdown-'));
  computer = await Computer.create({ memory: 256 * MIB, harts: 2, network: false });
});
after(async () => {
  await computer.close();
  await rm(folder, { recursive: true });
});

async function emptyDisk(name: string): Promise<string> {
  const disk = join(folder, name);
  await writeFile(disk, new Uint8Array(64 * MIB));
  execFileSync('mkfs.ext4', ['-q', '-F', disk]);
  return disk;
}

/** 24 MiB of it in one file, many small ones beside it, and a program that has some work left when it is told to end. */
const WRITE = `mount -t ext4 /dev/vda /mnt && cd /mnt && head -c 24m /dev/urandom > large &&
  mkdir small && for i in $(seq 200); do echo $i > small/$i; done
  sh -c 'trap "i=0; while [ \\$i -lt 300000 ]; do i=\\$((i + 1)); done; echo last words > last; exit" TERM; echo ready > ready; while :; do sleep 0.1; done' > /dev/null 2>&1 &
  until [ -e ready ]; do sleep 0.1; done; cd /`;
const DIGESTS = 'cd /mnt && sha256sum large && cat small/* | sort -n | sha256sum';
const LAST = 'cat last; cd / && umount /mnt && dmesg | grep -c "recovery complete" || true';

for (const kernel of KERNELS) {
  describe(kernel, () => {
    const boot = async (disk: string): Promise<Instance> =>
      computer.boot({ image: await testImage(kernel), disks: [disk], harts: 2 });

    test('what was written without sync is there after a shutdown', { timeout: 240_000 }, async () => {
      const disk = await emptyDisk(`${kernel}.img`);
      const guest = await boot(disk);
      const shell = await guest.shell();
      await shell.check(WRITE);
      const written = await shell.check(DIGESTS);
      // A second call is the same shutdown.
      const ends = await Promise.all([guest.shutdown(), guest.shutdown()]);
      assert.deepEqual(ends, [{ kind: 'shutdown' }, { kind: 'shutdown' }]);
      execFileSync('fsck.ext4', ['-f', '-n', disk], { stdio: 'pipe' });

      const next = await boot(disk);
      const reader = await next.shell();
      await reader.check('mount -t ext4 /dev/vda /mnt');
      assert.equal(await reader.check(DIGESTS), written);
      assert.equal(await reader.check(LAST), 'last words\n0\n');
      await next.destroy();
    });
  });
}

test('Ctrl-A S loses nothing either', { timeout: 240_000 }, async () => {
  const disk = await emptyDisk('terminal.img');
  const { child, until, finished } = inTerminal(['run', '--memory', '256', '--disk', disk], folder);
  const type = (text: string): void => void child.stdin?.write(text);
  await until(PROMPT);
  type('mount -t ext4 /dev/vda /mnt && seq 200000 > /mnt/numbers; echo "writ""ten"\r');
  await until(/\nwritten/);
  type('\x01s');
  await until(/status=0/);
  child.stdin?.end();
  await finished;
  const numbers = execFileSync('debugfs', ['-R', 'cat /numbers', disk], { stdio: 'pipe', maxBuffer: 2 ** 24 });
  assert.equal(numbers.toString(), execFileSync('seq', ['200000'], { maxBuffer: 2 ** 24 }).toString());
});

test('Ctrl-O and what follows it reach the program', { timeout: 240_000 }, async () => {
  const { child, until, output, finished } = inTerminal(['run', '--memory', '256'], folder);
  const type = (text: string): void => void child.stdin?.write(text);
  await until(PROMPT);
  type('stty raw -echo; head -c 11 | od -An -tx1; stty sane\r');
  await until(/stty sane/);
  // Every key that the kernel would take for itself reboots, powers off, crashes or kills.
  for (const piece of ['\x0fb', '\x0f', 'o', '\x0f\x0f', 'c', '\x0fi', '\x01\x01', '\x0f']) type(piece);
  await until(/0f 62 0f 6f 0f 0f 63 0f 69 01 0f/);
  assert.doesNotMatch(output(), /sysrq: [A-Z]/);
  type('\x01x');
  await until(/status=0/);
  child.stdin?.end();
  await finished;
});

test('a guest that is paused in the middle of its shutdown is not switched off', { timeout: 240_000 }, async () => {
  const guest = await computer.boot({ image: await testImage('trixie') });
  await guest.console.waitFor(/[#$] /);
  const shutdown = guest.shutdown({ timeout: 2000 });
  const isRefused = assert.rejects(shutdown, { name: 'SystemError', code: 'paused' });
  await guest.pause();
  await isRefused;
  assert.deepEqual(computer.instances, [guest]);
  guest.resume();
  assert.deepEqual(await guest.shutdown(), { kind: 'shutdown' });
});
