import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockError, MemoryDisk, type BlockBackend } from './block-backend.js';
import { OverlayDisk } from './overlay-disk.js';

const BLOCK = 64 * 1024;
/** Sectors in a block. */
const WHOLE = BLOCK / 512;
const isFull = (error: unknown): boolean => error instanceof BlockError && error.code === 'full';

/** 10 GB of which nothing exists: what is read is known by its place. */
const huge: BlockBackend = {
  sectors: 20_000_011,
  readOnly: true,
  id: 'huge',
  read: (sector, into) => Promise.resolve(void into.fill(1 + (sector % 251))),
  write: () => Promise.reject(new BlockError('read-only', 'it is not written')),
  flush: () => Promise.resolve(),
};
const sectorOf = async (disk: BlockBackend, sector: number): Promise<number> => {
  const bytes = new Uint8Array(512);
  await disk.read(sector, bytes);
  assert.ok(bytes.every((byte) => byte === bytes[0]));
  return bytes[0];
};

void test('an overlay keeps what is written and leaves the disk below alone', async () => {
  const below = new MemoryDisk(Uint8Array.from({ length: 300 * 512 }, (_, i) => i % 241));
  const before = below.bytes.slice();
  const overlay = new OverlayDisk(below);
  const expected = before.slice();
  const write = (sector: number, count: number): Promise<void> => {
    const data = new Uint8Array(count * 512).fill(sector + 1);
    expected.set(data, sector * 512);
    return overlay.write(sector, data);
  };
  // At once, and in the same block: it is fetched from below once.
  await Promise.all([write(0, 1), write(2, 3), write(100, 20), write(127, 2), write(299, 1)]);
  await write(101, 100);
  await write(130, 1);
  await write(128, 128);
  const got = new Uint8Array(before.length);
  await overlay.read(0, got);
  assert.deepEqual(got, expected);
  assert.deepEqual(below.bytes, before);
});

void test('an overlay keeps no more than it may, and what it has kept stays', async () => {
  const disk = new OverlayDisk(huge, { most: 4 * BLOCK });
  const data = new Uint8Array(512).fill(7);
  let written = 0;
  // A guest that fills the disk, and does not stop when it is told that it cannot.
  for (let block = 0; block < 1000; block++) {
    await disk.write(block * WHOLE, data).then(
      () => written++,
      (error: unknown) => assert.ok(isFull(error), String(error)),
    );
  }
  assert.equal(written, 4);
  assert.ok(disk.kept <= 4 * BLOCK);
  assert.equal(await sectorOf(disk, 3 * WHOLE), 7);
  assert.equal(await sectorOf(disk, 3 * WHOLE + 1), await sectorOf(huge, 3 * WHOLE));
  assert.equal(
    await sectorOf(disk, 4 * WHOLE),
    await sectorOf(huge, 4 * WHOLE),
    'a refused write leaves what was there',
  );
  // What has a copy can be written again and again.
  await disk.write(2 * WHOLE + 5, data);
  await assert.rejects(disk.write(9 * WHOLE, new Uint8Array(BLOCK).fill(1)), isFull);
});

void test('many writes at once do not get past the limit together', async () => {
  const disk = new OverlayDisk(huge, { most: 4 * BLOCK });
  const data = new Uint8Array(512).fill(7);
  const all = await Promise.allSettled(Array.from({ length: 100 }, (_, block) => disk.write(block * WHOLE, data)));
  assert.equal(all.filter(({ status }) => status === 'fulfilled').length, 4);
  assert.equal(disk.kept, 4 * BLOCK);
});

void test('what is discarded or zeroed gives its memory back', async () => {
  const disk = new OverlayDisk(huge, { most: 4 * BLOCK });
  const fill = async (): Promise<void> => {
    for (let block = 0; block < 4; block++) await disk.write(block * WHOLE, new Uint8Array(BLOCK).fill(9));
    await assert.rejects(disk.write(50 * WHOLE, new Uint8Array(512).fill(9)), isFull);
  };
  await fill();
  await disk.discard(0, 4 * WHOLE);
  assert.equal(disk.kept, 0);

  await fill();
  // Not whole: the first sector of block 0 and the last one of block 3 remain as they were written.
  await disk.discard(1, 4 * WHOLE - 2);
  assert.equal(await sectorOf(disk, 0), 9);
  assert.equal(await sectorOf(disk, 4 * WHOLE - 1), 9);
  assert.equal(disk.kept, 2 * BLOCK);

  await disk.zero(1, 4 * WHOLE - 2);
  assert.equal(await sectorOf(disk, 0), 9);
  for (const sector of [1, WHOLE, 3 * WHOLE - 1, 4 * WHOLE - 2]) assert.equal(await sectorOf(disk, sector), 0);
  assert.ok(disk.kept < 2.1 * BLOCK, `${disk.kept} bytes are kept`);
  // Zeroes that are written are zeroes too.
  await disk.write(0, new Uint8Array(4 * BLOCK));
  assert.ok(disk.kept < BLOCK / 64, `${disk.kept} bytes are kept`);
  assert.equal(await sectorOf(disk, 0), 0);

  // And what is written there afterwards stands among zeroes, not among what lies below.
  await disk.write(5, new Uint8Array(512).fill(3));
  assert.deepEqual([await sectorOf(disk, 4), await sectorOf(disk, 5), await sectorOf(disk, 6)], [0, 3, 0]);
});

void test('zeroes that are written piece by piece take next to no memory', async () => {
  const disk = new OverlayDisk(huge, { most: 4 * BLOCK });
  // As long as requests of page-sized segments are, which begin and end anywhere.
  const count = 126 * 8;
  for (let sector = 0; sector < 400 * WHOLE; sector += count) await disk.write(sector, new Uint8Array(count * 512));
  assert.equal(await sectorOf(disk, 399 * WHOLE), 0);
  // At once, beside what is no zero in the same block.
  await Promise.all([
    disk.write(0, new Uint8Array(512)),
    disk.write(1, new Uint8Array(512).fill(4)),
    disk.zero(2, 1),
    disk.write(3, new Uint8Array(512)),
    disk.write(4, new Uint8Array(512).fill(4)),
  ]);
  assert.deepEqual(await Promise.all([0, 1, 2, 3, 4].map((sector) => sectorOf(disk, sector))), [0, 4, 0, 0, 4]);
  assert.ok(disk.kept < 3 * BLOCK);
});

void test('what is known of zeroes counts too, and all of a large disk can be zeroed', async () => {
  const disk = new OverlayDisk(huge, { most: 640 });
  await disk.zero(0, 10 * WHOLE);
  await assert.rejects(disk.zero(10 * WHOLE, WHOLE), isFull);
  await disk.discard(0, 10 * WHOLE);
  await disk.zero(10 * WHOLE, WHOLE);
  assert.equal(await sectorOf(disk, 11 * WHOLE - 1), 0);

  const whole = new OverlayDisk(huge);
  for (let sector = 0; sector < huge.sectors; sector += 2 ** 20) {
    await whole.zero(sector, Math.min(2 ** 20, huge.sectors - sector));
  }
  assert.equal(await sectorOf(whole, huge.sectors - 1), 0, 'the last block is shorter');
});

void test('a disk below that fails, fails the write and keeps no memory', async () => {
  let fails = true;
  const below: BlockBackend = {
    ...huge,
    read: (sector, into) => (fails ? Promise.reject(new BlockError('host', 'broken')) : huge.read(sector, into)),
  };
  const disk = new OverlayDisk(below, { most: BLOCK });
  const write = (): Promise<void> => disk.write(3, new Uint8Array(512).fill(8));
  await assert.rejects(write(), { code: 'host' });
  assert.equal(disk.kept, 0);
  fails = false;
  await write();
  assert.equal(await sectorOf(disk, 3), 8);
});

void test('a random run of requests reads as a plain disk does', async () => {
  const sectors = 5 * WHOLE + 11;
  const below = new MemoryDisk(Uint8Array.from({ length: sectors * 512 }, (_, i) => 1 + ((i >> 9) % 255)));
  const model = below.bytes.slice();
  const disk = new OverlayDisk(below);
  let seed = 12345;
  const random = (below: number): number => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % below;
  for (let n = 0; n < 2000; n++) {
    const sector = random(sectors);
    const count = Math.min(1 + random(random(4) === 0 ? 3 * WHOLE : 8), sectors - sector);
    if (random(3) === 0) {
      await disk.zero(sector, count);
      model.fill(0, sector * 512, (sector + count) * 512);
    } else {
      const data = new Uint8Array(count * 512).fill(random(5));
      await disk.write(sector, data);
      model.set(data, sector * 512);
    }
  }
  const got = new Uint8Array(model.length);
  await disk.read(0, got);
  assert.deepEqual(got, model);
});

void test('a limit that is no number of bytes is refused', () => {
  for (const most of [NaN, -1, '1G' as unknown as number]) {
    assert.throws(() => new OverlayDisk(huge, { most }), { name: 'BlockError', code: 'size' });
  }
});
