/** What a user or a guest may get wrong: it is said clearly, and the computer is as it was before. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Computer, FileDisk, type BootOptions, type PreparedImage } from '../src/index.js';
import { understudy } from './testing/command-line.js';
import { cpuWhile, MIB, testImage } from './testing/images.js';

let folder = '';
let computer: Computer;
let image: PreparedImage;
let kernel: Uint8Array;
let fresh = { harts: 0, memory: 0 };

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'understudy-broken-'));
  image = await testImage('trixie');
  // A copy: slices of a Buffer are the Buffer.
  kernel = new Uint8Array(await readFile(image.kernel));
  computer = await Computer.create({ memory: 320 * MIB, harts: 2 });
  fresh = { harts: computer.freeHarts, memory: computer.freeMemory };
});
after(async () => {
  await computer.close();
  await rm(folder, { recursive: true });
});

const isWhole = (): void =>
  assert.deepEqual(
    { harts: computer.freeHarts, memory: computer.freeMemory, running: computer.instances.length },
    {
      ...fresh,
      running: 0,
    },
  );

/** Booting fails with that code and message, and leaves nothing behind. */
async function refused(options: BootOptions, code: string, message: RegExp): Promise<void> {
  await assert.rejects(computer.boot(options), (error: unknown) => {
    assert.ok(error instanceof Error && 'code' in error, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });
  isWhole();
}

const memory = 256 * MIB;

describe('kernels that are none', () => {
  const cases: [string, () => Uint8Array, RegExp][] = [
    ['nothing', () => new Uint8Array(0), /0 bytes: it is empty or cut off/],
    ['half a header', () => kernel.subarray(0, 40), /40 bytes/],
    ['a fifth of a kernel', () => kernel.subarray(0, kernel.length / 5), /cut off/],
    ['zeroes', () => new Uint8Array(MIB), /no RISC-V magic/],
    ['an ELF file', () => Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, ...new Uint8Array(100)), /ELF file/],
    ['a compressed kernel', () => Uint8Array.of(0x1f, 0x8b, 8, 0, ...new Uint8Array(100)), /gzip/],
  ];
  for (const [name, make, message] of cases) {
    test(name, () => refused({ kernel: make(), memory }, 'kernel-image', message));
  }
  test('a size in the header that cannot be', () => {
    const broken = kernel.slice(0, 100);
    new DataView(broken.buffer).setBigUint64(16, 1n << 60n, true);
    return refused({ kernel: broken, memory }, 'kernel-image', /damaged/);
  });
  test('a file that is not there', () =>
    refused({ kernel: join(folder, 'none'), memory }, 'not-readable', /cannot read .*none/));
});

describe('computers too small', () => {
  test('memory that the kernel does not fit', () =>
    refused({ image, memory: 32 * MIB }, 'too-little-memory', /at least \d+ MiB/));
  test('more memory than there is', () => refused({ image, memory: 1024 * MIB }, 'no-frames', /are free/));
  test('more harts than there are', () => refused({ image, memory, harts: 3 }, 'no-hart', /3 harts asked for, 2 of 2/));
  test('memory that is no number of pages', () =>
    refused({ image, memory: memory + 1 }, 'invalid', /multiple of 4096/));
  test('a computer that is larger than can be', async () => {
    await assert.rejects(Computer.create({ memory: 2 ** 33 }), /at most 4 GiB/);
    await assert.rejects(Computer.create({ harts: 0 }), /harts is a whole number from 1 to 64, not 0/);
  });
});

describe('disks and ports', () => {
  test('a disk that is not there, or shorter than a sector', async () => {
    await refused({ image, memory, disks: [join(folder, 'none.img')] }, 'missing', /none\.img/);
    await writeFile(join(folder, 'short.img'), 'short');
    await refused({ image, memory, disks: [{ path: join(folder, 'short.img') }] }, 'size', /shorter than one sector/);
  });
  test('a folder as a disk, and an image that is not raw', async () => {
    await refused({ image, memory, disks: [folder] }, 'not-a-disk', /disks\[0\]: .* is a folder/);
    const qcow2 = join(folder, 'other.qcow2');
    await writeFile(qcow2, Buffer.concat([Buffer.from('QFI\xfb', 'latin1'), Buffer.alloc(2 ** 20)]));
    const plain = join(folder, 'plain.img');
    await writeFile(plain, Buffer.alloc(2 ** 20));
    await refused({ image, memory, disks: [plain, qcow2] }, 'format', /disks\[1\]: .* is a qcow2 image/);
    const { status, stderr } = await understudy(['run', '--memory', '256', '--disk', qcow2]);
    assert.equal(status, 1);
    assert.match(stderr, /^understudy: --disk: .*other\.qcow2 is a qcow2 image, not a raw disk image/m);
  });
  test('a disk that another machine writes, in this process or another', async () => {
    const path = join(folder, 'taken.img');
    await writeFile(path, Buffer.alloc(2 ** 20));
    await refused({ image, memory, disks: [path, path] }, 'in-use', /disks\[1\]: .*another machine uses it/);
    const disk = await FileDisk.open(path);
    try {
      await refused({ image, memory, disks: [path] }, 'in-use', /another machine uses it/);
      const { status, stderr } = await understudy(['run', '--memory', '256', '--disk', `${path},ro`]);
      assert.equal(status, 1);
      assert.match(stderr, /--disk: .*taken\.img: another machine writes it/);
    } finally {
      await disk.close();
    }
  });
  test('a port that is taken', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await refused({ image, memory, forwards: [{ port, guestPort: 80 }] }, 'PORT_IN_USE', /taken by another program/);
    const { status, stderr } = await understudy(['run', '--memory', '256', '--forward', `tcp:${port}:80`]);
    assert.equal(status, 1);
    assert.match(stderr, /^understudy: TCP port \d+ on 127\.0\.0\.1 is taken by another program: choose another/m);
    server.close();
  });
  test('a forward without a network card', () =>
    refused({ image, memory, network: false, forwards: [{ guestPort: 80 }] }, 'no-network', /network card/));
});

describe('guests that run wild', () => {
  test('random words behind a good header neither stop the computer nor leave their partition', async () => {
    let seed = 1;
    const wild = kernel.slice(0, 32 * MIB);
    const view = new DataView(wild.buffer);
    for (let at = 0x1000; at < wild.length - 4; at += 4) {
      seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
      view.setInt32(at, seed, true);
    }
    const guest = await computer.boot({ kernel: wild, memory, harts: 2 });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await guest.pause();
    guest.resume();
    await guest.destroy();
    isWhole();
  });

  test('an initramfs of noise: the kernel says so and panics', async () => {
    const guest = await computer.boot({
      kernel: image.kernel,
      initramfs: new Uint8Array(100_000).fill(0x5a),
      memory,
      bootArguments: 'panic=-1 cryptomgr.notests=1 initcall_blacklist=jent_mod_init',
    });
    const end = await guest.ended;
    assert.equal(end.kind, 'reboot');
    assert.match(guest.console.text, /Kernel panic - not syncing/);
    isWhole();
  });

  test('a guest that ends while its shell is waited for', async () => {
    const data = '#!/bin/sh\nexec /usr/bin/busybox poweroff -f\n';
    const guest = await computer.boot({ image, memory, files: { '/init': { data, mode: 0o755 } } });
    await assert.rejects(guest.shell(), { code: 'ended' });
    await assert.rejects(guest.shell(), { code: 'ended' });
    await guest.ended;
    isWhole();
  });

  test('a name that is taken, and a computer that is closed', async () => {
    const guest = await computer.boot({ image, memory, name: 'one' });
    await assert.rejects(computer.boot({ image, memory: MIB, name: 'one' }), { code: 'name-taken' });
    await guest.destroy();
    isWhole();
    const other = await Computer.create({ memory: 16 * MIB, harts: 1 });
    await other.close();
    await assert.rejects(other.boot({ image }), { code: 'closed' });
  });

  test('nothing goes on in the background', async () => {
    const used = await cpuWhile(500);
    assert.ok(used < 200, `${used.toFixed()} ms of CPU`);
  });
});

const root = process.getuid?.() === 0;
test('a full cache disk', { skip: root ? false : 'mounting a small disk takes root', timeout: 300_000 }, async (t) => {
  const mount = join(folder, 'small');
  execFileSync('mkdir', [mount]);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', mount], { stdio: 'pipe' });
  } catch {
    t.skip('this container may not mount');
    return;
  }
  try {
    const { status, stderr } = await understudy(['images', 'prepare', 'shell'], { UNDERSTUDY_CACHE: mount });
    assert.equal(status, 1);
    assert.match(stderr, /the disk is full|no space left/i);
    assert.match(stderr, /UNDERSTUDY_CACHE/);
    const { stdout } = await understudy(['images', 'list', '--json'], { UNDERSTUDY_CACHE: mount });
    assert.deepEqual((JSON.parse(stdout) as { images: unknown[] }).images, []);
  } finally {
    execFileSync('umount', [mount]);
  }
});
