/** What a program wrote before it closed a connection arrives, wherever the program has gone since. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { Computer, type KernelChoice } from '../../src/index.js';
import { Carrier } from '../../src/maintenance/index.js';
import { Domain } from '../../src/maintenance/handle/domain.js';
import { compile } from '../testing/compile.js';
import { MIB, testImage } from '../testing/images.js';

/** More than lies between the kernel of the guest and a client that does not read. */
const LARGE = 12 * MIB;
const network = { mac: '52:54:0a:00:02:64', address: '10.0.2.100/24', gateway: '10.0.2.2' };

let computer: Computer;
let a: Carrier;
let b: Carrier;
let domain: Domain;
let port = 0;
const open = new Set<Socket>();

before(async () => {
  computer = await Computer.create({ memory: 1024 * MIB, harts: 2 });
  const { responder } = compile('test/programs/network', ['responder']);
  const boot = async (name: string, kernel: KernelChoice): Promise<Carrier> =>
    Carrier.boot(computer, {
      name,
      image: await testImage(kernel, 'redis'),
      memory: 384 * MIB,
      files: { '/opt/responder': { data: responder, mode: 0o755 } },
    });
  [a, b] = [await boot('a', 'trixie'), await boot('b', 'backports')];
  domain = await Domain.run(a, { name: 'responder', argv: ['/opt/responder'], network });
  const forward = await computer.network?.gateway.forward({ guest: '10.0.2.100', guestPort: 8000 });
  assert.ok(forward);
  port = forward.port;
  await listens(port);
});
after(async () => {
  for (const socket of open) socket.destroy();
  await computer?.close();
});

/** A connection on which a line was sent and that is not read. */
async function ask(line: string, to = port): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port: to });
  open.add(socket);
  await once(socket, 'connect');
  socket.pause();
  socket.write(`${line}\n`);
  return socket;
}

/** Reads all that comes until the end; each byte is what it is to be. */
async function readAll(socket: Socket, length: number): Promise<void> {
  let at = 0;
  for await (const piece of socket as AsyncIterable<Uint8Array>) {
    for (const byte of piece) if (byte !== at++ % 251) assert.fail(`byte ${at - 1} is ${byte}`);
  }
  assert.equal(at, length);
  open.delete(socket);
}

/** Until a program that has been started listens. */
async function listens(to: number): Promise<void> {
  for (let turn = 0; ; turn++) {
    try {
      return await readAll(await ask('1', to), 1);
    } catch (error) {
      if (turn === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function echo(socket: Socket, text: string): Promise<void> {
  socket.write(text);
  for (let got = ''; got !== text;) {
    const piece = socket.read() as Uint8Array | null;
    if (piece === null) await once(socket, 'readable');
    else got += new TextDecoder().decode(piece);
    assert.ok(text.startsWith(got));
  }
}

/** Until a connection was answered, and the program has closed its end. */
async function closed(socket: Socket): Promise<void> {
  if (socket.readableLength === 0) await once(socket, 'readable');
  for (let turn = 0; turn < 500; turn++) {
    if ((await domain.processes()).length === 1 + alive) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail('the program does not end');
}
let alive = 0;

async function move(one: Domain, to: Carrier): Promise<void> {
  assert.deepEqual((await one.move(to)).untidied, []);
}

async function over(carrier: Carrier): Promise<void> {
  await carrier.left.over(20_000);
  assert.equal(carrier.left.size, 0, `nothing of it is left in ${carrier.name}`);
}

test('a response that was written and closed arrives whole, while the domain moves away, and back', async () => {
  const kept = await ask('0');
  alive = 1;
  await echo(kept, 'first');
  const slow = await ask(String(LARGE));
  await closed(slow);
  assert.equal((await domain.check(b)).movable, true);

  await move(domain, b);
  assert.equal(a.left.size, 1);
  await echo(kept, 'there');
  const another = await ask(String(LARGE));
  await closed(another);
  await move(domain, a);
  assert.equal(b.left.size, 1);
  await echo(kept, 'and back');

  await Promise.all([readAll(slow, LARGE), readAll(another, LARGE)]);
  await echo(kept, 'to the end');
  await Promise.all([over(a), over(b)]);
  await readAll(await ask('100000'), 100_000);
  for (const carrier of [a, b]) assert.ok(carrier.instance.cards.length <= 2, 'cards come back');
});

test('a move that fails, with such a connection: it goes on where it is', async () => {
  const slow = await ask(String(LARGE));
  await closed(slow);
  await assert.rejects(
    domain.move(b, {
      onEvent: (event) => {
        if (event.type === 'step' && event.step === 'resume') throw new Error('injected');
      },
    }),
    /injected/,
  );
  assert.equal(a.left.size, 0);
  await readAll(slow, LARGE);
  await move(domain, b);
  assert.equal(a.left.size, 0);
});

test('one with the card of the instance comes back on another, where such a connection keeps that', async () => {
  const own = { mac: '52:54:0a:00:02:65', address: '10.0.2.101/24', gateway: '10.0.2.2', nic: 'eth0' };
  const other = await Domain.run(a, { name: 'other', argv: ['/opt/responder'], network: own });
  const forward = await computer.network?.gateway.forward({ guest: '10.0.2.101', guestPort: 8000 });
  assert.ok(forward);
  await listens(forward.port);
  const slow = await ask(String(LARGE), forward.port);
  await once(slow, 'readable');
  while ((await other.processes()).length > 1) await new Promise((resolve) => setTimeout(resolve, 20));
  await move(other, b);
  assert.equal(other.running.spec.network?.nic, 'eth0');
  await move(other, a);
  assert.notEqual(other.running.spec.network?.nic, 'eth0');
  await Promise.all([readAll(slow, LARGE), readAll(await ask('1000', forward.port), 1000)]);
  await over(a);
  await other.stop({ timeout: 0 });
});

test('a client that has all of it and ends its own direction only now is heard', async () => {
  const slow = await ask('4000000');
  await closed(slow);
  // The gateway has it all, the client next to nothing.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await move(domain, domain.carrier === a ? b : a);
  slow.end();
  await new Promise((resolve) => setTimeout(resolve, 500));
  await readAll(slow, 4_000_000);
  await Promise.all([over(a), over(b)]);
});

test('an instance that is shut down lets what was written arrive first', async () => {
  if (domain.carrier === b) await move(domain, a);
  const slow = await ask(String(LARGE));
  await closed(slow);
  await move(domain, b);
  const down = a.shutdown();
  await new Promise((resolve) => setTimeout(resolve, 500));
  await readAll(slow, LARGE);
  await down;
  assert.equal(domain.carrier, b);
  await readAll(await ask('1000'), 1000);
});
