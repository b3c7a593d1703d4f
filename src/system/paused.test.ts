/** An instance that somebody holds still does nothing that is asked of it: that is said, and it is not ended for it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { nodeSystem } from '../adapters/node/system.js';
import { BARE_DATA, BARE_MEMORY, bareKernel, countingHarts } from '../guest/testing/bare-kernel.js';
import { Computer } from './computer.js';
import type { Instance } from './instance.js';

let computer: Computer;
before(() => {
  computer = new Computer(nodeSystem, { memory: 64 * 2 ** 20, harts: 1, network: false });
});
after(() => computer.close());

const isPaused = { name: 'SystemError', code: 'paused', message: /resume/ };
const counted = ({ os }: Instance): bigint =>
  os.partition.space.view.getBigUint64(os.partition.space.offsetOf(BARE_DATA), true);
const moment = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
const boot = (): Promise<Instance> =>
  computer.boot({ kernel: bareKernel(countingHarts(1)), console: 'hvc0', memory: BARE_MEMORY });

async function goesOn(guest: Instance): Promise<void> {
  const before = counted(guest);
  for (const end = performance.now() + 60_000; counted(guest) === before; await moment(1)) {
    assert.ok(performance.now() < end, 'it goes on');
  }
}

test('a paused instance is not shut down: that is said at once, and nothing is lost', async () => {
  const guest = await boot();
  await guest.pause();
  await guest.pause();
  assert.equal(guest.paused, true);
  const begin = performance.now();
  await assert.rejects(guest.shutdown({ timeout: 600_000 }), isPaused);
  assert.ok(performance.now() - begin < 60_000);
  guest.resume();
  await assert.rejects(guest.shutdown(), isPaused, 'as often as it was paused');
  guest.resume();
  assert.equal(guest.paused, false);
  await goesOn(guest);
  // Now it is shut down; this guest does not hear, and its time is over at once.
  assert.equal((await guest.shutdown({ timeout: 0 })).kind, 'stopped');
});

test('whoever is held by the floor below when its time is over is not ended either', async () => {
  const guest = await boot();
  const letGo = await guest.os.partition.pause();
  await assert.rejects(guest.shutdown({ timeout: 0 }), isPaused);
  letGo();
  await goesOn(guest);
  const again = await guest.os.partition.pause();
  setTimeout(again, 50);
  assert.equal((await guest.shutdown({ timeout: 0 })).kind, 'stopped', 'a moment is not held against it');
});

test('a paused instance can be destroyed, and one that has ended is not paused in anybody’s way', async () => {
  const guest = await boot();
  await guest.pause();
  await guest.destroy();
  assert.equal((await guest.shutdown()).kind, 'stopped');
});
