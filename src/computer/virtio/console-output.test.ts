import assert from 'node:assert/strict';
import { test } from 'node:test';
import { interruptOf, PciHost } from '../pci/host.js';
import { ConsoleOutput, OUTPUT_RING_SIZE, portOfQueue } from './console-output.js';
import { VirtioConsole } from './console.js';
import { VirtioRegisters } from './registers.js';
import { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC } from './state.js';
import { TestDriver } from './testing/driver.js';
import { TestMachine } from './testing/machine.js';

const RING = 0x1_0000;
const PCI_STATE = 0x2000;
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);

/** A console whose output harts take, as on a board. */
function setUp({ eventIdx = false, gather = 0 } = {}) {
  const machine = new TestMachine(512);
  assert.ok(RING + OUTPUT_RING_SIZE < 0x8_0000);
  const device = new VirtioConsole({ ...machine.host(1), outputRing: RING }, { ports: [{}, { name: 'wake' }], gather });
  const pci = new PciHost(machine.buffer, PCI_STATE, 1, (stateOffset, slot) => {
    const line = machine.plic.line(interruptOf(slot));
    const output = new ConsoleOutput({ buffer: machine.buffer, stateOffset, dma: machine, line, outputRing: RING });
    const ring = (): void => {
      machine.rings++;
    };
    return new VirtioRegisters(machine.buffer, stateOffset, line, ring, (q) => {
      if (portOfQueue(q) >= 0 && output.transmit(q)) naps.push(() => output.napping());
      return false;
    });
  });
  const naps: (() => boolean)[] = [];
  Object.assign(machine, { pci });
  const driver = new TestDriver(machine, 1);
  driver.negotiate(VIRTIO_F_INDIRECT_DESC | (eventIdx ? VIRTIO_F_EVENT_IDX : 0));
  const queues = [0, 1, 2, 3, 4, 5].map((q) => driver.queue(q, { eventIdx }));
  driver.start();
  device.poll();
  const got = ['', ''];
  device.ports.forEach((port, i) => (port.onData = (b) => (got[i] += text(b))));
  return { machine, device, driver, queues, got, naps };
}

void test('queues of ports', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6, 7].map((q) => portOfQueue(q)),
    [-1, 0, -1, -1, -1, 1, -1, 2],
  );
});

void test('a kick consumes the text at once; the main thread finds it later, in order', () => {
  const { device, queues, got, machine } = setUp();
  let sent = '';
  machine.rings = 0;
  for (let i = 0; i < 20; i++) {
    const line = `line ${i}\n`;
    queues[1].add([bytes(line.slice(0, 3)), bytes(line.slice(3))]);
    queues[1].kick();
    assert.equal(queues[1].harvest().length, 1, 'before any poll');
    sent += line;
  }
  queues[5].add([bytes('w')]);
  queues[5].kick();
  assert.equal(queues[5].harvest().length, 1);
  assert.deepEqual(got, ['', '']);
  assert.equal(machine.rings, 2, 'one doorbell for each queue');
  device.poll();
  assert.deepEqual(got, [sent, 'w']);
});

void test('what does not fit the ring stays in the queue, and nothing is out of order', () => {
  const { device, queues, got } = setUp();
  let sent = '';
  let consumed = 0;
  for (let i = 0; i < 30; i++) {
    const piece = String.fromCharCode(97 + (i % 26)).repeat(i === 20 ? 20_000 : 700);
    queues[1].add([bytes(piece)]);
    sent += piece;
    queues[1].kick();
    consumed += queues[1].harvest().length;
  }
  assert.ok(consumed > 5 && consumed < 12, `${consumed}`);
  for (let turns = 0; turns < 5; turns++) device.poll();
  assert.equal(consumed + queues[1].harvest().length, 30);
  assert.equal(got[0], sent);
});

void test('garbage is left to the main thread, which stops the device', () => {
  const { machine, device, queues } = setUp();
  queues[1].addBuffers([{ address: machine.memoryEnd + 4096, length: 16, write: false }]);
  queues[1].kick();
  assert.deepEqual(machine.faults, []);
  device.poll();
  assert.equal(machine.faults.length, 1);
  assert.match(machine.faults[0], /queue 1/);
});

void test('after a reset the harts take nothing until the driver is there again', () => {
  const { device, driver, queues, got } = setUp();
  driver.status = 0;
  queues[1].add([bytes('too late')]);
  queues[1].kick();
  device.poll();
  assert.deepEqual(got, ['', '']);
});

void test('what was said before a reset is heard after it, once', () => {
  const { device, driver, queues, got } = setUp();
  queues[1].add([bytes('last words')]);
  queues[1].kick();
  assert.equal(queues[1].harvest().length, 1);
  driver.status = 0;
  assert.deepEqual(got, ['', '']);
  device.poll();
  device.poll();
  assert.deepEqual(got, ['last words', '']);
});

void test('a port whose reader has no room is left alone, and goes on where it was', () => {
  const { machine, device, queues, got, naps } = setUp();
  queues[1].add([bytes('one ')]);
  queues[1].kick();
  device.ports[0].hold();
  device.poll();
  assert.equal(queues[1].harvest().length, 1);
  assert.equal(got[0], 'one ', 'what was on its way comes');
  queues[1].add([bytes('two ')]);
  queues[1].kick();
  queues[5].add([bytes('w')]);
  queues[5].kick();
  for (let i = 0; i < 3; i++) device.poll();
  assert.deepEqual(got, ['one ', 'w'], 'other ports do not wait');
  assert.equal(queues[1].harvest().length, 0);
  assert.deepEqual(
    naps.map((still) => still()),
    [true],
    'a hart whose driver would spin naps',
  );
  machine.wakes = 0;
  device.ports[0].letGo();
  device.poll();
  assert.equal(queues[1].harvest().length, 1);
  assert.equal(got[0], 'one two ');
  assert.equal(naps[0](), false);
  assert.equal(machine.wakes, 1);
});

void test('a plain port that is held makes no hart nap: its driver sleeps by itself', () => {
  const { device, queues, naps, got } = setUp();
  device.ports[1].hold();
  queues[5].add([bytes('w')]);
  queues[5].kick();
  device.poll();
  assert.deepEqual([naps.length, got[1]], [0, '']);
});

void test('a reset ends the nap of a hart', () => {
  const { device, driver, queues, naps } = setUp();
  device.ports[0].hold();
  queues[1].add([bytes('never')]);
  queues[1].kick();
  assert.equal(naps[0](), true);
  driver.status = 0;
  device.poll();
  assert.equal(naps[0](), false);
});

void test('a driver that has seen its text taken gets no interrupt for it; one that sleeps gets one', () => {
  const { device, queues, driver } = setUp({ eventIdx: true });
  assert.ok(driver.isr <= 1);
  for (let i = 0; i < 5; i++) {
    queues[1].add([bytes('spins')]);
    queues[1].kick();
    assert.equal(queues[1].harvest().length, 1);
    queues[1].interruptAfter(0);
  }
  device.poll();
  // The very first has nothing to compare with.
  assert.ok(driver.isr <= 1);
  queues[1].add([bytes('spins')]);
  queues[1].kick();
  assert.equal(queues[1].harvest().length, 1);
  queues[1].interruptAfter(0);
  device.poll();
  assert.equal(driver.isr, 0);
  queues[1].interruptAfter(0);
  queues[1].add([bytes('sleeps')]);
  queues[1].kick();
  device.poll();
  assert.equal(driver.isr, 1);
  assert.equal(queues[1].harvest().length, 1);
});

void test('with the lock in its hand a hart does no more than a little, and the main thread no more than its budget', () => {
  const { machine, device, queues, got } = setUp();
  const many = 400;
  const empty = Array.from({ length: many }, () => ({ address: machine.memoryEnd - 4096, length: 0, write: false }));
  for (let i = 0; i < 8; i++) queues[1].addBuffers(empty.slice(0, 3));
  queues[1].add([bytes('end')]);
  queues[1].kick();
  assert.equal(queues[1].harvest().length, 9, 'a few short chains are taken at once');
  for (let i = 0; i < 4; i++) {
    const head = queues[1].addBuffers(empty, true);
    assert.ok(head >= 0);
  }
  queues[1].kick();
  const byHart = queues[1].harvest().length;
  assert.ok(byHart < 4, `${byHart} chains of ${many} buffers each`);
  machine.budget.credit = 1;
  device.poll();
  const first = queues[1].harvest().length;
  assert.ok(byHart + first < 4, 'the budget was used up');
  machine.budget.credit = Infinity;
  device.poll();
  assert.equal(byHart + first + queues[1].harvest().length, 4);
  device.poll();
  assert.equal(got[0], 'end');
});

void test('what a console prints within a moment comes together, with one doorbell; other ports do not wait', async () => {
  const { machine, device, queues, got } = setUp({ gather: 40 });
  const print = (text: string): void => {
    queues[1].add([bytes(text)]);
    queues[1].kick();
    queues[1].harvest();
    device.poll();
  };
  print('at once ');
  assert.equal(got[0], 'at once ');
  machine.rings = 0;
  for (let i = 0; i < 20; i++) print('later ');
  assert.equal(got[0], 'at once ');
  assert.equal(machine.rings, 1);
  queues[5].add([bytes('w')]);
  queues[5].kick();
  device.poll();
  assert.equal(got[1], 'w');
  for (let i = 0; i < 3; i++) print('again ');
  const rings = machine.rings;
  await new Promise((resolve) => setTimeout(resolve, 80));
  assert.equal(machine.rings, rings + 1, 'the device asks to be polled');
  device.poll();
  assert.ok(got[0].endsWith('again again again '));
  // One that is about to have no room does not wait.
  for (let i = 0; i < 8; i++) print('x'.repeat(700));
  assert.ok(got[0].endsWith('x'.repeat(700)));
});
