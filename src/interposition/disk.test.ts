import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDisk, type BlockBackend } from '../computer/virtio/block-backend.js';
import type { LocalFile } from '../computer/virtio/local-disk.js';
import { VirtioBlock } from '../computer/virtio/block.js';
import { interruptOf } from '../computer/pci/host.js';
import type { DriverQueue, TestDriver } from '../computer/virtio/testing/driver.js';
import type { ComputerDevice } from './device.js';
import type { BlockDriver } from './driver/block.js';
import { diskKind } from './kinds/disk.js';
import { InterpositionBench, settle, SLOT } from './testing/bench.js';

const SECTOR = 512;

class Rig {
  readonly bench: InterpositionBench;
  readonly device: ComputerDevice<VirtioBlock, BlockDriver>;
  readonly driver: TestDriver;
  queue!: DriverQueue;

  constructor(
    readonly disk: BlockBackend,
    openLocal?: (handle: number) => LocalFile | undefined,
  ) {
    this.bench = new InterpositionBench(openLocal);
    this.device = this.bench.add(
      diskKind((through) => through),
      (host) => new VirtioBlock(host, disk),
    );
    this.driver = this.bench.driver();
  }

  start(): this {
    this.driver.negotiate(-1);
    this.queue = this.driver.queue(0);
    const { board } = this.bench;
    board.plic.write(4 * interruptOf(SLOT), 4, 1);
    board.plic.write(0x2000 + 4 * (interruptOf(SLOT) >> 5), 4, 1 << (interruptOf(SLOT) & 31));
    this.driver.start();
    return this;
  }

  /** Makes a request available. Answers where its data and its status are. */
  ask(type: number, sector: number, data: Uint8Array | number): { data: number; status: number; head: number } {
    const header = new Uint8Array(16);
    new DataView(header.buffer).setUint32(0, type, true);
    new DataView(header.buffer).setUint32(8, sector, true);
    const out = typeof data === 'number' ? [header] : [header, data];
    const room = typeof data === 'number' ? (data === 0 ? [1] : [data, 1]) : [1];
    const buffers = this.queue.add(out, room);
    this.bench.machine.poke(buffers.at(-1)?.address ?? 0, Uint8Array.of(0xee));
    const at = (i: number): number => buffers.at(i)?.address ?? 0;
    return { data: at(-2), status: at(-1), head: 0 };
  }

  status({ status }: { status: number }): number {
    return this.bench.machine.peek(status, 1)[0] ?? -1;
  }

  /** Takes what is done, as an interrupt handler does. */
  serve(): number {
    this.bench.interrupt(this.driver);
    return this.queue.harvest().length;
  }

  async finish(count: number): Promise<void> {
    let done = 0;
    for (let i = 0; i < 2000 && done < count; i++) {
      await settle(1);
      done += this.serve();
    }
    assert.equal(done, count, 'as many requests are done as were asked for');
  }
}

void test('a disk in use is interposed and given back, and its driver notices nothing', async () => {
  const disk = new MemoryDisk(new Uint8Array(1 << 20));
  const rig = new Rig(disk).start();
  const written = new Uint8Array(3 * SECTOR).map((_, i) => i * 7);
  for (let round = 0; round < 6; round++) {
    const w = rig.ask(1, 8 * round, written);
    rig.queue.kick();
    await rig.finish(1);
    assert.equal(rig.status(w), 0);
    const r = rig.ask(0, 8 * round, 3 * SECTOR);
    const f = rig.ask(4, 0, 0);
    rig.queue.kick();
    await rig.finish(2);
    assert.equal(rig.status(r), 0);
    assert.equal(rig.status(f), 0);
    assert.deepEqual(rig.bench.machine.peek(r.data, 3 * SECTOR), written);
    assert.deepEqual(disk.bytes.subarray(8 * round * SECTOR, (8 * round + 3) * SECTOR), written);
    const generation = rig.bench.ground.machine.view.getInt32(rig.device.statePage + 0x104, true);
    const { waitMs, switchMs } = await (round % 2 === 0 ? rig.device.interpose() : rig.device.stepAway());
    assert.ok(waitMs >= 0 && switchMs >= 0);
    assert.equal(rig.device.mode, round % 2 === 0 ? 'interposed' : 'direct');
    assert.equal(rig.bench.ground.machine.view.getInt32(rig.device.statePage + 0x104, true), generation);
    assert.equal(rig.driver.status, 0xf);
  }
  assert.deepEqual(rig.bench.faults, []);
  assert.deepEqual(rig.bench.failures, []);
  assert.equal(rig.device.counters.monitorEntriesWhenDirect, 0);
});

void test('requests under way are waited for, in either direction, and kicks wait meanwhile', async () => {
  const held: (() => void)[] = [];
  const inner = new MemoryDisk(new Uint8Array(1 << 20));
  const disk: BlockBackend = {
    sectors: inner.sectors,
    readOnly: false,
    id: 'slow',
    read: async (sector, into) => {
      await new Promise<void>((resolve) => held.push(resolve));
      await inner.read(sector, into);
    },
    write: async (sector, from) => inner.write(sector, from),
    flush: async () => inner.flush(),
  };
  const rig = new Rig(disk).start();
  for (const to of ['interposed', 'direct'] as const) {
    const slow = rig.ask(0, 0, SECTOR);
    rig.queue.kick();
    await settle();
    assert.equal(held.length, 1);
    const switching = to === 'interposed' ? rig.device.interpose() : rig.device.stepAway();
    await settle();
    const later = rig.ask(1, 1, new Uint8Array(SECTOR).fill(9));
    rig.queue.kick();
    await settle();
    assert.equal(rig.status(slow), 0xee, 'it is still under way');
    assert.equal(rig.status(later), 0xee, 'a later one waits');
    assert.notEqual(rig.device.mode, to);
    held.pop()?.();
    await rig.finish(2);
    await switching;
    assert.equal(rig.device.mode, to);
    assert.equal(rig.status(slow), 0);
    assert.equal(rig.status(later), 0);
  }
  const slow = rig.ask(0, 0, SECTOR);
  rig.queue.kick();
  await settle();
  await assert.rejects(rig.device.interpose({ timeout: 30 }), { code: 'busy' });
  assert.equal(rig.device.mode, 'direct');
  held.pop()?.();
  await rig.finish(1);
  assert.equal(rig.status(slow), 0);
});

void test('a hart does requests by itself through the monitor and its driver too, unless the monitor is to do something', async () => {
  const bytes = new Uint8Array(1 << 20).map((_, i) => (i * 31) >>> 3);
  let local = 0;
  const each = (
    buffers: readonly Uint8Array[],
    position: number,
    move: (b: Uint8Array, at: number) => void,
  ): number => {
    local++;
    let at = position;
    for (const buffer of buffers) {
      move(buffer, at);
      at += buffer.length;
    }
    return at - position;
  };
  const file: LocalFile = {
    read: (into, position) => each(into, position, (b, at) => b.set(bytes.subarray(at, at + b.length))),
    write: (from, position) => each(from, position, (b, at) => bytes.set(b, at)),
  };
  let loans = 0;
  const memory = new MemoryDisk(bytes);
  const disk = Object.assign(memory, {
    lend: () => {
      loans++;
      return { handle: 5, giveBack: () => (loans -= 1) };
    },
  });
  const rig = new Rig(disk, () => file).start();
  const { device } = rig;
  const asked = (): number => {
    const before = local;
    const data = new Uint8Array(9 * SECTOR).map((_, i) => i ^ before);
    const w = rig.ask(1, 16, data);
    const r = rig.ask(0, 16, 9 * SECTOR);
    const beyond = rig.ask(0, disk.sectors, SECTOR);
    rig.queue.kick();
    assert.equal(rig.serve(), 3, 'they are done before the driver goes on');
    assert.deepEqual([rig.status(w), rig.status(r), rig.status(beyond)], [0, 0, 1]);
    assert.deepEqual(rig.bench.machine.peek(r.data, data.length), data);
    return local - before;
  };
  for (let round = 0; round < 3; round++) {
    await settle();
    assert.equal(asked(), 2, 'direct');
    await device.interpose();
    await settle();
    assert.equal(asked(), 2, 'interposed');
    assert.equal(asked(), 2, 'interposed');
    // A flush is the main thread's, and what comes meanwhile as well.
    const before = local;
    const f = rig.ask(4, 0, 0);
    rig.queue.kick();
    const r = rig.ask(0, 3, SECTOR);
    rig.queue.kick();
    await rig.finish(2);
    assert.deepEqual([rig.status(f), rig.status(r)], [0, 0]);
    assert.ok(local <= before + 1);
    assert.equal(asked(), 2, 'and by itself again');
    await device.stepAway();
  }
  assert.equal(loans, 1);
  assert.deepEqual(rig.bench.faults, []);
  assert.deepEqual(rig.bench.failures, []);
});
