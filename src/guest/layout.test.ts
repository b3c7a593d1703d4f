import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuestError } from './errors.js';
import { imageHolds, readKernelHeader } from './kernel-image.js';
import { layOut } from './layout.js';
import { bareKernel } from './testing/bare-kernel.js';

const MIB = 2 ** 20;

/** The file of a kernel that says it takes `imageSize` bytes. */
function kernel(imageSize: number, fileSize = 4096): Uint8Array {
  const file = bareKernel('wfi').slice(0, fileSize);
  new DataView(file.buffer).setBigUint64(16, BigInt(imageSize), true);
  return file;
}

/** The same with a PE header that lists a section of `raw` bytes. */
function efiKernel(raw: number, fileSize: number): Uint8Array {
  const file = new Uint8Array(raw + 4096);
  file.set(kernel(raw + 4096).subarray(0, 64));
  const view = new DataView(file.buffer);
  view.setUint32(0x3c, 64, true);
  view.setUint32(64, 0x4550, true);
  view.setUint16(64 + 6, 1, true);
  view.setUint16(64 + 20, 160, true);
  view.setUint32(64 + 24 + 160 + 16, raw, true);
  view.setUint32(64 + 24 + 160 + 20, 4096, true);
  return file.slice(0, fileSize);
}

const isRefused = (work: () => unknown, code: string, message: RegExp): GuestError => {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof GuestError);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return error;
  }
  throw new assert.AssertionError({ message: `${code} was not thrown` });
};

void test('a kernel may take much more memory than its file has bytes', () => {
  for (const size of [4096, 8192, 10 * MIB, 1000 * MIB]) {
    assert.equal(readKernelHeader(kernel(size)).imageSize, size);
    const { deviceTree, initramfs } = layOut({ kernel: kernel(size), memory: 2048 * MIB });
    assert.ok(deviceTree >= 0x8000_0000 + size && initramfs > deviceTree);
  }
  assert.equal(readKernelHeader(kernel(100)).imageSize, 4096, 'nor is the file forgotten');
});

void test('a file that is cut off is told from one that is short, where its sections are listed', () => {
  readKernelHeader(efiKernel(8192, 4096 + 8192));
  for (const length of [4096 + 8191, 4096, 300, 250]) {
    isRefused(() => readKernelHeader(efiKernel(8192, length)), 'kernel-image', /cut off: \d+ bytes of \d+/);
  }
});

void test('what is too little memory is said, with what is enough, which then is', () => {
  const initramfs = new Uint8Array(30 * MIB);
  const sparse = kernel(10 * MIB);
  sparse.set(new TextEncoder().encode('memblocks_present'), 1000);
  for (const request of [
    { kernel: kernel(10 * MIB) },
    { kernel: kernel(10 * MIB), harts: 64 },
    { kernel: kernel(10 * MIB), initramfs },
    { kernel: sparse, initramfs, harts: 3, bootArguments: 'cma=0 console=hvc0 cma=64M' },
  ]) {
    const { needed = 0 } = isRefused(
      () => layOut({ ...request, memory: MIB }),
      'too-little-memory',
      /at least \d+ MiB/,
    );
    assert.equal(needed % MIB, 0);
    layOut({ ...request, memory: needed });
    isRefused(
      () => layOut({ ...request, memory: needed - MIB }),
      'too-little-memory',
      new RegExp(`${needed / MIB} MiB`),
    );
  }
});

void test('a command line that a kernel would cut is refused, in bytes', () => {
  const memory = 64 * MIB;
  for (const good of ['', 'a'.repeat(1023), 'ä'.repeat(511)])
    layOut({ kernel: kernel(MIB), memory, bootArguments: good });
  for (const bad of ['a'.repeat(1024), 'ä'.repeat(512)]) {
    isRefused(() => layOut({ kernel: kernel(MIB), memory, bootArguments: bad }), 'command-line', /1024 bytes.* 1023/);
  }
  isRefused(() => layOut({ kernel: kernel(MIB), memory, bootArguments: 'a\0b' }), 'command-line', /NUL/);
});

void test('names that a kernel has in it', () => {
  const image = new TextEncoder().encode('vvirtio\0virtio_console\0virtio-pci');
  assert.ok(imageHolds(image, 'virtio_console'));
  assert.ok(imageHolds(image, 'virtio'));
  assert.ok(!imageHolds(image, 'virtio-pci'), 'one that is not ended');
  assert.ok(!imageHolds(image, 'virtio_cons'));
});
