// What a guest puts into a queue is untrusted. Each case here is garbage of one kind; then many of no kind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDisk } from './block-backend.js';
import { VirtioBlock } from './block.js';
import { VirtioBalloon } from './balloon.js';
import type { PageRun } from './balloon-format.js';
import { VirtioConsole } from './console.js';
import type { VirtioDevice } from './device.js';
import { VirtioEntropy } from './entropy.js';
import { VirtioNet } from './net.js';
import { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC } from './state.js';
import { TestDriver, type DriverQueue } from './testing/driver.js';
import { MEMORY_BASE, TestMachine } from './testing/machine.js';

const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;
const HOLE = MEMORY_BASE + 0x10_0000;

interface Setting {
  machine: TestMachine;
  driver: TestDriver;
  device: VirtioConsole;
  tx: DriverQueue;
}

function setUp(features = -1, size = 8): Setting {
  const machine = new TestMachine();
  const device = new VirtioConsole(machine.host(1), { ports: [{}, {}] });
  const driver = new TestDriver(machine, 1);
  driver.negotiate(features);
  driver.queue(0);
  const tx = driver.queue(1, { size });
  driver.start();
  device.poll();
  return { machine, driver, device, tx };
}

const table = MEMORY_BASE + 0x8_0000;
const cases: Record<string, (s: Setting) => void> = {
  'a head beyond the table': ({ tx }) => tx.publish(8),
  'a chain that loops': ({ tx }) => {
    tx.describe(tx.desc, 0, MEMORY_BASE, 1, NEXT, 1);
    tx.describe(tx.desc, 1, MEMORY_BASE, 1, NEXT, 0);
    tx.publish(0);
  },
  'a next index beyond the table': ({ tx }) => {
    tx.describe(tx.desc, 0, MEMORY_BASE, 1, NEXT, 8);
    tx.publish(0);
  },
  'a buffer outside memory': ({ tx }) => {
    tx.describe(tx.desc, 0, 0x1000, 16, 0, 0);
    tx.publish(0);
  },
  'a buffer that runs out of memory': ({ tx, machine }) => {
    tx.describe(tx.desc, 0, machine.memoryEnd - 8, 16, 0, 0);
    tx.publish(0);
  },
  'a buffer in the last bytes of the address space': ({ tx, machine }) => {
    tx.describe(tx.desc, 0, 0xffff_fff0, 0xffff_ffff, 0, 0);
    machine.poke32(tx.desc + 4, 0xffff_ffff);
    tx.publish(0);
  },
  'a length that no write has': ({ tx }) => {
    tx.describe(tx.desc, 0, MEMORY_BASE, 0xffff_ffff, 0, 0);
    tx.publish(0);
  },
  'a readable buffer after a writable one': ({ tx }) => {
    tx.describe(tx.desc, 0, MEMORY_BASE, 8, WRITE | NEXT, 1);
    tx.describe(tx.desc, 1, MEMORY_BASE, 8, 0, 0);
    tx.publish(0);
  },
  'more chains than the queue holds': ({ tx, machine }) => machine.poke16(tx.avail + 2, 9),
  'an indirect table outside memory': ({ tx }) => {
    tx.describe(tx.desc, 0, 0x10, 32, INDIRECT, 0);
    tx.publish(0);
  },
  'an indirect table that is no multiple of descriptors': ({ tx }) => {
    tx.describe(tx.desc, 0, table, 24, INDIRECT, 0);
    tx.publish(0);
  },
  'an empty indirect table': ({ tx }) => {
    tx.describe(tx.desc, 0, table, 0, INDIRECT, 0);
    tx.publish(0);
  },
  'an endless indirect table': ({ tx }) => {
    tx.describe(tx.desc, 0, table, 0xffff_fff0, INDIRECT, 0);
    tx.publish(0);
  },
  'an indirect table in an indirect table': ({ tx }) => {
    tx.describe(tx.desc, 0, table, 16, INDIRECT, 0);
    tx.describe(table, 0, table, 16, INDIRECT, 0);
    tx.publish(0);
  },
  'an indirect descriptor with a next': ({ tx }) => {
    tx.describe(tx.desc, 0, table, 16, INDIRECT | NEXT, 1);
    tx.publish(0);
  },
  'an indirect table that loops': ({ tx }) => {
    tx.describe(tx.desc, 0, table, 32, INDIRECT, 0);
    tx.describe(table, 0, MEMORY_BASE, 1, NEXT, 1);
    tx.describe(table, 1, MEMORY_BASE, 1, NEXT, 0);
    tx.publish(0);
  },
  'a driver area that is gone': ({ tx, machine }) => {
    machine.holes.add(Math.floor((tx.avail - MEMORY_BASE) / 4096));
  },
  'a device area that may not be written': ({ tx, machine }) => {
    machine.readOnly.add(Math.floor((tx.used - MEMORY_BASE) / 4096));
    tx.add([Uint8Array.of(1)]);
  },
};

for (const [name, spoil] of Object.entries(cases)) {
  void test(`${name} stops the device until it is reset`, () => {
    const s = setUp();
    spoil(s);
    const before = s.machine.bytes.slice();
    s.tx.kick();
    s.device.poll();
    assert.equal(s.machine.faults.length, 1, s.machine.faults.join());
    assert.match(s.machine.faults[0], /^(queue|port) \d: /);
    assert.equal(s.driver.status & 64, 64, 'DEVICE_NEEDS_RESET');
    assert.equal(s.driver.isr & 2, 2, 'the driver is told');
    assert.equal(s.machine.raised(1), false);
    // Only the device's own page and its rings have changed.
    const changed = s.machine.bytes.slice(0x8_0000).reduce((n, b, i) => n + (b === before[0x8_0000 + i] ? 0 : 1), 0);
    assert.ok(changed <= 4, `${changed} bytes of guest memory changed`);

    s.machine.holes.clear();
    s.machine.readOnly.clear();
    s.driver.negotiate(-1);
    s.driver.queue(0);
    const tx = s.driver.queue(1);
    s.driver.start();
    let got = 0;
    s.device.ports[0].onData = (b) => (got += b.length);
    tx.add([Uint8Array.of(1, 2, 3)]);
    tx.kick();
    s.device.poll();
    assert.equal(got, 3, 'and then it works again');
  });
}

void test('an indirect descriptor without the feature, and queues set up wrongly', () => {
  const s = setUp(~VIRTIO_F_INDIRECT_DESC);
  s.tx.describe(s.tx.desc, 0, table, 16, INDIRECT, 0);
  s.tx.publish(0);
  s.tx.kick();
  s.device.poll();
  assert.equal(s.machine.faults.length, 1);
  for (const [at, value] of [
    [0x18, 0],
    [0x18, 3],
    [0x18, 0xffff],
    [0x20, 8],
    [0x28, 1],
    [0x30, 2],
    [0x24, 0xffff_ffff],
    [0x34, 0x20_0000],
  ]) {
    const machine = new TestMachine();
    const device = new VirtioConsole(machine.host(1), { ports: [{}] });
    const driver = new TestDriver(machine, 1);
    driver.negotiate(-1);
    driver.write(driver.common + 0x16, 2, 1);
    driver.write(driver.common + at, at === 0x18 ? 2 : 4, value);
    driver.write(driver.common + 0x1c, 2, 1);
    driver.start();
    device.poll();
    assert.equal(driver.status & 64, 64, `register ${at.toString(16)} = ${value}`);
  }
});

/** Deterministic random numbers (mulberry32), so that a failure can be had again. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

void test('random garbage never throws, never hangs, never reaches outside', { timeout: 120_000 }, () => {
  for (let seed = 1; seed <= 60; seed++) {
    const next = random(seed);
    const { machine, driver, device, tx } = setUp(next(2) === 0 ? -1 : ~VIRTIO_F_EVENT_IDX, 16);
    machine.holes.add((HOLE - MEMORY_BASE) / 4096);
    const control = machine.bytes.slice(0, 0x8000);
    const address = (): number =>
      [MEMORY_BASE + next(0x11_0000), next(2 ** 32), tx.desc, tx.used, machine.memoryEnd - 1][next(5)];
    for (let turn = 0; turn < 150; turn++) {
      for (let i = 0; i < 16; i++) {
        if (next(3) === 0) continue;
        const length = [next(64), next(8192), next(2 ** 32), 16 * next(40)][next(4)];
        tx.describe(next(4) === 0 ? table : tx.desc, i, address(), length, next(8), next(18));
        if (next(20) === 0) machine.poke32(tx.desc + 16 * i + 4, next(2 ** 32));
      }
      for (let i = next(4); i > 0; i--) tx.publish(next(10) === 0 ? next(65536) : next(16));
      if (next(30) === 0) machine.poke16(tx.avail + 2, next(65536));
      tx.kick();
      device.ports[0].write(Uint8Array.of(turn));
      device.poll();
      if ((driver.status & 64) === 0 && next(20) !== 0) continue;
      driver.negotiate(-1);
      for (const q of [0, 1, 2, 3]) {
        driver.write(driver.common + 0x16, 2, q);
        driver.write(driver.common + 0x18, 2, 16);
        [tx.desc, tx.avail, tx.used].forEach((a, i) => {
          driver.write(driver.common + 0x20 + 8 * i, 4, next(40) === 0 ? address() & ~15 : a);
        });
        driver.write(driver.common + 0x1c, 2, 1);
      }
      driver.start();
    }
    assert.deepEqual(
      machine.bytes.slice(0x3000, 0x8000),
      control.slice(0x3000),
      `seed ${seed}: memory that is not the guest's`,
    );
    assert.equal(machine.view.getInt32(0x9000 + 0x100, true), 0, 'the lock is free');
    assert.equal(machine.view.getInt32(0x9000 + 0x10c, true), 0, 'no turn is open');
  }
});

type Maker = (m: TestMachine) => VirtioDevice;
const makers: Record<string, { make: Maker; queues: number }> = {
  block: { make: (m) => new VirtioBlock(m.host(1), new MemoryDisk(new Uint8Array(64 * 512))), queues: 1 },
  net: { make: (m) => new VirtioNet(m.host(1), { mac: new Uint8Array(6) }), queues: 2 },
  balloon: {
    make: (m) => {
      const extent = { first: MEMORY_BASE / 4096, count: 1024 };
      // It is what the device answers for: that nothing else is named.
      const named = (runs: readonly PageRun[]): Promise<void> => {
        let count = 0;
        for (const run of runs) {
          assert.ok(run.count > 0 && run.first >= extent.first && run.first + run.count <= extent.first + extent.count);
          count += run.count;
        }
        assert.ok(count <= 16_384, `${count} pages at once`);
        return Promise.resolve();
      };
      return new VirtioBalloon(m.host(1), {
        extent,
        inflate: named,
        deflate: named,
        report: named,
        reset: () => undefined,
      });
    },
    queues: 5,
  },
  entropy: { make: (m) => new VirtioEntropy(m.host(1), (into) => into.fill(1)), queues: 1 },
  console: { make: (m) => new VirtioConsole(m.host(1), { ports: [{}, { name: 'x' }] }), queues: 6 },
};

for (const [name, { make, queues }] of Object.entries(makers)) {
  // Half of it well formed, so that it gets beyond the queue.
  void test(`requests that are half sense: ${name}`, { timeout: 120_000 }, async () => {
    let served = 0;
    for (let seed = 1; seed <= 100; seed++) {
      const next = random(seed);
      const machine = new TestMachine(1024);
      const device = make(machine);
      machine.holes.add((HOLE - MEMORY_BASE) / 4096);
      machine.readOnly.add((HOLE - MEMORY_BASE) / 4096 + 1);
      const pages = machine.bytes.slice(0x3000, 0x8000);
      const driver = new TestDriver(machine, 1);
      const features = next(2) === 0 ? -1 : next(2 ** 32);
      driver.negotiate(features);
      const list = Array.from({ length: queues }, (_, q) => driver.queue(q, { size: 8 }));
      driver.start();
      const data = driver.allocate(0x1_0000);
      for (let turn = 0; turn < 100; turn++) {
        const q = list[next(queues)];
        for (let n = next(3); n >= 0; n--) {
          const out = next(4);
          const count = out + next(4) || 1;
          for (let i = 0; i < count; i++) {
            const wild = next(100) === 0;
            const at = wild ? [HOLE, HOLE + 4096, machine.memoryEnd - 1, next(2 ** 32)][next(4)] : data + next(0x8000);
            if (!wild)
              machine.poke(
                at,
                Uint8Array.from({ length: 20 }, (_, b) => (b < 2 ? next(14) : next(3) === 0 ? next(256) : 0)),
              );
            const length = i === 0 && next(8) > 0 ? 16 : [16, 1, 12, 512 * next(4), next(5000), 8][next(6)];
            q.describe(q.desc, i, at, length, (i >= out ? WRITE : 0) | (i < count - 1 ? NEXT : 0), i + 1);
          }
          q.publish(0);
        }
        q.kick();
        if (device instanceof VirtioNet) device.receive(new Uint8Array(next(9000)), next(2) * next(2000));
        if (device instanceof VirtioConsole) device.ports[next(2)].write(new Uint8Array(next(3000)));
        device.poll();
        await Promise.resolve();
        served += q.harvest().length;
        if ((driver.status & 64) !== 0) break;
      }
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(machine.bytes.slice(0x3000, 0x8000), pages, `seed ${seed}: memory that is not the guest's`);
      const hole = machine.bytes.slice(0x8_0000 + (1023 - 257) * 4096, 0x8_0000 + (1023 - 255) * 4096);
      assert.ok(
        hole.every((b) => b === 0),
        `seed ${seed}: a page that is not there, or not to be written`,
      );
    }
    assert.ok(served > 100, `only ${served} requests came that far`);
  });
}
