/** Domains with networks of their own in one OS instance: each moves by itself, or with others, and keeps its clients. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DomainError } from '../../src/domain/errors.js';
import { inNetns } from '../../src/domain/tree/netlink.js';
import { SYS } from '../../src/guest/hands/syscalls.js';
import { Computer, type KernelChoice } from '../../src/index.js';
import { Carrier } from '../../src/maintenance/index.js';
import { Domain } from '../../src/maintenance/handle/domain.js';
import { MIB, testImage } from '../testing/images.js';
import { connectSoon } from '../testing/redis.js';
import { SteadyClient } from '../testing/steady.js';

const REDIS = ['/usr/bin/redis-server', '--bind', '0.0.0.0', '--protected-mode', 'no', '--save', ''] as const;

let computer: Computer;
let a: Carrier;
let b: Carrier;

interface Served {
  readonly domain: Domain;
  readonly client: SteadyClient;
  broken: number;
  readonly end: () => Promise<void>;
}
const served: Served[] = [];

before(async () => {
  computer = await Computer.create({ memory: 1024 * MIB, harts: 2 });
  [a, b] = [await boot('a', 'trixie'), await boot('b', 'backports')];
});
after(async () => {
  for (const { end } of served) await end();
  await computer?.close();
});

async function boot(name: string, kernel: KernelChoice): Promise<Carrier> {
  return Carrier.boot(computer, { name, image: await testImage(kernel, 'redis'), memory: 320 * MIB });
}

const networkOf = (n: number) => ({
  mac: `52:54:0a:00:02:${n.toString(16)}`,
  address: `10.0.2.${n}/24`,
  gateway: '10.0.2.2',
});

async function serve(n: number, nic?: string): Promise<Served> {
  const network = { ...networkOf(n), ...(nic !== undefined && { nic }) };
  const domain = await Domain.run(a, { name: `redis-${n}`, argv: REDIS, cwd: '/var/lib/redis', network });
  const forward = await computer.network?.gateway.forward({ guest: `10.0.2.${n}`, guestPort: 6379 });
  assert.ok(forward);
  const connection = await connectSoon(forward.port, () => {
    one.broken++;
  });
  const client = new SteadyClient(connection);
  const end = async (): Promise<void> => {
    if (connection.isOpen) connection.destroy();
    await client.stop();
    await forward.close();
  };
  const one: Served = { domain, client, broken: 0, end };
  served.push(one);
  return one;
}

/** All clients go on, over the connections that they began with. */
async function assertServed(when: string): Promise<void> {
  const before = served.map(({ client }) => client.answered);
  for (const [i, { client, broken, domain }] of served.entries()) {
    for (let turn = 0; client.answered < before[i] + 5 && turn < 500; turn++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(client.answered >= before[i] + 5, `the client of ${domain.name} goes on ${when}`);
    assert.equal(client.fault, undefined, when);
    assert.equal(broken, 0, when);
  }
}

async function move({ domain }: Served, to: Carrier): Promise<void> {
  const { untidied } = await domain.move(to);
  assert.deepEqual(untidied, []);
}

test('two domains of one instance have networks of their own, and move in turn', async () => {
  const [one, two] = [await serve(100), await serve(101)];
  assert.equal(one.domain.carrier, a);
  assert.equal(two.domain.carrier, a);
  await assertServed('at first');
  await move(one, b);
  await assertServed('when one has moved');
  await move(two, b);
  await assertServed('when both have');
  await move(one, a);
  await assertServed('when one is back');
  await move(two, a);
  await assertServed('when both are');
});

test('three move at the same time, one the other way', async () => {
  const three = await serve(102);
  await move(three, b);
  const [one, two] = served;
  await Promise.all([move(one, b), move(two, b), move(three, a)]);
  await assertServed('after three moves at once');
  await Promise.all([move(one, a), move(two, a)]);
  await assertServed('together in one instance again');
  assert.ok(a.instance.cards.length <= 4 && b.instance.cards.length <= 4, 'cards are used again');
});

test('a move that fails leaves the network where it was', async () => {
  const [one] = served;
  await assert.rejects(
    one.domain.move(b, {
      onEvent: (event) => {
        if (event.type === 'step' && event.step === 'resume') throw new Error('injected');
      },
    }),
    /injected/,
  );
  await assertServed('after a move that failed');
  await move(one, b);
  await move(one, a);
  await assertServed('after one that did not');
});

test('one that has the card of the instance moves beside them', async () => {
  const four = await serve(103, 'eth0');
  assert.equal(four.domain.running.spec.network?.nic, 'eth0');
  await assertServed('with a fourth');
  await move(four, b);
  assert.equal(four.domain.running.spec.network?.nic, 'eth0');
  await assertServed('when it has moved');
  await move(four, a);
  assert.equal(four.domain.running.spec.network?.nic, 'eth0');
  await assertServed('when it is back');
});

test('its interface has the same name and number everywhere, whatever the card', async () => {
  const [, two] = served;
  const index = async (): Promise<number> => {
    const { hands, anchor } = two.domain.running;
    return inNetns(hands, anchor.netns, async () => {
      const socket = await hands.syscall(SYS.socket, 2, 2, 0);
      const batch = hands.batch();
      const ifreq = batch.inout(new Uint8Array([...new TextEncoder().encode('eth0'), ...new Uint8Array(36)]));
      batch.call(SYS.ioctl, socket, 0x8933, ifreq);
      const r = await batch.run();
      await hands.syscall(SYS.close, socket);
      return r.view(ifreq).getInt32(16, true);
    });
  };
  assert.equal(await index(), 2);
  await move(two, b);
  assert.equal(await index(), 2);
  await move(two, a);
});

test('an address is one domain’s only', async () => {
  const again = { name: 'again', argv: REDIS, network: { ...networkOf(100), mac: '52:54:0a:00:02:99' } };
  for (const carrier of [a, b])
    await assert.rejects(
      Domain.run(carrier, again),
      (e: DomainError) => e.code === 'state' && /10\.0\.2\.100/.test(e.message),
    );
  const [place = ''] = [b.instance.address];
  await assert.rejects(
    Domain.run(a, { ...again, network: { ...again.network, address: `${place}/24` } }),
    /address of an OS instance/,
  );
  await assertServed('all the same');
});

test('a card is used again, with nothing of who had it before; there is an end to them', async () => {
  const [one] = served.splice(0, 1);
  await one.end();
  const { network } = one.domain.running.spec;
  await one.domain.stop({ timeout: 0 });
  const cards = a.instance.cards.length;
  // The kernel takes its namespace down in its own time.
  for (let turn = 0; turn < 100 && !(await a.cards.isFree(network?.nic ?? '')); turn++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  await serve(100);
  assert.equal(a.instance.cards.length, cards);
  await assertServed('when one was started anew');
  await assert.rejects(
    async () => {
      for (let n = 110; n < 150; n++) await a.giveCard(networkOf(n));
    },
    (e: DomainError) => e.code === 'state' && /no room for another domain with a network/.test(e.message),
  );
  assert.ok(a.instance.cards.length > 20, `room for ${a.instance.cards.length}`);
  await assertServed('with all cards given');
});
