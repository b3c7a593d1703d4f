// Addresses that are not the guest's memory: no access is made, it is counted and told, and the device goes on as virtio 1.2 says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtioBalloon } from './balloon.js';
import { MemoryDisk } from './block-backend.js';
import { VirtioBlock } from './block.js';
import { VirtioConsole } from './console.js';
import type { VirtioDevice } from './device.js';
import { VirtioEntropy } from './entropy.js';
import { VirtioNet } from './net.js';
import { DEVICE_NEEDS_RESET } from './state.js';
import { TestDriver, type DriverQueue } from './testing/driver.js';
import { hartServes, syncDisk } from './testing/hart-disk.js';
import { MEMORY_BASE, TestMachine } from './testing/machine.js';

const NEXT = 1;
const WRITE = 2;
const IOERR = 1;
const OK = 0;
/** Below memory, just beyond it, 4 GiB up, at a device, as far up as an address can be. */
const FOREIGN = [0x1000, 0x7fff_fe00, MEMORY_BASE + 512 * 4096, MEMORY_BASE + 2 ** 32, 0x0c00_0000, 2 ** 64 - 4096];

interface Setting {
  readonly machine: TestMachine;
  readonly device: VirtioDevice;
  readonly driver: TestDriver;
  readonly queue: DriverQueue;
}

function setUp(make: (m: TestMachine) => VirtioDevice, index: number, machine = new TestMachine(512)): Setting {
  const device = make(machine);
  const driver = new TestDriver(machine, 1);
  driver.negotiate(0);
  const queue = driver.queue(index, { size: 8 });
  driver.start();
  device.poll();
  return { machine, device, driver, queue };
}

/** Makes a chain available: [address, length, whether the device writes]. */
async function offer(s: Setting, chain: readonly (readonly [number, number, boolean])[]): Promise<void> {
  chain.forEach(([address, length, write], i) => {
    const last = i === chain.length - 1;
    s.queue.describe(s.queue.desc, i, address % 2 ** 32, length, (write ? WRITE : 0) | (last ? 0 : NEXT), i + 1);
    s.machine.poke32(s.queue.desc + 16 * i + 4, Math.floor(address / 2 ** 32));
  });
  s.queue.publish(0);
  s.queue.kick();
  s.device.poll();
  await new Promise((resolve) => setImmediate(resolve));
}

for (const path of ['main', 'hart'] as const) {
  for (const address of FOREIGN) {
    void test(`a disk, ${path} thread: data, range or header at ${address.toString(16)} is an I/O error of that request`, async () => {
      const backend = new MemoryDisk(new Uint8Array(64 * 512).fill(7));
      const machine = new TestMachine(512);
      if (path === 'hart') hartServes(machine, () => syncDisk(backend));
      const s = setUp((m) => new VirtioBlock(m.host(1), backend), 0, machine);
      const header = s.driver.allocate(16);
      const range = s.driver.allocate(16);
      const data = s.driver.allocate(512);
      const status = s.driver.allocate(16);
      const ask = async (type: number, ...middle: readonly (readonly [number, number, boolean])[]): Promise<number> => {
        machine.poke(header, Uint8Array.of(type, ...new Uint8Array(15)));
        machine.poke(status, Uint8Array.of(0xee));
        await offer(s, [[header, 16, false], ...middle, [status, 1, true]]);
        assert.equal(s.queue.harvest().length, 1, 'it is answered');
        return machine.peek(status, 1)[0];
      };
      assert.equal(await ask(0, [address, 512, true]), IOERR, 'a read');
      assert.equal(await ask(0, [data, 256, true], [address, 256, true]), IOERR, 'a read, half of it');
      assert.equal(await ask(1, [address, 512, false]), IOERR, 'a write');
      assert.equal(await ask(11, [address, 16, false]), IOERR, 'a discard');
      assert.equal(await ask(8, [address, 20, true]), IOERR, 'its serial number');
      machine.poke(status, Uint8Array.of(0xee));
      await offer(s, [
        [address, 16, false],
        [data, 512, true],
        [status, 1, true],
      ]);
      assert.deepEqual([s.queue.harvest().length, machine.peek(status, 1)[0]], [1, IOERR], 'a header');

      assert.equal(machine.refused, 6, 'each is counted');
      assert.equal(machine.faults.length, 1, 'and told once: a guest may ask for ever');
      assert.match(machine.faults[0], /not in its memory/);
      assert.ok(backend.bytes.every((byte) => byte === 7));
      machine.poke(range, new Uint8Array(16));
      assert.equal(await ask(0, [data, 512, true]), OK, 'the next is none the worse for it');
      assert.equal(s.driver.status & DEVICE_NEEDS_RESET, 0);
    });
  }
}

const console = (m: TestMachine): VirtioDevice => new VirtioConsole(m.host(1), { ports: [{}] });
const net = (m: TestMachine): VirtioDevice => new VirtioNet(m.host(1), { mac: new Uint8Array(6) });
const entropy = (m: TestMachine): VirtioDevice => new VirtioEntropy(m.host(1), (into) => into.fill(1));
const nobodys = {
  extent: { first: MEMORY_BASE / 4096, count: 512 },
  inflate: () => Promise.resolve(),
  deflate: () => Promise.resolve(),
  report: () => Promise.resolve(),
  reset: () => undefined,
};
const balloon = (m: TestMachine): VirtioDevice => new VirtioBalloon(m.host(1), nobodys);
const block = (m: TestMachine): VirtioDevice => new VirtioBlock(m.host(1), new MemoryDisk(new Uint8Array(512)));
type Chain = (address: number, own: number) => readonly (readonly [number, number, boolean])[];
const withoutStatus: Record<string, [(m: TestMachine) => VirtioDevice, number, Chain]> = {
  'a frame that is sent': [net, 1, (at) => [[at, 80, false]]],
  'a buffer for a frame': [net, 0, (at) => [[at, 2048, true]]],
  'text for a console': [console, 1, (at) => [[at, 16, false]]],
  'a buffer for a console': [console, 0, (at) => [[at, 16, true]]],
  'random bytes': [entropy, 0, (at) => [[at, 16, true]]],
  'numbers of pages for a balloon': [balloon, 0, (at) => [[at, 16, false]]],
  'the status of a disk': [
    block,
    0,
    (at, own) => [
      [own, 16, false],
      [at, 1, true],
    ],
  ],
};

for (const [name, [make, index, chain]] of Object.entries(withoutStatus)) {
  void test(`${name}: nothing can say so but DEVICE_NEEDS_RESET (2.1.2)`, async () => {
    for (const address of FOREIGN) {
      const s = setUp(make, index);
      const own = s.driver.allocate(16);
      await offer(s, chain(address, own));
      if (s.device instanceof VirtioNet) s.device.receive(new Uint8Array(60));
      if (s.device instanceof VirtioConsole) s.device.ports[0].write(Uint8Array.of(1));
      const where = address.toString(16);
      assert.equal(s.driver.status & DEVICE_NEEDS_RESET, DEVICE_NEEDS_RESET, where);
      assert.equal(s.machine.refused, 1, `counted: ${where}`);
      assert.equal(s.machine.faults.length, 1, `told: ${where}`);
    }
  });
}
