// A driver stops in the middle of something: a switch waits for it, or gives up in time and leaves nothing behind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { interruptOf } from '../computer/pci/host.js';
import type { VirtioDevice } from '../computer/virtio/device.js';
import type { Driver } from './driver/driver.js';
import { settle } from './testing/bench.js';
import { across, Rig } from './testing/rig.js';
import type { Subject } from './testing/subject.js';
import { balloon, console, disk, entropy, nic } from './testing/subjects.js';
import * as c from '../computer/virtio/console-format.js';

/** Stops in the middle of something; what it returns goes on. */
type Stop = (rig: Rig) => Promise<() => void>;

const status =
  (...values: number[]): Stop =>
  async ({ guest, traffic }) => {
    await guest.reset();
    traffic.forget();
    for (const value of values) guest.driver.status = value;
    return () => (guest.driver.status = 128);
  };

/** Something is asked for, and the device's interrupt for it is there. */
async function interrupted(rig: Rig): Promise<void> {
  rig.traffic.ask(rig.guest);
  for (let i = 0; rig.bench.board.plic.isIdle(interruptOf(rig.subject.slot)); i++) {
    assert.ok(i < 3000, 'the interrupt comes');
    await settle(1);
  }
}

const STOPS: Record<string, readonly [names: RegExp, stop: Stop]> = {
  'a reset whose end was not read': [
    /reset/,
    ({ guest: { driver }, traffic }) => {
      driver.status = 0;
      traffic.forget();
      return Promise.resolve(() => assert.equal(driver.status, 0));
    },
  ],
  'a driver that was only noticed': [/set-up/, status(1)],
  'a feature negotiation': [/set-up/, status(1, 3)],
  'features that were accepted': [/set-up/, status(1, 3, 11)],
  'a queue that is being set up': [
    /set-up/,
    async (rig) => {
      const goOn = await status(1, 3, 11)(rig);
      rig.guest.driver.queue(0, { size: 8 });
      return goOn;
    },
  ],
  'a configuration read between two looks at the generation': [
    /configuration/,
    ({ guest: { driver } }) => {
      driver.read(driver.common + 0x15, 1);
      return Promise.resolve(() => void driver.read(driver.common + 0x15, 1));
    },
  ],
  'a BAR that is being sized': [
    /BAR size/,
    ({ guest: { driver } }) => {
      const bar = driver.configRead(0x10, 4);
      driver.configWrite(0x04, 2, 4);
      driver.configWrite(0x10, 4, 0xffff_ffff);
      return Promise.resolve(() => {
        driver.configWrite(0x10, 4, bar);
        driver.configWrite(0x04, 2, 6);
      });
    },
  ],
  'an interrupt that was not acknowledged': [
    /interrupt/,
    async (rig) => {
      await interrupted(rig);
      return () => rig.serve();
    },
  ],
  'an interrupt that was claimed and not completed': [
    /interrupt/,
    async (rig) => {
      const { plic } = rig.bench.board;
      await interrupted(rig);
      const source = plic.read(0x20_0004, 4);
      assert.notEqual(source, 0);
      assert.notEqual(rig.guest.driver.isr, 0);
      return () => {
        plic.write(0x20_0004, 4, source);
        rig.traffic.take(rig.guest);
      };
    },
  ],
};

async function begun(rig: Rig, from: 'direct' | 'interposed', stop: Stop): Promise<() => void> {
  await rig.bringUp();
  if (from === 'interposed') await across(rig, rig.toggle());
  return stop(rig);
}

function both<T extends VirtioDevice, D extends Driver>(subject: Subject<T, D>, stops: typeof STOPS): void {
  for (const [what, [names, stop]] of Object.entries(stops)) {
    void test(`${subject.name}: ${what}`, async () => {
      for (const from of ['direct', 'interposed'] as const) {
        const rig = new Rig(subject, { features: -1, indirect: false }) as unknown as Rig;
        const goOn = await begun(rig, from, stop);
        const { bytes } = rig.bench.machine;
        const state = (): Uint8Array => bytes.slice(rig.device.statePage, rig.device.statePage + 4096);
        await settle(5);
        const before = state();
        const { free } = rig.bench.ground.frames;
        await assert.rejects(rig.toggle({ timeout: 20 }), (error: Error & { code: string }) => {
          assert.equal(error.code, 'busy');
          assert.match(error.message, names);
          return true;
        });
        const abort = new AbortController();
        const given = rig.toggle({ signal: abort.signal });
        await settle(5);
        abort.abort(new Error('enough'));
        await assert.rejects(given, /enough/);
        // Every queue is looked at once more when it is let go.
        await settle(5);
        assert.deepEqual(state(), before, 'the state is as it was, bit for bit');
        assert.equal(rig.device.mode, from);
        // What it may keep is the page for the emulation's state.
        assert.ok(free - rig.bench.ground.frames.free <= 1, 'the memory is the monitor’s again');

        const switching = rig.toggle();
        switching.catch(() => undefined);
        await settle(30);
        assert.equal(rig.device.mode, from, 'it waits');
        goOn();
        await across(rig, switching);
        assert.notEqual(rig.device.mode, from);
        await rig.guest.reset();
        rig.traffic.forget();
        await rig.bringUp();
        rig.traffic.ask(rig.guest);
        rig.traffic.send();
        await rig.finish();
        rig.check();
        assert.equal(rig.device.counters.refused, 2);
        await rig.close();
      }
    });
  }
}

for (const subject of [nic, entropy, balloon]) both(subject as unknown as Subject<VirtioDevice, Driver>, STOPS);
both(disk, STOPS);
both(console, {
  ...STOPS,
  'a control exchange': [
    /control exchange/,
    async ({ guest }) => {
      await guest.reset();
      guest.bringUp(6, 16);
      const { driver, bench } = guest;
      const message = { address: driver.allocate(8), length: 8, write: false };
      bench.machine.poke(message.address, Uint8Array.of(0, 0, 0, 0, c.DEVICE_READY, 0, 1, 0));
      // The driver is ready, and has no buffer for the device's answer.
      guest.put(c.CONTROL_TX, [message]);
      await settle(10);
      while (guest.interrupt() !== 0) guest.harvest(c.CONTROL_TX);
      return () => {
        driver.status = 0;
        assert.equal(driver.status, 0);
      };
    },
  ],
});
