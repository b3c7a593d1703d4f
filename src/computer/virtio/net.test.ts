import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtioEntropy } from './entropy.js';
import { VirtioNet, type NetOptions } from './net.js';
import { TestDriver, type Buffer, type DriverQueue } from './testing/driver.js';
import { TestMachine } from './testing/machine.js';

const CSUM = 1 << 0;
const GUEST_CSUM = 1 << 1;
const GUEST_TSO4 = 1 << 7;
const HOST_TSO4 = 1 << 11;
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

/** A TCP segment over IPv4 with `length` octets of data, as a guest leaves it: its field has what the driver put there. */
function tcpFrame(length: number): Uint8Array {
  const f = frame(54 + length);
  f.set([0x08, 0x00, 0x45, 0], 12);
  f.set([(40 + length) >> 8, (40 + length) & 0xff, 0, 0, 0x40, 0, 64, 6], 16);
  f.set([10, 0, 2, 15, 10, 0, 2, 2], 26);
  f.set([0x50, 0x10], 46);
  return f;
}

/** The header of a frame to be cut into segments of `size`. */
const large = (size: number, flags = 1, gso = 1, start = 34, offset = 16): Uint8Array =>
  Uint8Array.of(flags, gso, 54, 0, size & 0xff, size >> 8, start & 0xff, start >> 8, offset, 0, 0, 0);

void test('a large segment goes out as it is, with the size of its parts', () => {
  const n = new Nic();
  const sent: [Uint8Array, number][] = [];
  n.device.onFrame = (f, segment) => sent.push([f, segment]) > 0;
  n.tx.add([large(1448), tcpFrame(40_000)]);
  n.tx.add([large(1448), tcpFrame(1448)]);
  n.tx.kick();
  n.device.poll();
  assert.equal(n.tx.harvest().length, 2);
  assert.deepEqual(sent[0], [tcpFrame(40_000), 1448]);
  // One segment's worth is a frame like any other, and gets its sum.
  assert.equal(sent[1][1], 0);
  const sum = sent[1][0].slice(34).reduce((s, b, i) => s + (i % 2 === 0 ? b << 8 : b), 0);
  const before = tcpFrame(1448).slice(34, 1502);
  const field = (before[16] << 8) | before[17];
  assert.equal((sum + field) % 0xffff, 0, 'the field had stood for the pseudo header');
});

void test('a header that does not fit its frame makes no large segment', () => {
  const changed = (change: (f: Uint8Array) => void): Uint8Array => {
    const f = tcpFrame(5000);
    change(f);
    return f;
  };
  const wrong: [Uint8Array, Uint8Array][] = [
    [large(1448, 0), tcpFrame(5000)],
    [large(0), tcpFrame(5000)],
    [large(47), tcpFrame(5000)],
    [large(1448, 1, 3), tcpFrame(5000)],
    [large(1448, 1, 4), tcpFrame(5000)],
    [large(1448, 1, 0x81), tcpFrame(5000)],
    [large(1448, 1, 1, 33), tcpFrame(5000)],
    [large(1448, 1, 1, 34, 6), tcpFrame(5000)],
    [large(1448), frame(54)],
    [large(1448), tcpFrame(0)],
    [large(1448), changed((f) => (f[12] = 0x86))],
    [large(1448), changed((f) => (f[14] = 0x65))],
    [large(1448), changed((f) => (f[14] = 0x44))],
    [large(1448), changed((f) => (f[14] = 0x4f))],
    [large(1448), changed((f) => (f[17] ^= 1))],
    [large(1448), changed((f) => (f[20] = 0x20))],
    [large(1448), changed((f) => (f[21] = 1))],
    [large(1448), changed((f) => (f[23] = 17))],
    [large(1448), changed((f) => (f[46] = 0x40))],
    [large(1448), tcpFrame(8).map((b, i) => (i === 46 ? 0xf0 : b))],
  ];
  const n = new Nic();
  n.device.onFrame = () => assert.fail('a frame that cannot be');
  for (const parts of wrong) n.tx.add(parts);
  n.tx.kick();
  n.device.poll();
  assert.equal(n.tx.harvest().length, wrong.length);
  assert.equal(n.device.counters.malformed, wrong.length);
  // Whoever has not negotiated it may not ask for it; nor without the sums it needs.
  for (const feature of [HOST_TSO4, CSUM]) {
    const without = new Nic(~feature);
    without.device.onFrame = () => assert.fail('not negotiated');
    without.tx.add([large(1448), tcpFrame(5000)]);
    without.tx.kick();
    without.device.poll();
    assert.equal(without.device.counters.malformed, 1);
  }
});

void test('cutting a large segment counts as work for each of its parts', () => {
  const n = new Nic();
  let sent = 0;
  n.device.onFrame = () => ++sent > 0;
  for (let i = 0; i < 10; i++) n.tx.add([large(48), tcpFrame(4800)]);
  n.machine.budget.credit = 150;
  n.tx.kick();
  n.device.poll();
  assert.equal(sent, 2, 'the rest is for another turn');
});

void test('the driver is given a large segment with all it needs to know', () => {
  const n = new Nic(-1, { checksumsVerified: true });
  assert.equal(n.device.acceptsLarge, true);
  n.offer(...Array<number>(30).fill(1536));
  const f = tcpFrame(40_000);
  f[50] = f[51] = 0;
  assert.equal(n.device.receive(f.slice(), 1460), true);
  const [{ header, frame: got }] = n.received();
  assert.deepEqual([...header.slice(0, 10)], [1, 1, 54, 0, 1460 & 0xff, 1460 >> 8, 34, 0, 16, 0]);
  // 10.0.2.15, 10.0.2.2, TCP, and its length.
  let sum = 0x0a00 + 0x020f + 0x0a00 + 0x0202 + 6 + 40_020;
  sum = (sum & 0xffff) + (sum >> 16);
  f.set([sum >> 8, sum & 0xff], 50);
  assert.deepEqual(got, f);
});

void test('a driver that takes no large segments is given none', () => {
  for (const feature of [GUEST_TSO4, GUEST_CSUM]) {
    const n = new Nic(~feature);
    assert.equal(n.device.acceptsLarge, false);
    n.offer(65_000);
    assert.equal(n.device.receive(tcpFrame(40_000), 1460), true);
    assert.equal(n.device.receive(tcpFrame(100)), true);
    assert.deepEqual(
      n.received().map((g) => g.frame.length),
      [154],
    );
    assert.equal(n.device.counters.dropped, 1);
  }
});

void test('that frames are out is told with the next frame that comes in', async () => {
  const n = new Nic();
  n.offer(2000, 2000);
  const harvest = (): void => {
    for (const queue of [n.rx, n.tx]) {
      queue.harvest();
      queue.interruptAfter(0);
    }
  };
  const send = (count: number): void => {
    for (let i = 0; i < count; i++) n.tx.add([new Uint8Array(12), frame(60)]);
    n.tx.kick();
    n.device.poll();
  };
  send(1);
  assert.equal(n.machine.peek16(n.tx.used + 2), 1, 'it is seen at once by who looks');
  assert.equal(n.driver.isr, 0);
  assert.equal(n.device.receive(frame(64)), true);
  assert.equal(n.driver.isr, 1, 'one interrupt for both');
  harvest();
  // Where nothing comes in it is told all the same, soon.
  send(1);
  assert.equal(n.driver.isr, 0);
  for (let i = 0; i < 1000 && !n.machine.raised(4); i++) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(n.driver.isr, 1);
  // Nor does a driver that sends much wait for its buffers.
  harvest();
  send(80);
  assert.equal(n.driver.isr, 1);
  // An answer while frames are being sent tells of them as well.
  harvest();
  n.device.onFrame = (f) => n.device.receive(f);
  send(1);
  assert.equal(n.driver.isr, 1);
});

void test('a card made from a state tells of the frames that were out when it was taken', async () => {
  const n = new Nic();
  n.tx.add([new Uint8Array(12), frame(60)]);
  n.tx.kick();
  n.device.poll();
  assert.equal(n.driver.isr, 0);
  n.device.detach();
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(n.driver.isr, 0, 'what is taken out says nothing any more');
  const again = new VirtioNet(n.machine.host(4), { mac: Uint8Array.of(2, 0, 0, 0, 0, 9) });
  again.poll();
  for (let i = 0; i < 1000 && !n.machine.raised(4); i++) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(n.driver.isr, 1);
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
