/** Pausing real harts on real threads, with guests of a few instructions. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { nodePlatform } from '../adapters/node/platform.js';
import { Vmm } from '../partition/vmm.js';
import { OsInstance } from './os-instance.js';
import { BARE_DATA, BARE_MEMORY, bareKernel, COUNTING, countingHarts } from './testing/bare-kernel.js';

const HARTS = 3;
let vmm: Vmm;
before(() => {
  vmm = new Vmm(nodePlatform, { memory: 3 * BARE_MEMORY, harts: HARTS });
});
after(() => vmm.close());

function boot(source: string, harts = 1): OsInstance {
  const os = new OsInstance(vmm, { name: 'bare', kernel: bareKernel(source), memory: BARE_MEMORY, harts });
  os.start();
  return os;
}

/** What hart `id` of the guest has counted up to. */
function counted(os: OsInstance, id = 0): bigint {
  return os.partition.space.view.getBigUint64(os.partition.space.offsetOf(BARE_DATA + 8 * id), true);
}

const all = (os: OsInstance): bigint[] => os.partition.blocks.map((_, id) => counted(os, id));
const moment = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Holds the main thread: whoever counts has time for it. */
function spin(milliseconds: number): void {
  for (const end = performance.now() + milliseconds; performance.now() < end;);
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 60_000; !condition(); await moment(1)) {
    assert.ok(performance.now() < end, what);
  }
}

const goesOn = async (os: OsInstance): Promise<void> => {
  const before = all(os);
  await until(() => all(os).every((n, id) => n > before[id]), 'every hart counts on');
};

function standsStill(os: OsInstance, milliseconds = 20): void {
  const before = all(os);
  spin(milliseconds);
  assert.deepEqual(all(os), before);
}

describe('a guest that counts and never sleeps', () => {
  test('stands still when pause has been answered, and goes on after', async () => {
    const os = boot(COUNTING);
    await until(() => counted(os) > 0n, 'it counts');
    const letGo = await os.partition.pause();
    standsStill(os, 50);
    letGo();
    await goesOn(os);
    await os.destroy();
  });

  test('does not begin while it is paused, whether that was asked before or after the start', async () => {
    const os = new OsInstance(vmm, { name: 'bare', kernel: bareKernel(COUNTING), memory: BARE_MEMORY });
    const first = await os.partition.pause();
    os.start();
    const second = await os.partition.pause();
    await moment(100);
    assert.equal(counted(os), 0n);
    first();
    await moment(20);
    assert.equal(counted(os), 0n);
    second();
    await goesOn(os);
    await os.destroy();
    const other = boot(COUNTING);
    const letGo = await other.partition.pause();
    standsStill(other);
    letGo();
    await goesOn(other);
    await other.destroy();
  });

  test('three harts, paused again the moment they are let go, over and over', async () => {
    const os = boot(countingHarts(HARTS), HARTS);
    await goesOn(os);
    for (let round = 0; round < 300; round++) {
      const letGo = await os.partition.pause();
      standsStill(os, 0.2);
      letGo();
      // No time to wake up, a little, or as much as they like.
      if (round % 3 === 1) spin(0.1);
      if (round % 3 === 2) await moment(0);
    }
    await goesOn(os);
    await os.destroy();
  });

  test('holders that overlap: it goes on when the last one lets go, and no sooner', async () => {
    const os = boot(countingHarts(2), 2);
    await goesOn(os);
    const one = await os.partition.pause();
    const two = await os.partition.pause();
    one();
    one();
    await moment(5);
    standsStill(os);
    const three = await os.partition.pause();
    two();
    await moment(5);
    standsStill(os);
    three();
    await goesOn(os);
    await os.destroy();
  });

  test('ends while it is paused, and while one waits for it to stand still', async () => {
    const os = boot(countingHarts(2), 2);
    await goesOn(os);
    const letGo = await os.partition.pause();
    await Promise.all([os.destroy(), os.partition.pause()]);
    letGo();
    assert.equal(vmm.freeHarts, HARTS);
  });
});

describe('harts that the next instance has', () => {
  test('are not paused, let go or stopped through the last one', async () => {
    const last = boot(countingHarts(HARTS), HARTS);
    await goesOn(last);
    const stale = await last.partition.pause();
    await last.destroy();
    const next = boot(countingHarts(HARTS), HARTS);
    await goesOn(next);

    const another = await last.partition.pause();
    await goesOn(next);
    const letGo = await next.partition.pause();
    stale();
    another();
    await moment(5);
    standsStill(next);
    letGo();
    await last.partition.stop();
    await goesOn(next);
    assert.throws(() => last.start(), { code: 'released' });
    await next.destroy();
  });
});
