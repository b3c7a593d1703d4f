import assert from 'node:assert/strict';
import { test } from 'node:test';
import { interruptOf, PciHost } from '../pci/host.js';
import { ConsoleOutput, OUTPUT_RING_SIZE, portOfQueue } from './console-output.js';
import { VirtioConsole } from './console.js';
import { VirtioRegisters } from './registers.js';
import { VIRTIO_F_INDIRECT_DESC } from './state.js';
import { TestDriver } from './testing/driver.js';
import { TestMachine } from './testing/machine.js';

const RING = 0x1_0000;
const PCI_STATE = 0x2000;
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);

/** A console whose output harts take, as on a board. */
function setUp() {
  const machine = new TestMachine(512);
  assert.ok(RING + OUTPUT_RING_SIZE < 0x8_0000);
  const device = new VirtioConsole({ ...machine.host(1), outputRing: RING }, { ports: [{}, { name: 'wake' }] });
  const pci = new PciHost(machine.buffer, PCI_STATE, (stateOffset, slot) => {
    const line = machine.plic.line(interruptOf(slot));
    const output = new ConsoleOutput({ buffer: machine.buffer, stateOffset, dma: machine, line, outputRing: RING });
    const ring = (): void => {
      machine.rings++;
    };
    return new VirtioRegisters(machine.buffer, stateOffset, line, ring, (q) => {
      if (portOfQueue(q) >= 0) output.transmit(q);
    });
  });
  Object.assign(machine, { pci });
  const driver = new TestDriver(machine, 1);
  driver.negotiate(VIRTIO_F_INDIRECT_DESC);
  const queues = [0, 1, 2, 3, 4, 5].map((q) => driver.queue(q));
  driver.start();
  device.poll();
  const got = ['', ''];
  device.ports.forEach((port, i) => (port.onData = (b) => (got[i] += text(b))));
  return { machine, device, driver, queues, got };
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
