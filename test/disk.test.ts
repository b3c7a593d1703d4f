/** Disks in files, whose requests the harts' own threads do. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Computer, FileDisk } from '../src/index.js';
import { compile } from './testing/compile.js';
import { MIB, testImage } from './testing/images.js';

const BLOCK = 4096;
const folder = await mkdtemp(join(tmpdir(), 'understudy-disk-'));
after(() => rm(folder, { recursive: true }));
const { blocks: data } = compile('test/disk', ['blocks']);

test(
  'four threads on two harts write, read back and flush: all of it is right, and hardly any was the main thread’s',
  { timeout: 240_000 },
  async () => {
    const path = join(folder, 'verified.img');
    await writeFile(path, new Uint8Array(16 * MIB));
    const disk = await FileDisk.open(path);
    let byMain = 0;
    for (const method of ['read', 'write'] as const) {
      const original = disk[method].bind(disk);
      disk[method] = (sector, bytes) => {
        byMain++;
        return original(sector, bytes);
      };
    }
    const computer = await Computer.create({ memory: 320 * MIB, harts: 2, network: false });
    try {
      const rounds = 1500;
      const guest = await computer.boot({
        image: await testImage('trixie'),
        memory: 256 * MIB,
        harts: 2,
        disks: [disk],
        files: { '/opt/blocks': { data, mode: 0o755 } },
        run: `/opt/blocks verify /dev/vda ${rounds}; dmesg | grep -i 'i/o error'`,
      });
      assert.deepEqual(await guest.ended, { kind: 'shutdown' });
      assert.match(guest.console.text.slice(-500), /6000 rounds, wrong: 0\r?\n/);
      assert.doesNotMatch(guest.console.text, /i\/o error/i);
      // While one flushes, and on a busy host, some are.
      assert.ok(byMain < (4 * rounds) / 2, `${byMain} of ${4 * rounds} by the main thread`);
      await disk.close();
      // Every block is whole: its first word says what all the others must be.
      const bytes = await readFile(path);
      const words = new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
      for (let at = 0; at < words.length; at += BLOCK / 8) {
        if (words[at] === 0n && words[at + 1] === 0n) continue;
        assert.equal(words[at] >> 32n, BigInt(at / (BLOCK / 8)), 'a block in its place');
        for (let i = 1; i < BLOCK / 8; i++) assert.equal(words[at + i], words[at] + BigInt(i));
      }
    } finally {
      await computer.close();
    }
  },
);

test(
  'the file of a running guest is closed: its disk gives I/O errors, and the descriptor’s next file is not touched',
  { timeout: 240_000 },
  async () => {
    const path = join(folder, 'closed.img');
    await writeFile(path, new Uint8Array(16 * MIB));
    const disk = await FileDisk.open(path);
    const computer = await Computer.create({ memory: 320 * MIB, harts: 2, network: false });
    try {
      const guest = await computer.boot({
        image: await testImage('trixie'),
        memory: 256 * MIB,
        harts: 2,
        disks: [disk],
        files: { '/opt/blocks': { data, mode: 0o755 } },
      });
      const shell = await guest.shell();
      const running = shell.run('/opt/blocks verify /dev/vda 20000');
      // In the middle of its work.
      const writing = async (): Promise<boolean> => (await readFile(path)).some((byte) => byte !== 0);
      while (!(await writing()));
      await disk.close();
      const others = await Promise.all(
        Array.from({ length: 8 }, async (_, n) => {
          const other = join(folder, `other${n}`);
          await writeFile(other, new Uint8Array(16 * MIB).fill(n + 1));
          return [other, await FileDisk.open(other, { lock: false })] as const;
        }),
      );
      assert.notEqual((await running).status, 0);
      for (const [n, [other, open]] of others.entries()) {
        assert.ok(
          (await readFile(other)).every((byte) => byte === n + 1),
          other,
        );
        await open.close();
      }
      await guest.destroy();
    } finally {
      await computer.close();
    }
  },
);

test(
  'a process killed while its guest writes: what the guest was told is written is there, and nothing is torn',
  { timeout: 240_000 },
  async () => {
    const program = join(folder, 'blocks');
    const path = join(folder, 'killed.img');
    await writeFile(program, data);
    await writeFile(path, new Uint8Array(256 * MIB));
    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL('./disk/killed.js', import.meta.url)), program, path],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    let text = '';
    const written = (): number => Number([...text.matchAll(/written (\d+)\r?\n/g)].at(-1)?.[1] ?? 0);
    const exit = once(child, 'exit');
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (written() > 3000) child.kill('SIGKILL');
    });
    assert.deepEqual(await exit, [null, 'SIGKILL'], text.slice(-300));
    const bytes = await readFile(path);
    const words = new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
    const isWhole = (block: number): boolean => {
      const at = (block * BLOCK) / 8;
      const first = (BigInt(block) << 32n) | (1n << 12n);
      for (let i = 0; i < BLOCK / 8; i++) if (words[at + i] !== first + BigInt(i)) return false;
      return true;
    };
    const isEmpty = (block: number): boolean =>
      words.subarray((block * BLOCK) / 8, ((block + 1) * BLOCK) / 8).every((word) => word === 0n);
    const told = written();
    for (let block = 0; block < told; block++) assert.ok(isWhole(block), `block ${block} of ${told}`);
    let more = told;
    while (isWhole(more)) more++;
    // What was on its way when the process died is there or not; what comes later was never asked for.
    for (let block = more + 1; block < Math.min(more + 1000, (256 * MIB) / BLOCK); block++) {
      assert.ok(isEmpty(block), `block ${block}, ${told} were told, ${more} are there`);
    }
  },
);
