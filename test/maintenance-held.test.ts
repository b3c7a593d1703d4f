/** Maintenance whose instances somebody holds paused, and whose listener throws at everything. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  Carrier,
  Computer,
  launch,
  Maintenance,
  MaintenanceError,
  moveDomain,
  type RunningDomain,
} from '../src/index.js';
import type { MaintenanceEvent } from '../src/index.js';
import { MIB, testImage } from './testing/images.js';

const MEMORY = 256 * MIB;
let computer: Computer;
let active: Carrier;
let domain: RunningDomain;
before(async () => {
  computer = await Computer.create({ memory: 576 * MIB, harts: 2 });
  active = await Carrier.boot(computer, { name: 'a', image: await testImage('trixie'), memory: MEMORY });
  const argv = ['/usr/bin/busybox', 'sh', '-c', 'while :; do sleep 1; done'] as const;
  domain = await launch(active.hands, { name: 'sleeper' }, { argv });
});
after(() => computer?.close());

const bootOther = async (): Promise<{
  name: string;
  image: Awaited<ReturnType<typeof testImage>>;
  memory: number;
}> => ({
  name: 'b',
  image: await testImage('backports'),
  memory: MEMORY,
});
const isPaused = (who: string) => (error: unknown) =>
  error instanceof MaintenanceError && error.code === 'paused' && error.message.includes(`${who} is paused`);

test('a timeout that is no time is refused, and nothing is booted', async () => {
  const free = computer.freeMemory;
  for (const bootTimeout of [NaN, -1, '60' as unknown as number, null as unknown as number]) {
    await assert.rejects(Carrier.boot(computer, { ...(await bootOther()), bootTimeout }), {
      name: 'SystemError',
      code: 'invalid',
    });
  }
  assert.equal(computer.freeMemory, free);
});

test('a boot that failed without a word on the console says how to have some', { timeout: 240_000 }, async () => {
  await assert.rejects(Carrier.boot(computer, { ...(await bootOther()), bootTimeout: 1 }), (error: unknown) => {
    assert.ok(error instanceof MaintenanceError && error.code === 'boot-failed');
    assert.match(error.message, /did not ring within 1 ms/);
    assert.match(
      error.message,
      /printed nothing on its console; its kernel was told to be quiet.* ignore_loglevel .*\(.* quiet panic=-1\)/,
    );
    return true;
  });
  // And that is true.
  const boot = { ...(await bootOther()), bootArguments: 'ignore_loglevel' };
  const carrier = await Carrier.boot(computer, boot);
  assert.match(carrier.instance.console.text, /Linux version/);
  await carrier.instance.destroy();
});

test('no step waits for a paused instance, and no listener stops one by throwing', { timeout: 240_000 }, async () => {
  const told: MaintenanceEvent['type'][] = [];
  const maintenance = new Maintenance({
    computer,
    active,
    domains: [domain],
    onEvent: ({ type }) => {
      if (told.at(-1) !== type) told.push(type);
      // Before a step it is a wish that the move be taken back.
      if (type !== 'step') throw new Error(`deaf to ${type}`);
    },
  });
  const { instance } = active;
  await instance.pause();
  await assert.rejects(maintenance.bootUnderstudy(await bootOther()), isPaused('a'));
  instance.resume();
  assert.deepEqual([computer.instances.length, maintenance.state], [1, 'serving']);

  const understudy = await maintenance.bootUnderstudy(await bootOther());
  for (const carrier of [active, understudy]) {
    await carrier.instance.pause();
    await assert.rejects(maintenance.takeOver(), isPaused(carrier.name));
    await assert.rejects(maintenance.abandon(), isPaused(carrier.name));
    await assert.rejects(moveDomain(domain, active, understudy), isPaused(carrier.name));
    carrier.instance.resume();
  }
  assert.equal(maintenance.state, 'ready');

  await maintenance.takeOver();
  await understudy.instance.pause();
  await assert.rejects(maintenance.retire(), isPaused('b'));
  understudy.instance.resume();
  await maintenance.goBack();
  [domain] = maintenance.domains;
  await maintenance.abandon();
  assert.equal(maintenance.state, 'serving');
  const types = ['booting', 'rehearsing', 'booted', 'moving', 'moved', 'moving', 'moved', 'retiring', 'retired'];
  assert.deepEqual(
    maintenance.untidied.map(({ why }) => why),
    types.map((type) => `deaf to ${type}`),
  );
  assert.deepEqual(
    told.filter((type) => type !== 'step'),
    types,
  );
});

test('a pause in the middle of a move holds it up, and that is told', { timeout: 240_000 }, async () => {
  const understudy = await Carrier.boot(computer, await bootOther());
  const events: string[] = [];
  const moved = await moveDomain(domain, active, understudy, {
    onEvent: async (event) => {
      if (event.type === 'held-up') {
        events.push(event.by);
        setTimeout(() => understudy.instance.resume(), 500);
      }
      if (event.type === 'step' && event.step === 'shape') await understudy.instance.pause();
    },
  });
  assert.deepEqual(events, ['b']);
  assert.equal(moved.domain.hands, understudy.hands);
  await delay(300);
  assert.deepEqual(moved.report.untidied, []);
});
