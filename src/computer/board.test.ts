import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Board, BOARD_SIZE, boardRegions } from './board.js';
import type { MmioRegion } from './dma.js';
import { StateError } from './state-page.js';
import { VirtioConsole } from './virtio/console.js';
import { VirtioEntropy } from './virtio/entropy.js';
import { TestMachine } from './virtio/testing/machine.js';

const BOARD = 0x4_0000;

function setUp(): { machine: TestMachine; board: Board; regions: MmioRegion[] } {
  const machine = new TestMachine(512);
  assert.ok(BOARD + BOARD_SIZE <= 0x8_0000);
  const options = { buffer: machine.buffer, offset: BOARD, harts: [0x3000], doorbell: () => undefined };
  return {
    machine,
    board: new Board({ ...options, dma: machine, budget: machine.budget }),
    regions: boardRegions({ ...options, dma: machine, hart: 0, nap: () => undefined }),
  };
}

void test('regions do not overlap, and a plugged device is on the bus until it is unplugged', () => {
  const { board, regions } = setUp();
  const sorted = [...regions].sort((a, b) => a.base - b.base);
  sorted.forEach((r, i) => i > 0 && assert.ok(r.base >= sorted[i - 1].base + sorted[i - 1].size));
  const ecam = regions.find((r) => r.base === 0x3000_0000);
  assert.ok(ecam);
  assert.equal(ecam.read(7 << 15, 4), 0xffff_ffff);
  board.plug(7, (host) => new VirtioEntropy(host, (into) => into.fill(1)));
  assert.equal(ecam.read(7 << 15, 4), 0x1044_1af4);
  assert.throws(() => board.plug(7, (host) => new VirtioConsole(host, { ports: [{}] })), RangeError);
  board.unplug(7);
  assert.equal(ecam.read(7 << 15, 4), 0xffff_ffff);
  board.plug(7, (host) => new VirtioConsole(host, { ports: [{}] }));
  assert.equal(ecam.read(7 << 15, 4), 0x1043_1af4);
});

void test('a state is taken out, put back and goes on; one that cannot be is refused', () => {
  const { board } = setUp();
  board.plug(1, (host) => new VirtioConsole(host, { ports: [{}] }));
  const state = board.takeState(1);
  board.unplug(1);
  board.putState(1, state);
  assert.throws(() => board.plug(1, (host) => new VirtioEntropy(host, () => undefined)), StateError);
  board.plug(1, (host) => new VirtioConsole(host, { ports: [{}] }));
  const again = board.takeState(1);
  assert.equal(new DataView(again.buffer).getInt32(0x108, true), -1, 'all queues are looked at');
  again.fill(0, 0x108, 0x10c);
  assert.deepEqual(again, state);
  for (const [at, value] of [
    [0, 1],
    [0x100, 1],
    [0x10c, 1],
    [0x13c, 33],
    [0x13c, -1],
    [0x140, 0x201],
    [0x404, 4096],
  ]) {
    const bad = state.slice();
    new DataView(bad.buffer).setInt32(at, value, true);
    assert.throws(() => board.putState(2, bad), StateError, `${at.toString(16)} = ${value}`);
  }
  assert.throws(() => board.putState(2, state.subarray(1)), StateError);
});

void test(
  'a guest on another thread writes while this thread serves, resets included',
  { timeout: 120_000 },
  async () => {
    const machine = new TestMachine(2048);
    const device = new VirtioConsole(machine.host(1), { ports: [{}, {}] });
    const LINES = 4000;
    const worker = new Worker(new URL('./virtio/testing/writer.js', import.meta.url), {
      workerData: { buffer: machine.buffer, lines: LINES },
    });
    const failed = new Promise<never>((_, reject) => worker.once('error', reject));
    let exited = false;
    const exit = new Promise<void>((resolve) => {
      worker.once('exit', () => {
        exited = true;
        resolve();
      });
    });
    let text = '';
    device.ports[0].onData = (bytes) => (text += new TextDecoder().decode(bytes));
    const serve = async (): Promise<void> => {
      while (!exited) {
        device.poll();
        await turn();
      }
    };
    await Promise.race([Promise.all([serve(), exit]), failed]);
    const lines = text.split('\n').slice(0, -1).map(Number);
    // Each line once and in order, whatever resets came between: the driver waits for what it has sent.
    assert.deepEqual(
      lines,
      Array.from({ length: LINES }, (_, i) => i),
    );
  },
);
