/** What every kind of device that can be suspended must stand: a new kind has all of it by one line. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEVICE_NEEDS_RESET, VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC } from '../../computer/virtio/state.js';
import type { VirtioDevice } from '../../computer/virtio/device.js';
import { ComputerDevice } from '../device.js';
import type { Driver } from '../driver/driver.js';
import { checkParts, putParts, takeParts } from '../parts.js';
import { settle } from './bench.js';
import type { Manner } from './guest.js';
import { across, Rig } from './rig.js';
import type { Subject } from './subject.js';

const ALL = -1;

/** Drivers of all sorts. */
function manners(optional: Readonly<Record<string, number>>): Record<string, Manner> {
  const common = {
    'all features': { features: ALL, indirect: true },
    'no event index': { features: ALL & ~VIRTIO_F_EVENT_IDX, indirect: true },
    'no indirect descriptors': { features: ALL & ~VIRTIO_F_INDIRECT_DESC, indirect: false },
    'no feature at all': { features: 0, indirect: false },
  };
  const less = Object.entries(optional).map(([name, bit]) => [name, { features: ALL & ~bit, indirect: true }] as const);
  return { ...common, ...Object.fromEntries(less) };
}

/** Moments in the life of a driver, in each of which a switch may come. */
type Moment = 'no driver' | 'idle' | 'asked' | 'reset';

/** What a driver sees in a life of two drivers, with `at` at each moment. */
async function life(rig: Rig, at: (moment: Moment) => Promise<void>): Promise<unknown[]> {
  const { guest, traffic } = rig;
  const seen: unknown[] = [];
  await at('no driver');
  for (let driver = 0; driver < 2; driver++) {
    await rig.bringUp();
    seen.push(guest.look());
    await at('idle');
    for (let i = 0; i < 6; i++) {
      traffic.ask(guest);
      await at('asked');
      seen.push(['asked', await rig.finish()]);
      await at('idle');
      traffic.send();
      await at('asked');
      seen.push(['sent', await rig.finish()]);
      await at('idle');
      seen.push(guest.look());
    }
    await guest.reset();
    traffic.forget();
    await at('reset');
    seen.push(guest.driver.status);
  }
  return seen;
}

export function suspendSuite<T extends VirtioDevice, D extends Driver>(subject: Subject<T, D>): void {
  const { name } = subject;
  const usual: Manner = { features: ALL, indirect: true };
  const rigOf = (manner = usual): Rig => new Rig(subject, manner) as unknown as Rig;

  for (const [how, manner] of Object.entries(manners(subject.optional))) {
    void test(`${name}, ${how}: a driver sees the same with switches between its requests as without`, async () => {
      const without = rigOf(manner);
      const expected = await life(without, () => Promise.resolve());
      without.check();
      const rig = rigOf(manner);
      let entries = 0;
      const seen = await life(rig, async (moment) => {
        if (moment === 'asked') return;
        if (rig.device.mode === 'direct') assert.equal(rig.device.counters.monitorEntries, entries, 'direct is direct');
        await rig.toggle();
        entries = rig.device.counters.monitorEntries;
      });
      assert.deepEqual(seen, expected);
      assert.ok(rig.device.counters.interposed >= 14);
      rig.check();
      await rig.close();
      await without.close();
    });

    void test(`${name}, ${how}: the same with switches begun while its requests are under way`, async () => {
      const without = rigOf(manner);
      const expected = await life(without, () => Promise.resolve());
      for (let after = 0; after < 6; after++) {
        const rig = rigOf(manner);
        let switching: Promise<unknown> | undefined;
        const seen = await life(rig, async (moment) => {
          if (moment === 'asked') {
            await settle(after);
            switching = rig.toggle();
            switching.catch(() => undefined);
          } else await switching;
        });
        assert.deepEqual(seen, expected, `${after} turns after the request`);
        assert.ok(rig.device.counters.interposed >= 10);
        rig.check();
        await rig.close();
      }
      await without.close();
    });
  }

  void test(`${name}: many requests and switches at the same time, and none is lost, doubled or out of order`, async () => {
    for (const manner of Object.values(manners(subject.optional))) {
      const rig = rigOf(manner);
      await rig.bringUp();
      let random = 1;
      const next = (below: number): number => (random = (random * 48271) % 0x7fff_ffff) % below;
      for (let round = 0; round < 40; round++) {
        const before = next(3);
        for (let i = 0; i < before; i++) rig.traffic.ask(rig.guest);
        if (next(2) === 0) rig.traffic.send();
        await settle(next(5));
        const switching = rig.toggle();
        await settle(next(3));
        if (rig.traffic.left < 6) rig.traffic.ask(rig.guest);
        if (next(2) === 0) rig.traffic.send();
        await across(rig, switching);
        if (round % 5 === 0) await rig.finish();
        else rig.serve();
      }
      await rig.finish();
      rig.check();
      await rig.close();
    }
  });

  void test(`${name}: a driver that resets it in the middle of a switch, at any moment`, async () => {
    for (const from of ['direct', 'interposed'] as const) {
      for (let before = 0; before < 5; before++) {
        for (let after = 0; after < 6; after++) {
          const rig = rigOf();
          await rig.bringUp();
          if (from === 'interposed') await rig.toggle();
          for (let i = 0; i < 3; i++) rig.traffic.ask(rig.guest);
          rig.traffic.send();
          await settle(before);
          const switching = rig.toggle();
          await settle(after);
          await rig.guest.reset();
          rig.traffic.forget();
          assert.deepEqual(rig.guest.driver.status, 0);
          await across(rig, switching);
          assert.notEqual(rig.device.mode, from);
          await rig.bringUp();
          rig.traffic.ask(rig.guest);
          rig.traffic.send();
          await rig.finish();
          rig.check();
          await rig.close();
        }
      }
    }
  });

  void test(`${name}: a reset that falls between any two steps of a driver that comes up anew`, async () => {
    for (let after = 0; after < 8; after++) {
      const rig = rigOf();
      await rig.bringUp();
      rig.traffic.ask(rig.guest);
      const switching = rig.toggle();
      rig.guest.driver.status = 0;
      await settle(after);
      await rig.guest.reset();
      rig.traffic.forget();
      rig.comeUp();
      rig.traffic.ask(rig.guest);
      await across(rig, switching);
      await rig.finish();
      await rig.toggle();
      rig.traffic.ask(rig.guest);
      await rig.finish();
      rig.check();
      await rig.close();
    }
  });

  const garbage: Record<string, (rig: Rig) => void> = {
    'a head beyond the table': ({ guest }) => guest.queues.at(-1)?.publish(0x7fff),
    'more chains than the queue holds': ({ guest, bench }) => {
      const queue = guest.queues.at(-1);
      if (queue === undefined) return;
      bench.machine.poke16(queue.avail + 2, bench.machine.peek16(queue.avail + 2) + queue.size + 1);
    },
    'a chain that loops': ({ guest }) => {
      const queue = guest.queues.at(-1);
      queue?.describe(queue.desc, 0, guest.driver.allocate(16), 16, 1, 0);
      queue?.publish(0);
    },
  };
  for (const [what, spoil] of Object.entries(garbage)) {
    void test(`${name}: ${what}, in the middle of a switch`, async () => {
      for (const from of ['direct', 'interposed'] as const) {
        for (let after = 0; after < 5; after++) {
          const rig = rigOf();
          await rig.bringUp();
          if (from === 'interposed') await rig.toggle();
          rig.traffic.ask(rig.guest);
          const switching = rig.toggle();
          await settle(after);
          spoil(rig);
          rig.guest.queues.at(-1)?.kick();
          // The driver reads the ISR status, so nothing keeps the switch.
          let over = false;
          const end = (): void => void (over = true);
          switching.then(end, end);
          for (let i = 0; !over || rig.bench.faults.length === 0; i++) {
            assert.ok(i < 3000, 'the device stops');
            rig.guest.interrupt();
            await settle(1);
          }
          await switching;
          await settle(5);
          rig.guest.interrupt();
          assert.equal(rig.bench.faults.length, 1, rig.bench.faults.join());
          assert.equal(rig.guest.driver.status, 0x0f | DEVICE_NEEDS_RESET);
          await across(rig, rig.toggle());
          assert.equal(rig.guest.driver.status, 0x0f | DEVICE_NEEDS_RESET, 'it stops, whoever answers');
          assert.equal(rig.device.mode, from);
          await rig.guest.reset();
          rig.traffic.forget();
          await rig.bringUp();
          rig.traffic.ask(rig.guest);
          rig.traffic.send();
          await rig.finish();
          assert.equal(rig.bench.faults.length, 1);
          assert.deepEqual(rig.bench.failures, []);
          await rig.close();
        }
      }
    });
  }

  void test(`${name}: the OS instance goes in the middle of a switch, and the next one has the device`, async () => {
    for (const from of ['direct', 'interposed'] as const) {
      for (let after = 0; after < 8; after++) {
        const rig = rigOf();
        await rig.bringUp();
        if (from === 'interposed') await rig.toggle();
        rig.traffic.ask(rig.guest);
        rig.traffic.ask(rig.guest);
        rig.traffic.send();
        const switching = rig.toggle().then(
          () => 'over',
          (error: unknown) => (error as { code: string }).code,
        );
        await settle(after);
        await rig.device.leave();
        assert.ok(['over', 'closed'].includes(await switching), await switching);
        assert.equal(rig.device.mode, 'unused');
        assert.equal(rig.guest.driver.deviceId, 0xffff, 'it is gone from the bus');
        const memory = rig.bench.machine.bytes.slice(0x8_0000, 0x8_0000 + 512 * 4096);
        await settle(10);
        const now = rig.bench.machine.bytes.subarray(0x8_0000, 0x8_0000 + 512 * 4096);
        assert.equal(Buffer.compare(now, memory), 0, 'it reaches nothing of who had it');
        rig.traffic.forget();
        rig.device.give(rig.bench.board, subject.slot, 'another');
        await rig.bringUp();
        for (let i = 0; i < 2; i++) {
          rig.traffic.ask(rig.guest);
          rig.traffic.send();
          await rig.finish();
          await rig.toggle();
        }
        rig.check();
        await rig.close();
      }
    }
  });

  void test(`${name}: taken from an OS instance that goes on asking, it reaches nothing of it, and the next one has it`, async () => {
    for (const from of ['direct', 'interposed'] as const) {
      for (let after = 0; after < 6; after++) {
        const rig = rigOf();
        await rig.bringUp();
        if (from === 'interposed') await rig.toggle();
        for (let i = 0; i < 3; i++) rig.traffic.ask(rig.guest);
        rig.traffic.send();
        await settle(after);
        await rig.device.withdraw();
        assert.equal(rig.device.mode, 'unused');
        assert.equal(rig.device.slot, undefined);
        assert.equal(rig.guest.driver.deviceId, 0xffff, 'it is gone from the bus');
        const memory = rig.bench.machine.bytes.slice(0x8_0000, 0x8_0000 + 512 * 4096);
        await settle(10);
        const now = rig.bench.machine.bytes.subarray(0x8_0000, 0x8_0000 + 512 * 4096);
        assert.equal(Buffer.compare(now, memory), 0, 'it reaches nothing of who had it');
        await assert.rejects(rig.device.withdraw(), { name: 'InterpositionError', code: 'mode' });
        rig.traffic.forget();
        rig.device.give(rig.bench.board, subject.slot, 'another');
        assert.equal(rig.guest.driver.configRead(4, 2), 0, 'it stands as it came from the factory');
        await rig.bringUp();
        rig.traffic.ask(rig.guest);
        rig.traffic.send();
        await rig.finish();
        rig.check();
        await rig.close();
      }
    }
  });

  void test(`${name}: held, it begins nothing; let go, it does all that was asked for meanwhile`, async () => {
    const rig = rigOf();
    await rig.bringUp();
    const { device } = rig.device;
    device.holdKicks();
    const before = rig.guest.look();
    for (let i = 0; i < 3; i++) rig.traffic.ask(rig.guest);
    rig.traffic.send();
    await settle(20);
    assert.deepEqual(rig.guest.look(), before);
    assert.ok(rig.traffic.left >= 3, 'nothing is done');
    device.goOn();
    await rig.finish();
    rig.check();
    await rig.close();
  });

  void test(`${name}: its state is taken, and another device of the kind goes on with it`, async () => {
    for (const interposed of [false, true]) {
      const rig = rigOf();
      await rig.bringUp();
      for (let i = 0; i < 4; i++) {
        rig.traffic.ask(rig.guest);
        rig.traffic.send();
        await rig.finish();
      }
      if (interposed) await rig.toggle();
      const before = rig.guest.look();
      const { buffer } = rig.bench.machine;
      const parts = takeParts(buffer, rig.device.statePage);
      await rig.device.leave();
      rig.device.give(rig.bench.board, subject.slot, 'guest');
      assert.equal(rig.guest.driver.configRead(4, 2), 0, 'it stands as it came from the factory');
      checkParts(parts, takeParts(buffer, rig.device.statePage));
      putParts(buffer, rig.device.statePage, parts);
      rig.device.device.goOn();
      await settle(3);
      assert.deepEqual(rig.guest.look(), before);
      for (let i = 0; i < 3; i++) {
        rig.traffic.ask(rig.guest);
        rig.traffic.send();
        await rig.finish();
        await rig.toggle();
      }
      rig.check();
      await rig.close();
    }
  });

  void test(`${name}: a state that cannot be is not taken`, async () => {
    const rig = rigOf();
    await rig.bringUp();
    const { buffer } = rig.bench.machine;
    const parts = takeParts(buffer, rig.device.statePage);
    const view = new DataView(parts.buffer);
    const spoiled: readonly (readonly [at: number, value: number])[] = [
      [0x000, 0x1234],
      [0x002, 0x1055],
      [0x10c, 1],
      [0x110, 2],
      [0x114, 4],
      [0x118, 256],
      [0x12c, 0],
      [0x130, 0],
      [0x13c, 31],
      [0x140, 0x200],
      [0x144, 1],
      [0x150, 0x100],
      [0x404, 0x8000],
      [0x404, 1],
    ];
    for (const [at, value] of spoiled) {
      const was = view.getInt32(at, true);
      view.setInt32(at, value, true);
      const of = takeParts(buffer, rig.device.statePage);
      assert.throws(() => checkParts(parts, of), { name: 'InterpositionError', code: 'state' }, `word ${at}: ${value}`);
      view.setInt32(at, was, true);
    }
    assert.throws(() => checkParts(parts.subarray(4), parts), { code: 'state' });
    await rig.close();
  });

  void test(`${name}: two devices of the kind do not get in each other's way`, async () => {
    const rig = rigOf();
    await rig.bringUp();
    const made = subject.make();
    const other = new ComputerDevice('other', rig.bench.ground, subject.kind(), made.device);
    await assert.rejects(other.interpose(), { code: 'mode' });
    assert.throws(() => other.give(rig.bench.board, subject.slot, 'guest'), RangeError);
    assert.equal(other.mode, 'unused', "a device that found no slot is nobody's");
    await rig.toggle();
    rig.traffic.ask(rig.guest);
    rig.traffic.send();
    await rig.finish();
    await other.close();
    rig.check();
    await rig.close();
  });
}
