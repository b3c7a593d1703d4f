import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { handleOf, openLocal } from '../../adapters/node/disk/local-file.js';
import { MemoryDisk, type BlockBackend, type Loan } from './block-backend.js';
import type { SyncDisk } from './block-requests.js';
import { VirtioBlock } from './block.js';
import { LocalDisks, LocalDiskSlot } from './local-disk.js';
import * as s from './state.js';
import { TestDriver, type DriverQueue } from './testing/driver.js';
import { hartServes, syncDisk } from './testing/hart-disk.js';
import { MEMORY_BASE, TestMachine } from './testing/machine.js';
import { stress } from './testing/stress.js';

const SECTORS = 256;
const SLOT = 2;
/** Byte offset of the device's state page in a test machine. */
const STATE = 0x8000 + SLOT * 4096;
const IN = 0;
const OUT = 1;
const FLUSH = 4;

const folder = mkdtempSync(join(tmpdir(), 'local-'));
after(() => rmSync(folder, { recursive: true }));

function header(type: number, sector: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(8, sector, true);
  return bytes;
}

interface Setting {
  readonly machine: TestMachine;
  readonly device: VirtioBlock;
  readonly driver: TestDriver;
  readonly queue: DriverQueue;
  readonly word: (at: number) => number;
}

function setUp(backend: BlockBackend, disk: () => SyncDisk | undefined, features = -1): Setting {
  const machine = new TestMachine(512);
  hartServes(machine, disk);
  const device = new VirtioBlock(machine.host(SLOT), backend);
  const driver = new TestDriver(machine, SLOT);
  driver.negotiate(features);
  const queue = driver.queue(0, { eventIdx: (features & s.VIRTIO_F_EVENT_IDX) !== 0 });
  driver.start();
  device.poll();
  machine.rings = 0;
  return { machine, device, driver, queue, word: (at) => machine.view.getInt32(STATE + at, true) };
}

test('a read is done and the interrupt raised before the kick returns; the main thread hears nothing', () => {
  const backend = new MemoryDisk(Uint8Array.from({ length: SECTORS * 512 }, (_, i) => i % 251));
  const { machine, driver, queue, word } = setUp(backend, () => syncDisk(backend));
  const [, data, , status] = queue.add([header(IN, 3)], [1000, 24, 1]);
  machine.reports.length = 0;
  queue.kick();
  assert.deepEqual(
    queue.harvest().map(({ length }) => length),
    [1025],
  );
  assert.deepEqual(machine.peek(data.address, 1000), backend.bytes.slice(3 * 512, 3 * 512 + 1000));
  assert.equal(machine.peek(status.address, 1)[0], 0);
  assert.deepEqual([machine.raised(SLOT), driver.isr, machine.rings, word(s.KICKED), word(s.BUSY)], [true, 1, 0, 0, 0]);
  // Code translated from there is dropped.
  const at = machine.offsetOf(data.address);
  assert.ok(machine.reports.some(([start, length]) => start <= at && at < start + length));
});

test('what is no read or write is left in the queue, in order, for the main thread', async () => {
  const backend = new MemoryDisk(new Uint8Array(SECTORS * 512));
  const { machine, device, queue } = setUp(backend, () => syncDisk(backend));
  const one = queue.add([header(OUT, 1), new Uint8Array(512).fill(1)], [1]);
  queue.add([header(FLUSH, 0)], [1]);
  const two = queue.add([header(OUT, 1), new Uint8Array(512).fill(2)], [1]);
  queue.kick();
  assert.deepEqual([queue.harvest().length, machine.rings], [1, 1]);
  assert.equal(backend.bytes[512], 1, 'nothing overtakes the flush');
  device.poll();
  await device.quiet();
  assert.equal(queue.harvest().length, 2);
  assert.equal(backend.bytes[512], 2);
  for (const buffers of [one, two]) assert.deepEqual([...machine.peek(buffers[2].address, 1)], [0]);
});

test('a page that may not be written as it is, and garbage, are the main thread’s', async () => {
  const backend = new MemoryDisk(new Uint8Array(SECTORS * 512).fill(5));
  const { machine, device, driver, queue } = setUp(backend, () => syncDisk(backend));
  const data = driver.allocate(8192, 4096);
  machine.readOnly.add((data - MEMORY_BASE) / 4096 + 1);
  const request = [
    { address: driver.allocate(16), length: 16, write: false },
    { address: data, length: 8192, write: true },
    { address: driver.allocate(1), length: 1, write: true },
  ];
  machine.poke(request[0].address, header(IN, 0));
  queue.addBuffers(request);
  queue.kick();
  assert.deepEqual([queue.harvest().length, machine.faults.length, machine.rings], [0, 0, 1]);
  assert.equal(machine.peek(data, 1)[0], 0, 'nothing was begun');
  // As when a page becomes writable once the main thread writes to it.
  machine.readOnly.clear();
  device.poll();
  await device.quiet();
  assert.equal(queue.harvest().length, 1);
  assert.equal(machine.peek(data + 8191, 1)[0], 5);

  queue.publish(9999);
  queue.kick();
  assert.deepEqual(machine.faults, []);
  device.poll();
  assert.equal(machine.faults.length, 1);
  assert.equal(driver.status & s.DEVICE_NEEDS_RESET, s.DEVICE_NEEDS_RESET);
  queue.kick();
  assert.equal(queue.harvest().length, 0, 'and harts take nothing until the reset');
});

test('a device area that may not be written: nothing is taken', () => {
  const backend = new MemoryDisk(new Uint8Array(SECTORS * 512));
  const { machine, device, queue } = setUp(backend, () => syncDisk(backend));
  queue.add([header(OUT, 1), new Uint8Array(512).fill(1)], [1]);
  machine.readOnly.add(Math.floor((queue.used + 4 + 8 * queue.size - MEMORY_BASE) / 4096));
  queue.kick();
  assert.equal(backend.bytes[512], 0);
  device.poll();
  assert.equal(machine.faults.length, 1);
});

test('errors of the host are I/O errors: full, gone, ended', () => {
  const path = join(folder, 'short');
  writeFileSync(path, new Uint8Array(SECTORS * 512).fill(1));
  const file = openSync(path, 'r+');
  const full = openSync('/dev/full', 'r+');
  const closed = openSync(path, 'r+');
  closeSync(closed);
  ftruncateSync(file, 3 * 512);
  const disks: [fd: number, type: number, sector: number, status: number][] = [
    [full, OUT, 0, 1],
    [full, IN, 0, 0],
    [closed, IN, 0, 1],
    [closed, OUT, 0, 1],
    [file, IN, 2, 0],
    // Its first half is there.
    [file, IN, 1, 0],
    [file, IN, 100, 1],
  ];
  const machine = new TestMachine(512);
  const board = 0x7000;
  const doorbell = (): unknown => machine.rings++;
  const local = new LocalDisks({ buffer: machine.buffer, page: board, open: openLocal, doorbell });
  hartServes(machine, () => local.at(SLOT, STATE));
  const device = new VirtioBlock(machine.host(SLOT), new MemoryDisk(new Uint8Array(SECTORS * 512)));
  const slot = new LocalDiskSlot(machine.buffer, board, SLOT, STATE);
  const driver = new TestDriver(machine, SLOT);
  driver.negotiate(-1);
  const queue = driver.queue(0);
  driver.start();
  device.poll();
  const loan = (fd: number): Loan => ({ handle: handleOf(fd), giveBack: () => undefined });
  for (const [fd, type, sector, status] of disks) {
    slot.offer(loan(fd), { sectors: SECTORS, readOnly: false });
    const out = [header(type, sector), ...(type === OUT ? [new Uint8Array(512)] : [])];
    const at = queue.add(out, type === IN ? [512, 1] : [1]).at(-1)?.address ?? 0;
    queue.kick();
    assert.equal(queue.harvest().length, 1, `type ${type} at ${sector}`);
    assert.equal(machine.peek(at, 1)[0], status, `type ${type} at ${sector} of ${fd}`);
  }
  // A file that is shorter than the disk it was is not made longer by a read, and one past the disk's end not by a write.
  assert.equal(readFileSync(path).length, 3 * 512);
  slot.offer(loan(file), { sectors: SECTORS, readOnly: true });
  const at = queue.add([header(OUT, 0), new Uint8Array(512)], [1])[2].address;
  queue.kick();
  assert.equal(machine.peek(at, 1)[0], 1, 'read-only');
  slot.withdraw();
  queue.add([header(IN, 0)], [512, 1]);
  queue.kick();
  assert.equal(queue.harvest().length, 1, 'only the one before');
  for (const fd of [file, full]) closeSync(fd);
});

test('more than a turn holds goes on without another kick', async () => {
  const backend = new MemoryDisk(new Uint8Array(SECTORS * 512));
  const slow: SyncDisk = {
    ...syncDisk(backend),
    write: () => {
      for (const end = performance.now() + 3; performance.now() < end;);
    },
  };
  const { device, queue, machine } = setUp(backend, () => slow);
  const data = new Uint8Array(64 * 512);
  for (let n = 0; n < 24; n++) queue.add([header(OUT, n), data], [1]);
  queue.kick();
  const first = queue.harvest().length;
  assert.ok(first >= 1 && first < 24, `${first}`);
  assert.equal(machine.rings, 1);
  let done = first;
  for (let n = 0; n < 100 && done < 24; n++) {
    device.poll();
    await turn();
    done += queue.harvest().length;
  }
  assert.equal(done, 24);
});

test('a disk that is slow is left to the main thread for a while', async () => {
  const backend = new MemoryDisk(new Uint8Array(SECTORS * 512));
  let asked = 0;
  const slow: SyncDisk = {
    ...syncDisk(backend),
    read: () => {
      asked++;
      for (const end = performance.now() + 8; performance.now() < end;);
    },
  };
  const { device, queue } = setUp(backend, () => slow);
  for (let n = 0; n < 40; n++) {
    queue.add([header(IN, 0)], [512, 1]);
    queue.kick();
    device.poll();
    await device.quiet();
    assert.equal(queue.harvest().length, 1);
  }
  assert.ok(asked > 0 && asked < 30, `${asked} of 40`);
});

test('what the main thread finishes during a hart’s turn is handed out after it, or dropped by a reset', async () => {
  for (const reset of [false, true]) {
    const waiting: (() => void)[] = [];
    const backend = new MemoryDisk(new Uint8Array(SECTORS * 512).fill(7));
    const flush = (): Promise<void> => new Promise((resolve) => waiting.push(resolve));
    Object.assign(backend, { flush });
    const during = { run: (): void => undefined };
    const disk = syncDisk(backend);
    const { device, driver, queue, word, machine } = setUp(backend, () => ({
      ...disk,
      read: (sector, into) => {
        during.run();
        disk.read(sector, into);
      },
    }));
    queue.add([header(FLUSH, 0)], [1]);
    queue.kick();
    device.poll();
    assert.deepEqual([device.underWay, word(s.UNDER_WAY)], [1, 1]);
    queue.add([header(IN, 0)], [512, 1]);
    // The promise's reactions run when this test awaits; the hart's turn is kept open over that by hand.
    queue.kick();
    assert.equal(queue.harvest().length, 1, 'a flush under way keeps no read waiting');
    machine.view.setInt32(STATE + s.BUSY, 4, true);
    waiting[0]();
    await turn();
    assert.equal(queue.harvest().length, 0);
    assert.equal(device.underWay, 1);
    assert.notEqual(word(s.KICKED) & s.MAIN_WAITS, 0, 'so the hart will ring');
    if (reset) driver.status = 0;
    machine.view.setInt32(STATE + s.BUSY, 0, true);
    device.poll();
    await device.quiet();
    assert.equal(queue.harvest().length, reset ? 0 : 1);
    assert.deepEqual([device.underWay, word(s.UNDER_WAY)], [0, 0]);
  }
});

test('the main thread keeps the kicks it finds during a hart’s turn', () => {
  const backend = new MemoryDisk(new Uint8Array(SECTORS * 512));
  const { machine, device, queue, word } = setUp(backend, () => undefined);
  queue.add([header(OUT, 1), new Uint8Array(512).fill(1)], [1]);
  queue.kick();
  machine.view.setInt32(STATE + s.BUSY, 4, true);
  device.poll();
  assert.deepEqual([word(s.KICKED), device.underWay], [1 | s.MAIN_WAITS, 0]);
  // The hart on which the driver kicks again leaves that to the one whose turn it is.
  const rings = machine.rings;
  queue.kick();
  assert.equal(machine.rings, rings);
  machine.view.setInt32(STATE + s.BUSY, 0, true);
  device.poll();
  assert.equal(device.underWay, 1);
});

test('requests from before a reset are over before anything is taken after it', async () => {
  const waiting: (() => void)[] = [];
  const backend = new MemoryDisk(new Uint8Array(SECTORS * 512));
  const order: string[] = [];
  backend.write = async (_, from) => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    order.push(`old ${from[0]}`);
  };
  const harts = { serve: false };
  const disk: SyncDisk = { ...syncDisk(backend), write: (_, from) => void order.push(`new ${from[0][0]}`) };
  const { device, driver, queue } = setUp(backend, () => (harts.serve ? disk : undefined));
  queue.add([header(OUT, 0), new Uint8Array(512).fill(1)], [1]);
  queue.kick();
  device.poll();
  assert.equal(device.underWay, 1);
  driver.status = 0;
  driver.negotiate(-1);
  const again = driver.queue(0);
  driver.start();
  harts.serve = true;
  device.poll();
  again.add([header(OUT, 0), new Uint8Array(512).fill(2)], [1]);
  again.kick();
  device.poll();
  assert.deepEqual([order, again.harvest().length], [[], 0]);
  waiting[0]();
  await turn();
  // The main thread takes it, for it was kicked for it.
  harts.serve = false;
  backend.write = (_, from) => Promise.resolve(void order.push(`new ${from[0]}`));
  device.poll();
  await device.quiet();
  assert.deepEqual([order, again.harvest().length], [['old 1', 'new 2'], 1]);
});

test('a loan is asked back, and given back when the device is taken out', () => {
  const backend = new MemoryDisk(new Uint8Array(SECTORS * 512));
  let recall = (): boolean => true;
  let given = 0;
  Object.assign(backend, {
    lend: (r: () => boolean): Loan => {
      recall = r;
      return { handle: 7, giveBack: () => (given += 1) };
    },
  });
  for (const end of ['recall', 'detach'] as const) {
    given = 0;
    const machine = new TestMachine(64);
    const local = new LocalDiskSlot(machine.buffer, 0x7000, SLOT, STATE);
    const device = new VirtioBlock({ ...machine.host(SLOT), local: () => local }, backend);
    const at = 0x7000 + SLOT * 32;
    assert.deepEqual([machine.view.getInt32(at, true), machine.view.getInt32(at + 4, true)], [7, SECTORS]);
    // A hart is in the middle of something.
    machine.view.setInt32(STATE + s.BUSY, 6, true);
    if (end === 'recall') assert.equal(recall(), false);
    else device.detach();
    assert.deepEqual([machine.view.getInt32(at, true), given], [0, 0]);
    machine.view.setInt32(STATE + s.BUSY, 0, true);
    if (end === 'recall') assert.equal(recall(), true);
    else device.detach();
    assert.equal(given, 1);
  }
});

/** Deterministic random numbers (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

test(
  'whatever a driver asks for, sense or garbage, comes out the same from either thread',
  { timeout: 120_000 },
  async () => {
    let served = 0;
    let byHart = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const outcomes = [];
      for (const path of ['main', 'hart'] as const) {
        const next = random(seed);
        const backend = new MemoryDisk(Uint8Array.from({ length: SECTORS * 512 }, (_, i) => i % 253));
        const { machine, device, driver, queue } = setUp(backend, () =>
          path === 'hart' ? syncDisk(backend) : undefined,
        );
        const HOLE = MEMORY_BASE + 0x10_0000;
        machine.holes.add((HOLE - MEMORY_BASE) / 4096);
        machine.readOnly.add((HOLE - MEMORY_BASE) / 4096 + 1);
        const data = driver.allocate(0x1_0000, 4096);
        const log: unknown[] = [];
        for (let n = 0; n < 60; n++) {
          const out = 1 + next(3);
          const count = out + (next(40) === 0 ? 0 : 1 + next(3));
          let put = 0;
          for (let i = 0; i < count; i++) {
            const wild = next(150) === 0;
            const at = wild
              ? [HOLE, HOLE + 4096, machine.memoryEnd - 1, next(2 ** 32)][next(4)]
              : data + 0x1000 * i + next(0x800);
            if (i === 0 && !wild) {
              const bytes = header([0, 0, 0, 1, 1, 1, 4, 8, 11, 13, next(20)][next(11)], next(SECTORS + 3));
              if (next(30) === 0) bytes[12 + next(4)] = next(256);
              machine.poke(at, bytes);
            }
            const last = i === count - 1;
            const length =
              i === 0 && next(12) > 0 ? 16 : last && next(4) > 0 ? 1 : [512 * next(5), 512, 16, next(5000)][next(4)];
            const flags = (i >= out ? 2 : 0) | (last ? 0 : 1);
            queue.describe(queue.desc, i, at, length, flags, next(300) === 0 ? next(600) : i + 1);
            put += length;
          }
          queue.publish(next(200) === 0 ? next(65536) : 0);
          queue.kick();
          if (path === 'hart' && machine.peek16(queue.used + 2) !== (log.length & 0xffff)) byHart++;
          device.poll();
          await device.quiet();
          log.push([n, put, queue.harvest(), driver.status, driver.isr, [...machine.faults]]);
          if ((driver.status & s.DEVICE_NEEDS_RESET) !== 0) break;
          served++;
        }
        assert.equal(machine.view.getInt32(STATE + s.LOCK, true), 0);
        assert.equal(machine.view.getInt32(STATE + s.BUSY, true), 0);
        outcomes.push({ log, memory: machine.bytes.slice(0x8_0000), disk: backend.bytes });
      }
      assert.deepEqual(outcomes[1].log, outcomes[0].log, `seed ${seed}`);
      assert.deepEqual(outcomes[1].disk, outcomes[0].disk, `seed ${seed}: the disk`);
      assert.deepEqual(outcomes[1].memory, outcomes[0].memory, `seed ${seed}: the guest's memory`);
    }
    assert.ok(served > 1000 && byHart > 300, `${served} requests came that far, ${byHart} of them on the hart`);
  },
);

test(
  'two harts and the main thread at one queue, resets in between: nothing is lost, doubled or torn',
  { timeout: 240_000 },
  async () => {
    const { byHarts, byMain, resets, faults } = await stress(4000);
    assert.deepEqual(faults, []);
    assert.ok(
      byHarts > 500 && byMain > 500 && resets > 2,
      `${byHarts} by harts, ${byMain} by the main thread, ${resets} resets`,
    );
  },
);
