/** A disk moves to another place while a guest writes it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { MemoryDisk, type BlockBackend } from '../computer/virtio/block-backend.js';
import type { MoveProgress } from './path/disk-types.js';
import { DiskGuest, filled, SECTOR, ZERO } from './testing/disk-guest.js';

const SECTORS = 8 * 2048;
const disk = (sectors = SECTORS, fill = 0): MemoryDisk => new MemoryDisk(new Uint8Array(sectors * SECTOR).fill(fill));
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** A guest that writes what it remembers until it is told to stop. */
class Writer {
  readonly model = new Uint8Array(SECTORS * SECTOR);
  written = 0;
  failed = 0;
  #isOver = false;
  #seed = 7;
  readonly #all: Promise<unknown>;

  constructor(private readonly guest: DiskGuest) {
    this.#all = Promise.all(Array.from({ length: 4 }, (_, k) => this.#run(k)));
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#all;
  }

  #random(below: number): number {
    return (this.#seed = (this.#seed * 1103515245 + 12345) & 0x7fffffff) % below;
  }

  /** Each in a quarter of its own: two writes of one sector at once have no order. */
  async #run(quarter: number): Promise<void> {
    const room = SECTORS / 4;
    while (!this.#isOver) {
      const count = 1 + this.#random(16);
      const sector = quarter * room + this.#random(room - 16);
      const kind = this.#random(10);
      const value = kind === 0 ? 0 : 1 + this.#random(255);
      const answer = await (kind === 0
        ? this.guest.range(ZERO, sector, count)
        : this.guest.write(sector, filled(value, count)));
      if (answer.status !== 0) this.failed++;
      else this.model.fill(value, sector * SECTOR, (sector + count) * SECTOR);
      this.written++;
      if (kind === 1) await this.guest.flush();
      const read = await this.guest.read(sector, count);
      assert.deepEqual(read.data, this.model.slice(sector * SECTOR, (sector + count) * SECTOR));
    }
  }
}

void test('it moves while it is written, and nothing is lost: there, and when the monitor has gone', async () => {
  const old = disk();
  let released = 0;
  const guest = new DiskGuest(old, () => {
    released++;
    return Promise.resolve();
  });
  const writer = new Writer(guest);
  await new Promise((resolve) => setTimeout(resolve, 50));
  // Larger, and not empty.
  const target = disk(SECTORS + 100, 0xaa);
  const progress: MoveProgress[] = [];
  const report = await guest.device.moveTo(target, { onProgress: (p) => progress.push(p) });
  assert.equal(released, 1);
  assert.equal(guest.device.mode, 'direct');
  const frozen = digest(old.bytes);
  const before = writer.written;
  await new Promise((resolve) => setTimeout(resolve, 50));
  await writer.stop();
  assert.ok(writer.written > before);
  assert.equal(writer.failed, 0);
  assert.equal(digest(target.bytes.subarray(0, SECTORS * SECTOR)), digest(writer.model));
  assert.deepEqual(target.bytes.subarray(SECTORS * SECTOR), new Uint8Array(100 * SECTOR).fill(0xaa));
  assert.equal(digest(old.bytes), frozen, 'the old place is not written any more');
  assert.ok(report.bytes >= SECTORS * SECTOR && report.rounds >= 1 && report.switchMs >= 0);
  assert.equal(progress.at(-1)?.copied, report.bytes);
  assert.ok(progress.every(({ total, dirty }) => total === SECTORS * SECTOR && dirty >= 0 && dirty <= total));
  assert.equal(guest.device.sectors, SECTORS, 'it is no larger than it was');
  // And on, and back.
  await guest.device.moveTo(old);
  assert.equal(digest(old.bytes), digest(writer.model));
  await assert.rejects(guest.device.moveTo(old), { code: 'invalid' });
  guest.check();
});

void test('a disk that is written faster than its new place takes it is braked until it is there', async () => {
  const guest = new DiskGuest(disk());
  const writer = new Writer(guest);
  const target = disk();
  const slow: BlockBackend = {
    ...bare(target),
    write: async (sector, from) => {
      await new Promise((resolve) => setTimeout(resolve, 4));
      await target.write(sector, from);
    },
  };
  const report = await guest.device.moveTo(slow);
  await writer.stop();
  assert.ok(report.rounds > 3, `${report.rounds} rounds`);
  assert.equal(digest(target.bytes), digest(writer.model));
  guest.check();
});

void test('a target that fails, at any step, leaves the disk where it was', async () => {
  const old = disk();
  const guest = new DiskGuest(old);
  const writer = new Writer(guest);
  const failure = new Error('the new disk is broken');
  const cases: ((target: MemoryDisk) => BlockBackend)[] = [
    (target) => ({ ...bare(target), write: () => Promise.reject(failure) }),
    (target) => ({ ...bare(target), read: () => Promise.reject(failure) }),
    (target) => ({ ...bare(target), flush: () => Promise.reject(failure) }),
    // In the pause: the second flush.
    (target) => {
      let flushes = 0;
      return { ...bare(target), flush: () => (++flushes === 2 ? Promise.reject(failure) : Promise.resolve()) };
    },
  ];
  for (const wrong of cases) {
    await assert.rejects(guest.device.moveTo(wrong(disk())), failure);
    assert.equal(guest.device.mode, 'direct');
  }
  // One that loses what is written: there has to be something on the disk.
  while (writer.written < 20) await new Promise((resolve) => setTimeout(resolve, 1));
  const liar: BlockBackend = { ...bare(disk()), write: () => Promise.resolve() };
  await assert.rejects(guest.device.moveTo(liar), { name: 'BlockError', message: /reads otherwise/ });
  await writer.stop();
  assert.equal(writer.failed, 0);
  assert.equal(digest(old.bytes), digest(writer.model));
  guest.check();
});

void test('it is given up by a signal, though the target never answers, and when the instance goes', async () => {
  const old = disk();
  const guest = new DiskGuest(old);
  const { device } = guest;
  const writer = new Writer(guest);
  const stuck = (): BlockBackend => ({ ...bare(disk()), write: () => new Promise(() => undefined) });
  const stop = new AbortController();
  const moving = device.moveTo(stuck(), { signal: stop.signal });
  const failed = assert.rejects(moving, { name: 'AbortError' });
  await new Promise((resolve) => setTimeout(resolve, 20));
  await assert.rejects(device.moveTo(disk()), { code: 'in-use' });
  stop.abort();
  await failed;
  await assert.rejects(device.moveTo(disk(), { signal: stop.signal }), { name: 'AbortError' });
  assert.equal(device.mode, 'direct');
  await writer.stop();
  assert.equal(digest(old.bytes), digest(writer.model));

  const gone = assert.rejects(device.moveTo(stuck()), { name: 'InterpositionError', code: 'closed' });
  await new Promise((resolve) => setTimeout(resolve, 20));
  await device.leave();
  await gone;
  assert.equal(digest(old.bytes), digest(writer.model));
});

/** What a disk in memory can do, to be changed. Without zeroes and discard. */
function bare(to: MemoryDisk): BlockBackend {
  return {
    sectors: to.sectors,
    readOnly: false,
    id: to.id,
    read: (sector, into) => to.read(sector, into),
    write: (sector, from) => to.write(sector, from),
    flush: () => to.flush(),
  };
}
