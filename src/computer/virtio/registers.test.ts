import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describePci } from '../pci/description.js';
import { ECAM_SIZE, PCI_MEMORY_BASE } from '../pci/host.js';
import { VirtioConsole } from './console.js';
import { VirtioDevice } from './device.js';
import { DRIVER_FEATURES, VIRTIO_F_EVENT_IDX } from './state.js';
import { TestDriver } from './testing/driver.js';
import { TestMachine } from './testing/machine.js';

/** A device that only looks: its queues are served by the test. */
class Probe extends VirtioDevice {
  resets = 0;
  kicks = 0;
  hold: (() => void) | undefined;
  constructor(machine: TestMachine, slot = 3) {
    const config = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    super(machine.host(slot), { id: 42, classCode: 0xff_0000, features: 5, queues: [8, 4], config });
  }
  protected override process(kicked: number): void {
    this.kicks |= kicked;
    this.hold?.();
  }
  protected override onReset(): void {
    this.resets++;
  }
  change(): void {
    this.changeConfig(2, Uint8Array.of(9));
  }
}

void test('the bus shows the functions that are plugged, and nothing else', () => {
  const m = new TestMachine();
  new Probe(m);
  const { ecam } = m.pci;
  assert.equal(ecam.read(3 << 15, 4), 0x106a_1af4);
  for (let slot = 0; slot < 32; slot++) {
    if (slot !== 3) assert.equal(ecam.read(slot << 15, 4), 0xffff_ffff, `slot ${slot}`);
    assert.equal(ecam.read((slot << 15) | 0x1000, 2), 0xffff, `slot ${slot} function 1`);
  }
  assert.equal(ecam.read(ECAM_SIZE - 1, 1), 0xff);
  m.slots.unplug(3);
  assert.equal(ecam.read(3 << 15, 4), 0xffff_ffff);
  new Probe(m, 5);
  assert.equal(ecam.read(5 << 15, 2), 0x1af4);
});

void test('a BAR is sized, moved and switched off as the guest says', () => {
  const m = new TestMachine();
  new Probe(m);
  const d = new TestDriver(m, 3);
  const at = d.configRead(0x10, 4);
  assert.equal(d.read(at + 0x12, 2), 2, 'num_queues');
  d.configWrite(0x10, 4, at + 0x10_0000);
  assert.equal(d.read(at + 0x12, 2), 0xffff);
  assert.equal(d.read(at + 0x10_0012, 2), 2);
  d.configWrite(0x04, 2, 0);
  assert.equal(d.read(at + 0x10_0012, 2), 0xffff, 'memory space is off');
  d.configWrite(0x04, 1, 2);
  assert.equal(d.read(at + 0x10_0012, 2), 2);
  d.configWrite(0x00, 4, 0);
  assert.equal(d.configRead(0x00, 4), 0x106a_1af4, 'the ids are read-only');
  d.configWrite(0x3c, 1, 0x55);
  assert.equal(d.configRead(0x3c, 2), 0x155, 'the interrupt line is a note, the pin is A');
  assert.equal(d.configRead(0x14, 4), 0);
  assert.equal(d.configRead(0xffc, 4), 0);
});

void test('features are refused when they were not offered or VERSION_1 is missing, and stay once accepted', () => {
  const m = new TestMachine();
  new Probe(m);
  const d = new TestDriver(m, 3);
  assert.equal(d.features % 2 ** 28, 5);
  assert.equal(Math.floor(d.features / 2 ** 32), 1);
  const accept = (low: number, high: number): boolean => {
    d.status = 0;
    d.status = 3;
    d.write(d.common + 8, 4, 0);
    d.write(d.common + 12, 4, low);
    d.write(d.common + 8, 4, 1);
    d.write(d.common + 12, 4, high);
    d.status = 11;
    return d.status === 11;
  };
  assert.equal(accept(5, 0), false);
  assert.equal(accept(7, 1), false);
  assert.equal(accept(5, 3), false);
  assert.equal(accept(4, 1), true);
  d.write(d.common + 8, 4, 0);
  d.write(d.common + 12, 4, 1);
  assert.equal(d.read(d.common + 12, 4), 4);
});

void test('the window in the configuration space reaches the same registers', () => {
  const m = new TestMachine();
  new Probe(m);
  const d = new TestDriver(m, 3);
  let cap = d.configRead(0x34, 1);
  while (d.configRead(cap + 3, 1) !== 5) cap = d.configRead(cap + 1, 1);
  const window = (offset: number, size: number): void => {
    d.configWrite(cap + 4, 1, 0);
    d.configWrite(cap + 8, 4, offset);
    d.configWrite(cap + 12, 4, size);
  };
  window(0x12, 2);
  assert.equal(d.configRead(cap + 16, 2), 2);
  window(0x200, 4);
  assert.equal(d.configRead(cap + 16, 4), 0x0403_0201);
  window(0x14, 1);
  d.configWrite(cap + 16, 1, 3);
  assert.equal(d.status, 3);
  for (const offset of [0x1000, 0xffff_fffc, 0x8000_0000, 2]) {
    window(offset, 4);
    assert.equal(d.configRead(cap + 16, 4), 0);
  }
});

void test('a changed configuration is told by generation and interrupt; reading the ISR drops the line', () => {
  const m = new TestMachine();
  const device = new Probe(m);
  const d = new TestDriver(m, 3);
  d.negotiate(0);
  d.start();
  assert.equal(d.read(d.config + 2, 1), 3);
  const generation = d.read(d.common + 0x15, 1);
  device.change();
  assert.equal(d.read(d.config + 2, 1), 9);
  assert.notEqual(d.read(d.common + 0x15, 1), generation);
  assert.equal(m.raised(3), true);
  assert.equal(d.configRead(0x06, 2) & 8, 8, 'the interrupt bit of the PCI status');
  d.configWrite(0x04, 2, 0x406);
  assert.equal(m.raised(3), false, 'INTx is disabled');
  d.configWrite(0x04, 2, 6);
  assert.equal(m.raised(3), true);
  assert.equal(d.isr, 2);
  assert.equal(m.raised(3), false);
  assert.equal(d.isr, 0);
  assert.equal(d.read(d.config + 8, 4), 0, 'beyond the configuration');
  d.write(d.config, 4, 0);
  assert.equal(d.read(d.config, 1), 1, 'it is read-only');
});

void test('kicks are coalesced, wait for the bus master bit, and name only queues that exist', () => {
  const m = new TestMachine();
  const device = new Probe(m);
  const d = new TestDriver(m, 3);
  d.negotiate(0);
  const q = d.queue(0);
  d.configWrite(0x04, 2, 2);
  d.start();
  device.poll();
  assert.equal(device.kicks, 0);
  d.configWrite(0x04, 2, 6);
  device.poll();
  assert.notEqual(device.kicks & 1, 0);
  device.kicks = 0;
  m.rings = 0;
  q.kick();
  q.kick();
  assert.equal(m.rings, 1);
  d.write(d.notify + 4 * 2, 2, 2);
  d.write(d.notify + 4 * 31, 2, 31);
  d.write(d.notify + 2, 2, 0);
  assert.equal(m.rings, 1);
  device.poll();
  assert.equal(device.kicks, 1);
});

void test('a reset is done at once when the device is idle, and after the turn when it is not', () => {
  const m = new TestMachine();
  const device = new Probe(m);
  const d = new TestDriver(m, 3);
  d.negotiate(4);
  const q = d.queue(1, { size: 2 });
  d.start();
  device.poll();
  assert.equal(d.read(d.common + 0x1c, 2), 1);
  d.status = 0;
  assert.equal(d.status, 0);
  d.write(d.common + 0x16, 2, 1);
  assert.equal(d.read(d.common + 0x1c, 2), 0, 'the queue is disabled');
  assert.equal(d.read(d.common + 0x18, 2), 4, 'its size is the largest again');
  d.negotiate(4);
  d.start();
  let seen = -1;
  device.hold = () => {
    d.status = 0;
    seen = d.status;
    d.status = 3;
    assert.equal(d.status, seen, 'nothing else is taken before the reset is done');
  };
  q.kick();
  device.poll();
  assert.equal(seen, 15, 'the driver still sees the old status');
  assert.equal(d.status, 0);
  assert.equal(device.resets, 3);
});

void test('a state page put into another device is refused', () => {
  const m = new TestMachine();
  new Probe(m);
  assert.throws(() => new VirtioConsole(m.host(3), { ports: [{}] }), /virtio device 3/);
});

void test('a second object over the same state goes on where the first was', () => {
  const m = new TestMachine();
  new Probe(m);
  const d = new TestDriver(m, 3);
  d.negotiate(VIRTIO_F_EVENT_IDX | 4);
  d.start();
  const second = new Probe(m);
  assert.equal(second.running, true);
  assert.equal(d.status, 15);
  assert.equal(m.view.getInt32(0x8000 + 3 * 4096 + DRIVER_FEATURES, true), VIRTIO_F_EVENT_IDX | 4);
});

void test('the device tree is told of windows and lines', () => {
  const t = describePci(7);
  assert.deepEqual(t.ranges, [0x0200_0000, 0, PCI_MEMORY_BASE, 0, PCI_MEMORY_BASE, 0, 0x4000_0000]);
  assert.equal(t.interruptMap.length, 32 * 6);
  assert.deepEqual(t.interruptMap.slice(3 * 6, 4 * 6), [3 << 11, 0, 0, 1, 7, 35]);
});
