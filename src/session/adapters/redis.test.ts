// Against a real Redis server, started for the test on a socket of its own.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createClient } from 'redis';
import { SessionError } from '../errors.js';
import { nodeCrypto } from '../node/crypto.js';
import { createSessions } from '../sessions.js';
import { sealOf, verdict } from '../testing/faces.js';
import { testRing } from '../testing/fixed.js';
import { redisHighWater } from './redis.js';

describe('high-water marks in Redis', () => {
  const folder = mkdtempSync(join(tmpdir(), 'session-redis-'));
  const socket = join(folder, 'redis.sock');
  const clients: { close(): Promise<unknown> }[] = [];
  let server: ReturnType<typeof spawn> | undefined;

  const connect = async () => {
    const client = createClient({ socket: { path: socket, tls: false, reconnectStrategy: false } });
    client.on('error', () => undefined);
    await client.connect();
    clients.push(client);
    return client;
  };

  const startServer = async () => {
    const probe = spawnSync('redis-server', ['--version']);
    assert.equal(probe.error, undefined, 'redis-server is needed for this test: apt-get install -y redis-server');
    const started = spawn(
      'redis-server',
      ['--port', '0', '--unixsocket', socket, '--save', '', '--appendonly', 'no', '--dir', folder],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    server = started;
    let log = '';
    for await (const chunk of started.stdout) {
      log += String(chunk);
      if (/ready to accept connections/i.test(log)) break;
    }
    started.stdout.resume();
  };

  before(startServer);
  after(async () => {
    for (const client of clients) await client.close().catch(() => undefined);
    if (server?.exitCode === null) {
      const exit = once(server, 'exit');
      server.kill();
      await exit;
    }
    rmSync(folder, { recursive: true });
  });

  const make = async (prefix: string) => {
    const client = await connect();
    const store = redisHighWater((args) => client.sendCommand(args), { prefix });
    const clock = { now: Date.UTC(2026, 0, 2) };
    const options = { ring: testRing(), purpose: 'redis', clock: () => clock.now, limits: { maxAge: 1000, skew: 0 } };
    return { client, store, clock, sessions: createSessions({ ...options, highWater: { store } }, nodeCrypto()) };
  };

  it('are shared by servers: what one has seen, the other refuses to go below', async () => {
    const [one, two] = [await make('shared:'), await make('shared:')];
    const first = one.sessions.create({ activity: 1, data: null });
    const second = two.sessions.advance(first);
    const [a, b] = [await sealOf(one.sessions, first), await sealOf(two.sessions, second)];
    assert.equal(await verdict(one.sessions, a), 'ok');
    assert.equal(await verdict(two.sessions, b), 'ok');
    assert.equal(await verdict(one.sessions, a), 'replayed');
    assert.equal(await two.sessions.end(second), true);
    assert.equal(await verdict(one.sessions, b), 'replayed');
  });

  it('are raised in one step: of many at once, none is accepted after a higher one', async () => {
    const servers = await Promise.all([1, 2, 3, 4].map(() => make('race:')));
    const order: [number, boolean][] = [];
    await Promise.all(
      Array.from({ length: 400 }, async (_, i) => {
        const counter = (i * 7919) % 401;
        const mark = { id: 'race', counter, lastActivity: 0, expires: 1e6 };
        order.push([counter, await servers[i % 4].store.raise(mark, 0, 0)]);
      }),
    );
    const accepted = order.filter(([, ok]) => ok).map(([counter]) => counter);
    assert.ok(accepted.includes(400), 'the highest always gets through');
    assert.equal(Number(await servers[0].client.get('race:race')), 400);
    // Each connection's answers come in Redis's order: within one they must not fall.
    const single = await make('race2:');
    const counters = Array.from({ length: 200 }, (_, i) => (i * 37) % 211);
    const answers = await Promise.all(
      counters.map((counter) => single.store.raise({ id: 'x', counter, lastActivity: 0, expires: 1e6 }, 0, 0)),
    );
    let highest = -1;
    counters.forEach((counter, i) => {
      assert.equal(answers[i], counter >= highest);
      highest = Math.max(highest, counter);
    });
  });

  it('keep to the window', async () => {
    const { store } = await make('window:');
    const raise = (counter: number) => store.raise({ id: 'w', counter, lastActivity: 0, expires: 1e6 }, 2, 0);
    assert.deepEqual([await raise(10), await raise(8), await raise(7), await raise(9)], [true, true, false, true]);
  });

  it('go by themselves when the session can no longer open', async () => {
    const { client, sessions, clock } = await make('life:');
    const session = sessions.create({ activity: 1, data: null });
    clock.now += 400_000;
    await sessions.open(await sealOf(sessions, session));
    const life = await client.pTTL(`life:${session.id}`);
    assert.ok(life > 590_000 && life <= 600_000, `${life} ms of the 600,000 that are left`);
  });

  it('live longer than their sessions by twice what the clocks may differ, and never shorter than before', async () => {
    const { client, store, clock } = await make('skew:');
    const options = { ring: testRing(), purpose: 'redis', clock: () => clock.now, limits: { maxAge: 1000, skew: 60 } };
    const sessions = createSessions({ ...options, highWater: { store } }, nodeCrypto());
    const session = sessions.create({ activity: 1, data: null });
    await sessions.open(await sealOf(sessions, session));
    const life = await client.pTTL(`skew:${session.id}`);
    assert.ok(life > 1_110_000 && life <= 1_120_000, `${life} ms`);
    await store.raise({ id: session.id, counter: 9, lastActivity: 0, expires: 5 }, 0, 0);
    const after = await client.pTTL(`skew:${session.id}`);
    assert.ok(after > 1_100_000 && after <= life, `${after} ms`);
    assert.equal(Number(await client.get(`skew:${session.id}`)), 9);
  });

  it('log an identity out on all servers, and forget it when none of its sessions could live', async () => {
    const store = async () => (await make('all:')).store;
    const { client, clock } = await make('all:');
    const kind = { ring: testRing(), purpose: 'redis', clock: () => clock.now, limits: { maxAge: 1000, skew: 60 } };
    const server = async () =>
      createSessions({ ...kind, highWater: { store: await store(), identities: true } }, nodeCrypto());
    const [one, two] = [await server(), await server()];
    const ada = { identity: 'ada \u{1F3A9}', activity: 1, data: null };
    const seals = await Promise.all([one, two, one].map((each) => sealOf(each, each.create(ada))));
    const bob = await sealOf(one, one.create({ ...ada, identity: 'bob' }));
    await two.endIdentity(ada.identity);
    for (const each of [one, two]) {
      for (const seal of seals) assert.equal(await verdict(each, seal), 'replayed');
      assert.equal(await verdict(each, bob), 'ok');
    }
    const again = await sealOf(one, one.create(ada));
    assert.equal(await verdict(two, again), 'ok');
    // All at once, in the same millisecond: each is an end of its own, written to the last digit.
    await Promise.all(Array.from({ length: 20 }, (_, i) => [one, two][i % 2].endIdentity(ada.identity)));
    assert.equal(await verdict(two, again), 'replayed');
    const key = `all:identity:["redis",""]${ada.identity}`;
    assert.equal(await client.get(key), String(clock.now + 20));
    const life = await client.pTTL(key);
    assert.ok(life > 1_110_000 && life <= 1_120_000, `${life} ms`);
  });

  it('open nothing, rather than forget, when Redis is full and may not evict', async () => {
    const { client, sessions } = await make('full:');
    const seal = await sealOf(sessions, sessions.create({ activity: 1, data: null }));
    const other = await sealOf(sessions, sessions.create({ activity: 1, data: null }));
    assert.equal(await verdict(sessions, seal), 'ok');
    await client.sendCommand(['CONFIG', 'SET', 'maxmemory-policy', 'noeviction']);
    await client.sendCommand(['CONFIG', 'SET', 'maxmemory', '1']);
    try {
      await assert.rejects(
        sessions.open(other),
        (error) => error instanceof SessionError && error.code === 'high-water',
      );
    } finally {
      await client.sendCommand(['CONFIG', 'SET', 'maxmemory', '0']);
    }
    assert.equal(await verdict(sessions, other), 'ok');
  });

  it('take counters to the last', async () => {
    const { store } = await make('large:');
    const raise = (counter: number) => store.raise({ id: 'l', counter, lastActivity: 0, expires: 1e6 }, 0, 0);
    const top = 2 ** 48 - 1;
    assert.deepEqual(
      [await raise(top - 1), await raise(top), await raise(top - 1), await raise(top)],
      [true, true, false, true],
    );
  });

  it('survive a server that has lost the script', async () => {
    const { client, store } = await make('script:');
    const raise = (counter: number) => store.raise({ id: 's', counter, lastActivity: 0, expires: 1e6 }, 0, 0);
    assert.equal(await raise(1), true);
    await client.sendCommand(['SCRIPT', 'FLUSH']);
    assert.deepEqual(await Promise.all([raise(2), raise(3)]), [true, true]);
    assert.equal(await raise(1), false);
  });

  it('accept nothing while Redis does not answer', async () => {
    const { sessions } = await make('down:');
    const seal = await sealOf(sessions, sessions.create({ activity: 1, data: null }));
    assert.equal(await verdict(sessions, seal), 'ok');
    assert.ok(server);
    const exit = once(server, 'exit');
    server.kill('SIGKILL');
    await exit;
    await assert.rejects(sessions.open(seal), (error) => error instanceof SessionError && error.code === 'high-water');
    await startServer();
    const again = await make('down:');
    assert.equal(await verdict(again.sessions, seal), 'ok');
  });
});
