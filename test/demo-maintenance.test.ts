/** An understudy takes over and gives back, on two real kernels; and what goes wrong is undone. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, type RunningDomain } from '../src/domain/tree/launch.js';
import { DataSet } from '../src/faces/cli/demo/data.js';
import { Computer } from '../src/index.js';
import { Carrier, Maintenance, MaintenanceError, moveDomain, type MaintenanceEvent } from '../src/maintenance/index.js';
import { MIB, testImage } from './testing/images.js';
import { connectSoon, type RedisConnection } from './testing/redis.js';

const network = { nic: 'eth0', mac: '52:54:00:00:01:00', address: '10.0.2.100/24', gateway: '10.0.2.2' };
const REDIS = ['/usr/bin/redis-server', '--bind', '0.0.0.0', '--protected-mode', 'no', '--save', ''] as const;

let computer: Computer;
let active: Carrier;
let domain: RunningDomain;
let client: RedisConnection;
let broken = 0;
const data = new DataSet(4, 1);

before(async () => {
  computer = await Computer.create({ memory: 1024 * MIB, harts: 2 });
  active = await Carrier.boot(computer, { name: 'a', image: await testImage('trixie', 'redis'), memory: 384 * MIB });
  domain = await launch(active.hands, { name: 'redis', network }, { argv: REDIS, cwd: '/var/lib/redis' });
  const forward = await computer.network?.gateway.forward({ guest: '10.0.2.100', guestPort: 6379 });
  assert.ok(forward);
  client = await connectSoon(forward.port, () => {
    broken++;
  });
  assert.equal(await data.fill(client, () => undefined), data.keys);
});

after(async () => {
  if (client?.isOpen) client.destroy();
  await computer?.close();
});

const isMaintenanceError = (code: string) => (error: unknown) =>
  error instanceof MaintenanceError && error.code === code;

test('a booted instance has the time of its host', async () => {
  const [seconds] = await client.time();
  assert.ok(Math.abs(Number(seconds) - Date.now() / 1000) < 5, `it is ${seconds}`);
});

test('an understudy that does not come up leaves nothing behind, and its console is quoted', async () => {
  const free = { harts: computer.freeHarts, memory: computer.freeMemory };
  const maintenance = new Maintenance({ computer, active, domains: [domain] });
  await assert.rejects(
    maintenance.bootUnderstudy({
      name: 'b',
      image: await testImage('backports', 'redis'),
      memory: 384 * MIB,
      // The kernel looks for a program that is not there, and panics.
      bootArguments: 'rdinit=/nowhere root=/dev/nowhere',
    }),
    (error: unknown) =>
      isMaintenanceError('boot-failed')(error) && error instanceof Error && /panic/i.test(error.message),
  );
  assert.equal(maintenance.state, 'serving');
  assert.deepEqual({ harts: computer.freeHarts, memory: computer.freeMemory }, free);
});

test('the work goes to the understudy and back, the understudy is sent away, and nobody noticed', async () => {
  const free = { harts: computer.freeHarts, memory: computer.freeMemory };
  const events: MaintenanceEvent['type'][] = [];
  let failAt: string | undefined;
  const maintenance = new Maintenance({
    computer,
    active,
    domains: [domain],
    onEvent: (event) => {
      if (events.at(-1) !== event.type) events.push(event.type);
      if (event.type === 'step' && event.step === failAt) throw new Error('injected');
    },
  });
  await assert.rejects(maintenance.takeOver(), isMaintenanceError('state'), 'there is nobody to take over');
  const understudy = await maintenance.bootUnderstudy({
    name: 'b',
    image: await testImage('backports', 'redis'),
    memory: 384 * MIB,
  });
  await assert.rejects(maintenance.goBack(), isMaintenanceError('state'), 'there is nothing to go back from');
  await assert.rejects(maintenance.retire(), isMaintenanceError('state'), 'nobody was relieved');

  failAt = 'flip';
  await assert.rejects(maintenance.takeOver(), isMaintenanceError('move-failed'));
  failAt = undefined;
  assert.equal(maintenance.state, 'ready');
  assert.equal(maintenance.active, active);
  assert.equal(await data.verify(client, () => undefined), data.keys, 'after a take-over that failed');

  const [report] = await maintenance.takeOver();
  assert.ok(report.framesFlipped * 4096 >= 4 * MIB);
  assert.equal(maintenance.active, understudy);
  assert.equal(maintenance.other, active);
  assert.equal(await data.verify(client, () => undefined), data.keys, 'in the understudy');

  failAt = 'finish';
  await assert.rejects(maintenance.goBack(), isMaintenanceError('move-failed'));
  failAt = undefined;
  assert.equal(maintenance.active, understudy);

  await maintenance.goBack();
  assert.equal(maintenance.active, active);
  assert.equal(await data.verify(client, () => undefined), data.keys, 'back where it was');
  [domain] = maintenance.domains;

  await maintenance.abandon();
  assert.equal(maintenance.state, 'serving');
  assert.equal(maintenance.other, undefined);
  assert.deepEqual({ harts: computer.freeHarts, memory: computer.freeMemory }, free);
  assert.equal(await client.ping(), 'PONG');
  assert.equal(broken, 0);
  const move = (end: 'moved' | 'move-failed') => ['moving', 'step', end] as const;
  assert.deepEqual(events, [
    ...['booting', 'rehearsing', 'booted'],
    ...[...move('move-failed'), ...move('moved'), ...move('move-failed'), ...move('moved')],
    ...['retiring', 'retired'],
  ]);
});

test('what is done is done, whoever does not want to hear of it; and nothing that lives is shut down', async () => {
  const deaf = new Set<string>();
  const maintenance = new Maintenance({
    computer,
    active,
    domains: [domain],
    onEvent: (event) => {
      const what = event.type === 'step' ? event.step : event.type;
      if (deaf.has(what)) throw new Error(`deaf to ${what}`);
    },
  });
  deaf.add('booted').add('bury').add('moved').add('retired');
  const understudy = await maintenance.bootUnderstudy({
    name: 'b',
    image: await testImage('backports', 'redis'),
    memory: 384 * MIB,
  });
  const [report] = await maintenance.takeOver();
  assert.deepEqual(
    report.untidied.map((u) => u.why),
    ['deaf to bury', 'deaf to moved'],
  );
  assert.equal(maintenance.active, understudy);
  assert.equal(maintenance.state, 'taken-over');
  assert.equal(await data.verify(client, () => undefined), data.keys, 'in the understudy');
  [domain] = maintenance.domains;

  // Somebody moves it behind the back of the maintenance: its handle is out of date, and where it lives shall stay.
  const { domain: back } = await moveDomain(domain, understudy, active);
  await assert.rejects(maintenance.retire(), isMaintenanceError('state'), 'the work lives in what was relieved');
  ({ domain } = await moveDomain(back, active, understudy));
  assert.equal(await client.ping(), 'PONG');

  await maintenance.goBack();
  [domain] = maintenance.domains;
  await maintenance.abandon();
  assert.equal(maintenance.state, 'serving');
  assert.deepEqual(
    maintenance.untidied.map((u) => u.why),
    ['booted', 'bury', 'moved', 'bury', 'moved', 'retired'].map((what) => `deaf to ${what}`),
  );
  assert.equal(await data.verify(client, () => undefined), data.keys, 'after all of it');
  assert.equal(broken, 0);
});

test('of two domains one is lost with the understudy: the error names it, the other goes on', async () => {
  const script = 'while :; do sleep 1; done';
  const second = await launch(active.hands, { name: 'second' }, { argv: ['/usr/bin/busybox', 'sh', '-c', script] });
  const b: { carrier?: Carrier } = {};
  const maintenance = new Maintenance({
    computer,
    active,
    domains: [second, domain],
    onEvent: async (event) => {
      if (event.type === 'moving' && event.domain === 'redis') await b.carrier?.instance.destroy();
    },
  });
  b.carrier = await maintenance.bootUnderstudy({
    name: 'b',
    image: await testImage('backports', 'redis'),
    memory: 384 * MIB,
  });
  await assert.rejects(
    maintenance.takeOver(),
    (e) => isMaintenanceError('lost')(e) && e instanceof MaintenanceError && e.lost.join() === 'second',
  );
  assert.deepEqual(
    maintenance.domains.map((d) => d.spec.name),
    ['redis'],
  );
  assert.equal(maintenance.active, active);
  assert.equal(await data.verify(client, () => undefined), data.keys, 'the other one');
  await maintenance.abandon();
  assert.equal(maintenance.state, 'serving');
  assert.equal(broken, 0);
});

test('of two domains one has moved when the old instance ends: it serves in the understudy, the error names the other', async () => {
  const script = 'while :; do sleep 1; done';
  const second = await launch(active.hands, { name: 'second' }, { argv: ['/usr/bin/busybox', 'sh', '-c', script] });
  const maintenance = new Maintenance({
    computer,
    active,
    domains: [domain, second],
    onEvent: async (event) => {
      if (event.type === 'moving' && event.domain === 'second') await active.instance.destroy();
    },
  });
  const understudy = await maintenance.bootUnderstudy({
    name: 'b',
    image: await testImage('backports', 'redis'),
    memory: 384 * MIB,
  });
  await assert.rejects(
    maintenance.takeOver(),
    (e) => isMaintenanceError('lost')(e) && e instanceof MaintenanceError && e.lost.join() === 'second',
  );
  assert.equal(maintenance.active, understudy, 'where the work is');
  assert.equal(maintenance.state, 'taken-over');
  assert.deepEqual(
    maintenance.domains.map((d) => d.spec.name),
    ['redis'],
  );
  assert.equal(await data.verify(client, () => undefined), data.keys, 'in the understudy');
  await maintenance.retire();
  assert.equal(maintenance.state, 'done');
  assert.equal(await client.ping(), 'PONG');
  assert.equal(broken, 0);
});
