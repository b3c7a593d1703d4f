import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtioEntropy } from './entropy.js';
import { VirtioNet, type NetOptions } from './net.js';
import { TestDriver, type Buffer, type DriverQueue } from './testing/driver.js';
import { TestMachine } from './testing/machine.js';

const MRG = 1 << 15;
const frame = (length: number, seed = 1): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);

class Nic {
  readonly machine = new TestMachine(512);
  readonly device: VirtioNet;
  readonly driver: TestDriver;
  readonly rx: DriverQueue;
  readonly tx: DriverQueue;
  readonly buffers = new Map<number, Buffer>();

  constructor(features = -1, options: Partial<NetOptions> = {}) {
    this.device = new VirtioNet(this.machine.host(4), { mac: Uint8Array.of(2, 0, 0, 0, 0, 9), ...options });
    this.driver = new TestDriver(this.machine, 4);
    this.driver.negotiate(features);
    const eventIdx = (features & (1 << 29)) !== 0;
    this.rx = this.driver.queue(0, { eventIdx });
    this.tx = this.driver.queue(1, { eventIdx });
    this.driver.start();
    this.device.poll();
  }

  offer(...lengths: number[]): void {
    for (const length of lengths) {
      const buffer = { address: this.driver.allocate(length, 1), length, write: true };
      this.buffers.set(this.rx.addBuffers([buffer]), buffer);
    }
    this.rx.kick();
    this.device.poll();
  }

  /** Frames received, put together as their headers say. */
  received(): { header: Uint8Array; frame: Uint8Array }[] {
    const frames = [];
    const done = this.rx.harvest();
    while (done.length > 0) {
      let parts: number[] = [];
      let count = 1;
      for (let i = 0; i < count; i++) {
        const used = done.shift();
        const buffer = this.buffers.get(used?.head ?? -1);
        assert.ok(used && buffer && used.length <= buffer.length);
        parts = [...parts, ...this.machine.peek(buffer.address, used.length)];
        if (i === 0) count = parts[10] | (parts[11] << 8);
        assert.ok(count >= 1);
      }
      frames.push({ header: Uint8Array.from(parts.slice(0, 12)), frame: Uint8Array.from(parts.slice(12)) });
    }
    return frames;
  }
}

void test('the configuration has the address, the link and the MTU', () => {
  const n = new Nic(-1, { mtu: 9000 });
  const at = n.driver.config;
  assert.deepEqual(
    Array.from({ length: 6 }, (_, i) => n.driver.read(at + i, 1)),
    [2, 0, 0, 0, 0, 9],
  );
  assert.equal(n.driver.read(at + 6, 2), 1);
  assert.equal(n.driver.read(at + 10, 2), 9000);
  n.device.setLink(false);
  assert.equal(n.driver.read(at + 6, 2), 0);
  assert.equal(n.driver.isr, 2);
});

void test('frames go out; a checksum left to us is completed', () => {
  const n = new Nic();
  const sent: Uint8Array[] = [];
  n.device.onFrame = (f) => sent.push(f) > 0;
  n.tx.add([new Uint8Array(12), frame(60)]);
  // A UDP datagram as a guest leaves it: the field holds the sum of the pseudo header.
  const udp = frame(14 + 20 + 8 + 5);
  udp[40] = 0x12;
  udp[41] = 0x34;
  const header = new Uint8Array(12);
  header[0] = 1;
  header[6] = 34;
  header[8] = 6;
  n.tx.add([Uint8Array.of(...header, ...udp)]);
  n.tx.kick();
  n.device.poll();
  assert.equal(n.tx.harvest().length, 2);
  assert.deepEqual(sent[0], frame(60));
  const out = sent[1];
  // The sum over what was summed, with the old field, is now what the new field says.
  const words = (bytes: Uint8Array): number => {
    let sum = 0;
    for (let i = 34; i < bytes.length; i += 2) sum += (bytes[i] << 8) | (bytes[i + 1] ?? 0);
    return sum % 0xffff;
  };
  assert.equal((words(udp) + ((out[40] << 8) | out[41])) % 0xffff, 0);
  assert.deepEqual(
    out.filter((_, i) => i !== 40 && i !== 41),
    udp.filter((_, i) => i !== 40 && i !== 41),
  );
});

void test('frames that cannot be are dropped and counted, and the device goes on', () => {
  const n = new Nic();
  let sent = 0;
  n.device.onFrame = () => ++sent > 0;
  const header = (flags: number, gso: number, start: number, offset: number): Uint8Array =>
    Uint8Array.of(flags, gso, 0, 0, 0, 0, start & 0xff, start >> 8, offset & 0xff, offset >> 8, 0, 0);
  n.tx.add([new Uint8Array(5)]);
  n.tx.add([header(0, 0, 0, 0), frame(13)]);
  n.tx.add([header(0, 1, 0, 0), frame(60)]);
  n.tx.add([header(1, 0, 50, 9), frame(60)]);
  n.tx.add([header(1, 0, 0xffff, 0xffff), frame(60)]);
  n.tx.add([header(0, 0, 0, 0), frame(70_000)]);
  n.tx.kick();
  n.device.poll();
  assert.equal(n.tx.harvest().length, 6);
  assert.equal(n.device.counters.malformed, 6);
  n.tx.add([header(0, 0, 0, 0), frame(60)]);
  n.tx.kick();
  n.device.poll();
  assert.equal(sent, 1);
});

void test('when the outside asks for patience the rest stays in the queue', () => {
  const n = new Nic();
  const sent: number[] = [];
  n.device.onFrame = (f) => {
    sent.push(f[0]);
    return sent.length % 3 !== 0;
  };
  for (let i = 0; i < 10; i++) n.tx.add([new Uint8Array(12), frame(60, i)]);
  n.tx.kick();
  n.device.poll();
  assert.equal(sent.length, 3);
  n.tx.kick();
  n.device.poll();
  assert.equal(sent.length, 3, 'a kick does not break the wait');
  for (let i = 0; i < 5; i++) {
    n.device.resume();
    assert.equal(sent.length, Math.min(10, 3 * (i + 1)), 'in a turn of its own');
    n.device.poll();
  }
  assert.deepEqual(sent, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

void test('a frame is spread over as many buffers as it needs, or waits', () => {
  const n = new Nic();
  let room = 0;
  n.device.onRoom = () => room++;
  assert.equal(n.device.receive(frame(1514)), false, 'no buffers yet');
  n.offer(1000);
  assert.equal(room, 1);
  assert.equal(n.device.receive(frame(1514)), false, 'one is too few');
  assert.equal(n.rx.harvest().length, 0);
  n.offer(300, 400);
  assert.equal(room, 2);
  assert.equal(n.device.receive(frame(1514)), true);
  assert.equal(n.device.receive(frame(20)), false);
  n.offer(2000);
  assert.equal(n.device.receive(frame(64, 5)), true);
  const got = n.received();
  assert.deepEqual(
    got.map((g) => g.frame),
    [frame(1514), frame(64, 5)],
  );
  assert.deepEqual(
    got.map((g) => g.header[10]),
    [3, 1],
  );
  assert.equal(n.machine.raised(4), true);
});

void test('without mergeable buffers a frame that does not fit is dropped', () => {
  const n = new Nic(~MRG, { checksumsVerified: true });
  n.offer(100, 2000);
  assert.equal(n.device.receive(frame(1514)), true);
  assert.equal(n.device.counters.dropped, 1);
  assert.equal(n.device.receive(frame(60)), true);
  assert.equal(n.device.receive(frame(1514)), true);
  const got = n.received();
  assert.deepEqual(
    got.map((g) => g.frame.length),
    [60, 1514],
  );
  assert.equal(got[0].header[0], 2, 'the checksum is said to be valid');
});

void test('an answer may come while the frame is being sent', () => {
  const n = new Nic();
  n.offer(2000, 2000);
  n.device.onFrame = (f) => n.device.receive(f);
  n.tx.add([new Uint8Array(12), frame(60)]);
  n.tx.add([new Uint8Array(12), frame(61)]);
  n.tx.kick();
  n.device.poll();
  assert.deepEqual(
    n.received().map((g) => g.frame),
    [frame(60), frame(61)],
  );
});

void test('the entropy device fills what it is offered', () => {
  const machine = new TestMachine();
  let next = 0;
  const device = new VirtioEntropy(machine.host(6), (into) => into.fill(++next));
  const driver = new TestDriver(machine, 6);
  driver.negotiate(-1);
  const queue = driver.queue(0, { eventIdx: true });
  driver.start();
  const buffers = [...queue.add([], [64, 8]), ...queue.add([], [10_000]), ...queue.add([Uint8Array.of(1)])];
  queue.kick();
  device.poll();
  assert.deepEqual(
    queue.harvest().map((u) => u.length),
    [72, 4096, 0],
  );
  assert.deepEqual([...machine.peek(buffers[1].address, 8)], Array(8).fill(1));
  assert.equal(machine.peek(buffers[2].address, 4097).filter((b) => b === 2).length, 4096);
});
