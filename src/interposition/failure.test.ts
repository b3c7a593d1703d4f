// What fails while the monitor stands between: a request is done or answered with an error, never both, never lost.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockError } from '../computer/virtio/block-backend.js';
import { VirtioBlock as Block, type VirtioBlock } from '../computer/virtio/block.js';
import { VirtioBalloon } from '../computer/virtio/balloon.js';
import { VirtioConsole } from '../computer/virtio/console.js';
import { VirtioNet } from '../computer/virtio/net.js';
import type { BlockDriver } from './driver/block.js';
import { settle } from './testing/bench.js';
import { across, Rig } from './testing/rig.js';
import type { Subject } from './testing/subject.js';
import { balloon, console, disk, entropy, nic, SlowDisk } from './testing/subjects.js';

const MANNER = { features: -1, indirect: true };

class BadDisk extends SlowDisk {
  override read(): Promise<void> {
    return Promise.reject(new BlockError('full', 'a sector that cannot be read'));
  }
}

/** Asks the disk for `type` at `sector`; the request's name, and where its status is. */
function ask(rig: Rig, type: number, sector: number): { head: number; status: number } {
  const { driver, bench } = rig.guest;
  const header = { address: driver.allocate(16), length: 16, write: false };
  bench.machine.poke(header.address, new Uint8Array(Uint32Array.of(type, 0, sector, 0).buffer));
  const data = { address: driver.allocate(512), length: 512, write: type === 0 };
  const status = { address: driver.allocate(1, 1), length: 1, write: true };
  bench.machine.poke(status.address, Uint8Array.of(0xee));
  return { head: rig.guest.put(0, [header, data, status]), status: status.address };
}

/** Waits until the driver has so many answers; their names. */
async function answers(rig: Rig, count: number): Promise<number[]> {
  const heads: number[] = [];
  for (let i = 0; heads.length < count; i++) {
    assert.ok(i < 2000, `${heads.length} of ${count} are answered`);
    rig.guest.interrupt();
    heads.push(...rig.guest.harvest(0).map(({ head }) => head));
    await settle(1);
  }
  await settle(10);
  assert.deepEqual(rig.guest.harvest(0), [], 'none is answered twice');
  return heads;
}

void test('an error of the disk is the one request’s, and the host is told once and as without the monitor', async () => {
  const told: string[][] = [];
  for (const interposed of [false, true]) {
    const backend = new BadDisk(1);
    const subject: Subject<VirtioBlock, BlockDriver> = {
      ...disk,
      make: () => ({ ...disk.make(), device: (host) => new Block(host, backend) }),
    };
    const rig = new Rig(subject, MANNER) as unknown as Rig;
    await rig.bringUp();
    if (interposed) await rig.toggle();
    for (let i = 0; i < 3; i++) {
      const bad = ask(rig, 0, 1);
      const good = ask(rig, 1, 2);
      await answers(rig, 2);
      assert.deepEqual(
        [bad, good].map(({ status }) => rig.bench.machine.peek(status, 1)[0]),
        [1, 0],
      );
    }
    if (interposed) await rig.toggle();
    assert.deepEqual(rig.bench.failures, []);
    told.push(rig.bench.faults.slice());
    await rig.close();
  }
  assert.equal(told[0]?.length, 1);
  assert.deepEqual(told[1], told[0]);
});

const where: Record<string, (driver: BlockDriver) => void> = {
  'amid requests': (driver) => driver.fail(new Error('thrown by the test')),
  'where a request is given to the device': (driver) => {
    const { queues } = driver as unknown as { queues: { add: () => number }[] };
    const [queue] = queues;
    if (queue === undefined) throw new Error('the driver has no queue');
    queue.add = () => {
      throw new Error('thrown by the test');
    };
  },
  'where the device’s answers are taken': (driver) => {
    const { queues } = driver as unknown as { queues: { next: () => undefined }[] };
    const [queue] = queues;
    if (queue === undefined) throw new Error('the driver has no queue');
    queue.next = () => {
      throw new Error('thrown by the test');
    };
  },
};
for (const [name, fail] of Object.entries(where)) {
  void test(`the driver of a disk throws ${name}: each request has one answer, and the monitor steps away`, async () => {
    for (let turns = 0; turns < 6; turns++) {
      const rig = new Rig(disk, MANNER);
      const any = rig as unknown as Rig;
      await rig.bringUp();
      await rig.toggle();
      const asked = [1, 2, 3].map((sector) => ask(any, 1, sector));
      await settle(turns);
      const { driver } = rig.device;
      if (driver === undefined) throw new Error('there is no driver');
      fail(driver);
      asked.push(ask(any, 1, 4));
      const heads = await answers(any, 4);
      assert.deepEqual(heads.sort(), asked.map(({ head }) => head).sort());
      for (const { status } of asked) assert.ok([0, 1].includes(rig.bench.machine.peek(status, 1)[0] ?? -1));
      assert.equal(rig.bench.machine.peek(asked[3]?.status ?? 0, 1)[0], 1);
      await across(any, rig.toggle());
      assert.equal(rig.device.mode, 'direct');
      rig.traffic.ask(rig.guest);
      await rig.finish();
      const [told, ...more] = rig.bench.faults.splice(0);
      assert.match(told ?? '', /thrown by the test/);
      assert.deepEqual(more, []);
      rig.check();
      await rig.close();
    }
  });
}

for (const subject of [nic, console, entropy, balloon]) {
  void test(`the driver of a device fails and the monitor steps away: ${subject.name}`, async () => {
    const rig = new Rig(subject as unknown as Subject<VirtioNet, never>, MANNER) as unknown as Rig;
    await rig.bringUp();
    await rig.toggle();
    rig.device.driver?.fail(new Error('thrown by the test'));
    // The driver's request is answered: a frame may be lost, text too, and there is no random byte.
    rig.guest.put(subject === entropy ? 0 : 1, [
      { address: rig.guest.driver.allocate(100), length: 100, write: subject === entropy },
    ]);
    let done: unknown[] = [];
    for (let i = 0; i < 200 && done.length === 0; i++) {
      rig.guest.interrupt();
      await settle(1);
      done = rig.guest.harvest(subject === entropy ? 0 : 1);
    }
    assert.equal(done.length, 1);
    await across(rig, rig.toggle());
    rig.traffic.forget();
    rig.traffic.ask(rig.guest);
    rig.traffic.send();
    await rig.finish();
    rig.check();
    await rig.close();
  });
}

void test('what changes in a device’s configuration while it is interposed its driver is told, and it stays', async () => {
  for (const subject of [nic, console, balloon]) {
    const seen: unknown[] = [];
    for (const switches of [false, true]) {
      const rig = new Rig(subject as unknown as Subject<VirtioNet, never>, MANNER) as unknown as Rig;
      await rig.bringUp();
      const notes: unknown[] = [];
      for (let i = 0; i < 4; i++) {
        if (switches) await rig.toggle();
        const { device } = rig.device;
        if (device instanceof VirtioNet) device.setLink(i % 2 === 1);
        if (device instanceof VirtioConsole) device.resize(100 + i, 30);
        if (device instanceof VirtioBalloon) device.target = 100 + i;
        // A switch right behind it.
        await across<unknown>(rig, switches ? rig.toggle() : Promise.resolve());
        await rig.finish();
        if (switches) await rig.toggle();
        notes.push(rig.guest.look());
        // A console tells of its size in two ways, of which a driver hears by one interrupt or by two.
        if (device instanceof VirtioNet) notes.push(rig.guest.interrupts);
      }
      seen.push(notes);
      rig.check();
      await rig.close();
    }
    assert.deepEqual(seen[1], seen[0], subject.name);
  }
});

void test('devices’ budgets are used up: what the monitor asks of a device is done all the same', async () => {
  for (const subject of [disk, nic, console, entropy, balloon]) {
    const rig = new Rig(subject as unknown as Subject<VirtioNet, never>, MANNER) as unknown as Rig;
    await rig.bringUp();
    await rig.toggle();
    const { turns } = rig.bench.ground;
    turns.credit = -1;
    turns.renew = () => false;
    for (let i = 0; i < 4; i++) {
      rig.traffic.ask(rig.guest);
      rig.traffic.send();
      await rig.finish();
    }
    rig.check();
    await rig.close();
  }
});
