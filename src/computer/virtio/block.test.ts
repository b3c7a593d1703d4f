import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockError, MemoryDisk, type BlockBackend } from './block-backend.js';
import { VirtioBlock } from './block.js';
import { TestDriver, type DriverQueue } from './testing/driver.js';
import { hartServes, syncDisk } from './testing/hart-disk.js';
import { TestMachine } from './testing/machine.js';

const SECTORS = 256;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function disk(readOnly = false): MemoryDisk {
  return new MemoryDisk(
    Uint8Array.from({ length: SECTORS * 512 }, (_, i) => (i >> 9) ^ (i * 13)),
    'a disk with a name that is too long',
    readOnly,
  );
}

type Path = 'main' | 'hart';

class Disk {
  readonly machine = new TestMachine(512);
  readonly device: VirtioBlock;
  readonly driver: TestDriver;
  readonly queue: DriverQueue;

  /** `path`: who does reads and writes, the main thread or the hart that kicks. */
  constructor(backend: BlockBackend, path: Path = 'main', features = -1) {
    if (path === 'hart') {
      if (!(backend instanceof MemoryDisk)) throw new Error('not a disk that harts reach');
      hartServes(this.machine, () => syncDisk(backend));
    }
    this.device = new VirtioBlock(this.machine.host(2), backend);
    this.driver = new TestDriver(this.machine, 2);
    this.driver.negotiate(features);
    this.queue = this.driver.queue(0, { eventIdx: (features & (1 << 29)) !== 0 });
    this.driver.start();
  }

  header(type: number, sector: number): Uint8Array {
    const header = new Uint8Array(16);
    const view = new DataView(header.buffer);
    view.setUint32(0, type, true);
    view.setUint32(8, sector >>> 0, true);
    view.setUint32(12, Math.floor(sector / 2 ** 32), true);
    return header;
  }

  /** One request; the status, and what came back. */
  async request(
    type: number,
    sector: number,
    out: readonly Uint8Array[] = [],
    room: readonly number[] = [],
  ): Promise<{ status: number; data: Uint8Array; length: number }> {
    const buffers = this.queue.add([this.header(type, sector), ...out], [...room, 1], room.length % 2 === 1);
    this.queue.kick();
    this.device.poll();
    await this.device.quiet();
    const done = this.queue.harvest();
    assert.equal(done.length, 1);
    const parts = buffers.slice(1 + out.length).map((b) => this.machine.peek(b.address, b.length));
    const status = parts.pop();
    return {
      status: status?.[0] ?? -1,
      data: Uint8Array.from(parts.flatMap((p) => [...p])),
      length: done[0].length,
    };
  }
}

for (const path of ['main', 'hart'] as const) {
  void test(`${path}: sectors are read and written, however the buffers are cut`, async () => {
    const backend = disk();
    const d = new Disk(backend, path);
    assert.equal(d.driver.read(d.driver.config, 4), SECTORS);
    let r = await d.request(0, 3, [], [1000, 1, 535]);
    assert.deepEqual([r.status, r.length], [0, 1537]);
    assert.deepEqual(r.data, backend.bytes.slice(3 * 512, 6 * 512));
    const data = Uint8Array.from({ length: 8192 }, (_, i) => i % 199);
    r = await d.request(1, 10, [data.subarray(0, 5000), data.subarray(5000)]);
    assert.deepEqual([r.status, r.length], [0, 1]);
    assert.deepEqual(backend.bytes.slice(10 * 512, 26 * 512), data);
    assert.equal((await d.request(4, 0)).status, 0);
    assert.equal(d.machine.raised(2), true);
    assert.equal(d.driver.isr, 1);
  });

  void test(`${path}: what lies outside the disk, or is no whole sector, is an error and changes nothing`, async () => {
    const backend = disk();
    const before = backend.bytes.slice();
    const d = new Disk(backend, path);
    const sector = new Uint8Array(512);
    for (const [type, at, out, room] of [
      [0, SECTORS, 0, 512],
      [0, SECTORS - 1, 0, 1024],
      [0, 2 ** 55, 0, 512],
      [0, 2 ** 64 - 2 ** 12, 0, 512],
      [0, 0, 0, 511],
      [1, SECTORS, 512, 0],
      [1, 0, 100, 0],
    ]) {
      const r = await d.request(type, at, out > 0 ? [sector.subarray(0, out)] : [], room > 0 ? [room] : []);
      assert.equal(r.status, 1, `${type} ${at}`);
    }
    assert.equal((await d.request(99, 0)).status, 2);
    assert.deepEqual(backend.bytes, before);
  });

  void test(`${path}: a read-only disk says so and is not written`, async () => {
    const backend = disk(true);
    const before = backend.bytes.slice();
    const d = new Disk(backend, path);
    assert.notEqual(d.driver.features & (1 << 5), 0);
    assert.equal((await d.request(1, 0, [new Uint8Array(512)])).status, 1);
    const range = new Uint8Array(16);
    range[8] = 1;
    assert.equal((await d.request(13, 0, [range])).status, 2);
    assert.deepEqual(backend.bytes, before);
  });

  void test(`${path}: the serial number, zeroes and discarded sectors`, async () => {
    const backend = disk();
    const d = new Disk(backend, path);
    const r = await d.request(8, 0, [], [20]);
    assert.equal(new TextDecoder().decode(r.data), 'a disk with a name t');
    const range = new Uint8Array(16);
    const view = new DataView(range.buffer);
    view.setUint32(0, 4, true);
    view.setUint32(8, 200, true);
    for (const type of [13, 11]) {
      backend.bytes.fill(7);
      assert.equal((await d.request(type, 0, [range])).status, 0);
      assert.equal(
        backend.bytes.findIndex((b) => b === 0),
        4 * 512,
      );
      assert.equal(
        backend.bytes.findLastIndex((b) => b === 0),
        204 * 512 - 1,
      );
    }
    view.setUint32(8, SECTORS, true);
    assert.equal((await d.request(13, 0, [range])).status, 1);
  });

  void test(`${path}: zeroes take space or give it back, as the driver says; flags that mean nothing are refused`, async () => {
    const calls: string[] = [];
    const backend = disk();
    backend.zero = (sector, count) => {
      calls.push(`zero ${sector} ${count}`);
      return Promise.resolve();
    };
    backend.write = (sector, from) => {
      calls.push(`write ${sector} ${from.length / 512}`);
      return Promise.resolve();
    };
    const d = new Disk(backend, path);
    const range = new Uint8Array(16);
    const view = new DataView(range.buffer);
    view.setUint32(0, 4, true);
    view.setUint32(8, 200, true);
    const ask = async (type: number, flags: number): Promise<number> => {
      view.setUint32(12, flags, true);
      return (await d.request(type, 0, [range])).status;
    };
    assert.equal(await ask(13, 1), 0);
    assert.deepEqual(calls.splice(0), ['zero 4 200']);
    assert.equal(await ask(13, 0), 0);
    assert.deepEqual(calls.splice(0), ['write 4 128', 'write 132 72']);
    for (const flags of [2, 3, 0x8000_0000]) assert.equal(await ask(13, flags), 2);
    // "unmap" has no meaning with discard (5.2.6.2).
    assert.equal(await ask(11, 1), 2);
    assert.deepEqual(calls, []);
  });
}

/** A disk whose requests finish when the test says so. */
class SlowDisk extends MemoryDisk {
  readonly finish: ((error?: Error) => void)[] = [];
  override async read(sector: number, into: Uint8Array): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.finish.push((error) => (error === undefined ? resolve() : reject(error)));
    });
    await super.read(sector, into);
  }
}

void test('requests finish in the order the disk finishes them; a failure is an I/O error', async () => {
  const backend = new SlowDisk(disk().bytes);
  const d = new Disk(backend);
  const heads = [0, 1, 2].map((i) => {
    d.queue.add([d.header(0, i)], [512, 1]);
    return i;
  });
  d.queue.kick();
  d.device.poll();
  assert.equal(d.device.underWay, heads.length);
  backend.finish[1]();
  await turn();
  const [first] = d.queue.harvest();
  backend.finish[2](new Error('the medium is gone'));
  backend.finish[0]();
  await d.device.quiet();
  const rest = d.queue.harvest();
  assert.equal(new Set([first.head, ...rest.map((r) => r.head)]).size, 3);
  assert.deepEqual(
    [first.length, ...rest.map((r) => r.length)].sort((a, b) => a - b),
    [1, 513, 513],
  );
});

void test('a reset while requests are under way: nothing of them reaches memory that is no longer theirs', async () => {
  const backend = new SlowDisk(disk().bytes);
  const d = new Disk(backend);
  const [, data] = d.queue.add([d.header(0, 0)], [512, 1]);
  d.queue.kick();
  d.device.poll();
  d.driver.status = 0;
  assert.equal(d.driver.status, 0);
  d.driver.negotiate(-1);
  const queue = d.driver.queue(0);
  d.driver.start();
  d.device.poll();
  const before = d.machine.peek(data.address, 512);
  backend.finish[0]();
  await d.device.quiet();
  assert.deepEqual(d.machine.peek(data.address, 512), before);
  assert.equal(queue.harvest().length, 0);
});

void test('one descriptor named again and again does not pile up requests', async () => {
  const backend = new SlowDisk(disk().bytes);
  const d = new Disk(backend);
  const head = d.queue.addBuffers([
    { address: d.driver.allocate(16), length: 16, write: false },
    { address: d.driver.allocate(512), length: 512, write: true },
    { address: d.driver.allocate(1), length: 1, write: true },
  ]);
  for (let n = 0; n < 20; n++) {
    for (let i = 0; i < 100; i++) d.queue.publish(head);
    d.queue.kick();
    d.device.poll();
    d.device.poll();
  }
  assert.ok(d.device.underWay <= 128, `${d.device.underWay} requests`);
  // The queue is looked at again when they are done.
  const rings = d.machine.rings;
  backend.finish.splice(0).forEach((f) => f());
  await turn();
  assert.ok(d.machine.rings > rings || d.machine.faults.length > 0);
});

void test('what the host cannot do is an I/O error, and told once for each reason', async () => {
  const whys = ['full', 'full', 'host', 'full', 'host'] as const;
  let n = 0;
  const backend: BlockBackend = {
    sectors: SECTORS,
    readOnly: false,
    id: 'broken',
    read: () => Promise.reject(new Error('the cable is out')),
    write: () => Promise.reject(new BlockError(whys[n++], 'no room')),
    flush: () => Promise.resolve(),
  };
  const d = new Disk(backend);
  for (let i = 0; i < whys.length; i++) assert.equal((await d.request(1, 0, [new Uint8Array(512)])).status, 1);
  assert.deepEqual(d.machine.faults, ['an I/O error for the guest: no room', 'an I/O error for the guest: no room']);
  assert.equal((await d.request(0, 0, [], [512])).status, 1);
  assert.equal(d.machine.faults.length, 2, 'an error without a code is the host’s');
});
