import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtioConsole } from './console.js';
import { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC } from './state.js';
import { TestDriver, type Buffer, type DriverQueue } from './testing/driver.js';
import { TestMachine } from './testing/machine.js';

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);

/** Behaves as Linux' virtio_console does. */
class ConsoleDriver extends TestDriver {
  readonly queues: DriverQueue[] = [];
  readonly messages: { port: number; event: number; value: number; rest: Uint8Array }[] = [];
  readonly #control: Buffer[] = [];

  constructor(
    machine: TestMachine,
    readonly device: VirtioConsole,
    readonly ports: number,
    features = -1,
  ) {
    super(machine, 1);
    assert.equal(this.negotiate(features), 0xb);
    const eventIdx = (features & VIRTIO_F_EVENT_IDX) !== 0;
    for (let q = 0; q < 2 * ports + 2; q++) this.queues.push(this.queue(q, { eventIdx }));
    this.start();
    for (let i = 0; i < 4; i++) this.#control.push(...this.queues[2].add([], [64]));
    this.queues[2].kick();
    device.poll();
  }

  send(port: number, event: number, value: number): void {
    const message = new Uint8Array(8);
    const view = new DataView(message.buffer);
    view.setUint32(0, port, true);
    view.setUint16(4, event, true);
    view.setUint16(6, value, true);
    this.queues[3].add([message]);
    this.queues[3].kick();
    this.device.poll();
    assert.equal(this.queues[3].harvest().length, 1, 'consumed at once: the driver spins on it');
  }

  /** Takes control messages, giving the buffers back, until none comes. */
  receive(): void {
    for (;;) {
      const done = this.queues[2].harvest();
      if (done.length === 0) return;
      for (const { length } of done) {
        const buffer = this.#control.shift();
        assert.ok(buffer);
        const m = this.machine.peek(buffer.address, length);
        const view = new DataView(m.buffer);
        this.messages.push({
          port: view.getUint32(0, true),
          event: view.getUint16(4, true),
          value: view.getUint16(6, true),
          rest: m.slice(8),
        });
        this.queues[2].addBuffers([buffer]);
        this.#control.push(buffer);
      }
      this.queues[2].kick();
      this.device.poll();
    }
  }
}

function setUp(features = -1): { machine: TestMachine; device: VirtioConsole; driver: ConsoleDriver } {
  const machine = new TestMachine();
  const device = new VirtioConsole(machine.host(1), { ports: [{}, { name: 'wake' }, {}], columns: 100, rows: 30 });
  return { machine, device, driver: new ConsoleDriver(machine, device, 3, features) };
}

for (const [name, features] of [
  ['with every feature', -1],
  ['without EVENT_IDX', ~VIRTIO_F_EVENT_IDX],
] as const) {
  void test(`ports are added, named and opened, ${name}`, () => {
    const { driver, device } = setUp(features);
    driver.send(0, 0, 1);
    driver.receive();
    assert.deepEqual(
      driver.messages.map((m) => [m.port, m.event]),
      [
        [0, 1],
        [1, 1],
        [2, 1],
      ],
    );
    driver.messages.length = 0;
    for (const p of [0, 1, 2]) driver.send(p, 3, 1);
    driver.receive();
    assert.deepEqual(driver.messages.map((m) => [m.port, m.event, m.value, m.event === 7 ? text(m.rest) : '']).sort(), [
      [0, 4, 1, ''],
      [0, 5, 0, ''],
      [0, 6, 1, ''],
      [1, 6, 1, ''],
      [1, 7, 1, 'wake'],
      [2, 6, 1, ''],
    ]);
    const size = driver.messages.find((m) => m.event === 5);
    assert.deepEqual([...(size?.rest ?? [])], [100, 0, 30, 0]);
    const seen: boolean[] = [];
    device.ports[1].onOpen = (open) => seen.push(open);
    driver.send(1, 6, 1);
    driver.send(1, 6, 0);
    driver.send(99, 6, 1);
    assert.deepEqual(seen, [true, false]);
  });

  void test(`what the guest writes arrives, whole and in order, ${name}`, () => {
    const { driver, device, machine } = setUp(features);
    let got = '';
    device.ports[0].onData = (b) => (got += text(b));
    let wake = '';
    device.ports[1].onData = (b) => (wake += text(b));
    let sent = '';
    for (let i = 0; i < 300; i++) {
      const line = `line ${i}\n`;
      driver.queues[1].add([bytes(line.slice(0, 3)), bytes(line.slice(3))], [], i % 2 === 1 && features === -1);
      sent += line;
      driver.queues[1].kick();
      driver.queues[5].add([bytes('w')]);
      driver.queues[5].kick();
      device.poll();
      assert.equal(driver.queues[1].harvest().length, 1);
      driver.queues[5].harvest();
      driver.queues[1].interruptAfter(0);
      driver.queues[5].interruptAfter(0);
      if (i > 0) assert.equal(machine.raised(1), true);
      assert.equal(driver.isr & 1, 1);
    }
    assert.equal(got, sent);
    assert.equal(wake, 'w'.repeat(300));
  });
}

void test('what the host writes waits until the port is open and has room; nothing is lost', () => {
  const { driver, device } = setUp();
  const port = device.ports[1];
  const data = Uint8Array.from({ length: 70_000 }, (_, i) => (i * 7) % 251);
  let drained = 0;
  port.onDrain = () => drained++;
  assert.equal(port.write(data.subarray(0, 10)), true);
  assert.equal(port.write(data.subarray(10)), false);
  const buffers: Buffer[] = [];
  for (let i = 0; i < 16; i++) buffers.push(...driver.queues[4].add([], [1000 + i]));
  driver.queues[4].kick();
  device.poll();
  assert.equal(driver.queues[4].harvest().length, 0, 'the port is not open');
  driver.send(1, 6, 1);
  const got: number[] = [];
  for (let turns = 0; turns < 100 && got.length < data.length; turns++) {
    for (const { length } of driver.queues[4].harvest()) {
      const b = buffers.shift();
      assert.ok(b && length <= b.length);
      got.push(...driver.machine.peek(b.address, length));
      driver.queues[4].addBuffers([b]);
      buffers.push(b);
    }
    driver.queues[4].kick();
    device.poll();
  }
  assert.deepEqual(Uint8Array.from(got), data);
  assert.equal(drained, 1);
  assert.equal(port.write(Uint8Array.of(1)), true);
});

void test('a driver without multiport has port 0 alone', () => {
  const machine = new TestMachine();
  const device = new VirtioConsole(machine.host(1), { ports: [{}, {}] });
  const driver = new TestDriver(machine, 1);
  driver.negotiate(VIRTIO_F_INDIRECT_DESC);
  const [rx, tx] = [driver.queue(0), driver.queue(1)];
  driver.start();
  device.poll();
  let got = '';
  device.ports[0].onData = (b) => (got += text(b));
  tx.add([bytes('hello')]);
  tx.kick();
  device.poll();
  assert.equal(got, 'hello');
  assert.equal(device.ports[0].open, true);
  const [buffer] = rx.add([], [16]);
  device.ports[0].write(bytes('hi'));
  assert.deepEqual(
    rx.harvest().map((u) => text(machine.peek(buffer.address, u.length))),
    ['hi'],
  );
});

void test('a resize reaches the driver by message', () => {
  const { driver, device } = setUp();
  driver.send(0, 0, 1);
  driver.send(0, 3, 1);
  driver.send(0, 6, 1);
  driver.receive();
  driver.messages.length = 0;
  device.resize(120, 50);
  driver.receive();
  assert.deepEqual(
    driver.messages.map((m) => [m.port, m.event, ...m.rest]),
    [[0, 5, 120, 0, 50, 0]],
  );
  assert.equal(driver.read(driver.config, 2), 120);
});

void test('the queues survive a reset in the middle, and the port is closed by it', () => {
  const { driver, device } = setUp();
  const seen: boolean[] = [];
  device.ports[1].onOpen = (open) => seen.push(open);
  driver.send(1, 6, 1);
  assert.equal(device.ports[1].open, true);
  driver.queues[1].add([bytes('lost')]);
  driver.status = 0;
  device.poll();
  assert.deepEqual(seen, [true, false], 'heard before there is a driver again');
  driver.negotiate(-1);
  driver.start();
  device.poll();
  assert.equal(device.ports[1].open, false);
  assert.equal(driver.status, 15);
});

void test('what the guest wrote before it closed a port is heard even if the reader has no room, up to a measure', () => {
  const { driver, device } = setUp();
  const port = device.ports[1];
  const sizes: number[] = [];
  port.onData = (b) => sizes.push(b.length);
  const got = (): number => sizes.reduce((sum, size) => sum + size, 0);
  driver.send(1, 6, 1);
  port.hold();
  const [buffer] = driver.queues[5].add([new Uint8Array(60_000)]);
  driver.queues[5].kick();
  device.poll();
  assert.equal(got(), 0);
  driver.send(1, 6, 0);
  assert.equal(got(), 60_000);
  // One that opens and closes it for ever gets no further than that.
  for (let i = 0; i < 40; i++) {
    driver.queues[5].harvest();
    driver.queues[5].addBuffers([buffer]);
    driver.queues[5].kick();
    driver.send(1, 6, 1);
    driver.send(1, 6, 0);
  }
  assert.ok(got() > 500_000 && got() < 1_200_000, `${got()} bytes`);
  port.letGo();
  device.poll();
  assert.ok(got() > 60_000);
});
