/** Datagrams between a guest peer and real sockets of this host, over loopback: UDP, names, echoes. */
import assert from 'node:assert/strict';
import { getServers, setServers } from 'node:dns';
import { setServers as setServersOfPromises } from 'node:dns/promises';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { HostsFile } from '../src/adapters/node/hosts-file.js';
import { nodeSockets } from '../src/adapters/node/sockets.js';
import { concat, Peer, Recorder } from '../src/net/testing/peer.js';
import { Rcode } from '../src/net/wire/dns.js';
import { get16, set16 } from '../src/net/wire/bytes.js';
import { dial, network, text, until } from './testing/gateway.js';

test('UDP goes out and comes back, in datagrams larger than a frame too', async (t) => {
  const { guest, gateway } = network(t);
  const echo = createSocket('udp4', (data, from) => echo.send(data, from.port, from.address));
  echo.bind(0, '127.0.0.1');
  await once(echo, 'listening');
  t.after(() => echo.close());
  const { port } = echo.address();
  for (const size of [0, 1, 1472, 1473, 20_000]) {
    const data = new Uint8Array(size).map((_, i) => i * 7);
    guest.sendUdp(5000, '10.0.2.2', port, data);
    await until(`${size} bytes are back`, () => guest.datagrams.length > 0);
    const reply = guest.datagrams.pop();
    assert.deepEqual(reply, { source: 0x0a000202, sourcePort: port, destinationPort: 5000, data });
  }
  assert.equal(gateway.status().udpFlows, 1);
});

test('only who was spoken to may answer over UDP', async (t) => {
  const { guest } = network(t);
  const stranger = createSocket('udp4');
  let seen: number | undefined;
  const echo = createSocket('udp4', (data, from) => {
    seen = from.port;
    stranger.send('unasked', from.port, from.address, () => echo.send(data, from.port, from.address));
  });
  echo.bind(0, '127.0.0.1');
  await once(echo, 'listening');
  t.after(() => {
    echo.close();
    stranger.close();
  });
  guest.sendUdp(5000, '10.0.2.2', echo.address().port, text('hello'));
  await until('an answer is there', () => guest.datagrams.length > 0);
  assert.ok(seen !== undefined);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(
    guest.datagrams.map((d) => new TextDecoder().decode(d.data)),
    ['hello'],
  );
});

test('a silent UDP flow is closed', async (t) => {
  const { guest, gateway } = network(t, { udpIdle: 60 });
  guest.sendUdp(5000, '10.0.2.2', 9, text('into the dark'));
  assert.equal(gateway.status().udpFlows, 1);
  // The gateway's timers do not keep the process alive; this one does.
  await until('it is closed', () => gateway.status().udpFlows === 0);
});

test('a forwarded UDP port leads to a guest and back to the right peer', async (t) => {
  const { guest, gateway } = network(t);
  const forward = await gateway.forward({ protocol: 'udp', guest: '10.0.2.15', guestPort: 7 });
  guest.onPacket = () => {
    for (const d of guest.datagrams.splice(0)) guest.sendUdp(d.destinationPort, '10.0.2.2', d.sourcePort, d.data);
  };
  const answers = await Promise.all(
    ['one', 'two'].map(async (word) => {
      const client = createSocket('udp4');
      t.after(() => client.close());
      client.send(word, forward.port, '127.0.0.1');
      const [reply] = (await once(client, 'message')) as [Uint8Array];
      return new TextDecoder().decode(reply);
    }),
  );
  assert.deepEqual(answers, ['one', 'two']);
  await forward.close();
});

/** A query for an address record. */
function query(name: string): Uint8Array {
  const labels = name.split('.').flatMap((label) => [label.length, ...text(label)]);
  return Uint8Array.of(0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, 1, 0, 1);
}

test('names: own ones, the host resolver, and the hosts file where there is no server', async (t) => {
  const answer = Uint8Array.of(...query('known.example'), 0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 80);
  set16(answer, 2, 0x8180);
  set16(answer, 6, 1);
  const sockets = {
    ...nodeSockets(),
    dnsExchange: (q: Uint8Array) =>
      new TextDecoder().decode(q).includes('known') ? Promise.resolve(answer) : Promise.reject(new Error('no server')),
    lookup: (name: string) => Promise.resolve(name === 'printer' ? ['192.0.2.9'] : []),
  };
  const { guest } = network(t, { sockets, names: { 'db.test': '10.0.2.99' } });
  const ask = async (name: string) => {
    guest.sendUdp(5353, '10.0.2.3', 53, query(name));
    await until(`${name} is answered`, () => guest.datagrams.length > 0);
    const { data } = guest.datagrams.splice(0)[0];
    return { rcode: data[3] & 15, address: get16(data, 6) > 0 ? [...data.slice(-4)] : [] };
  };
  assert.deepEqual(await ask('DB.test'), { rcode: Rcode.NoError, address: [10, 0, 2, 99] });
  assert.deepEqual(await ask('gateway'), { rcode: Rcode.NoError, address: [10, 0, 2, 2] });
  assert.deepEqual(await ask('known.example'), { rcode: Rcode.NoError, address: [192, 0, 2, 80] });
  assert.deepEqual(await ask('printer'), { rcode: Rcode.NoError, address: [192, 0, 2, 9] });
  assert.deepEqual(await ask('nowhere'), { rcode: Rcode.ServerFailure, address: [] });

  const sink = new Recorder();
  dial(guest, '10.0.2.3', 53, sink);
  const q = query('db.test');
  sink.connection?.send(Uint8Array.of(0, q.length, ...q, 0, q.length));
  sink.connection?.send(q);
  await until('both are answered over TCP', () => sink.bytes >= 2 * (2 + q.length + 16));
  assert.deepEqual([...concat(sink.received).slice(-4)], [10, 0, 2, 99]);
});

/** A UDP port of this host that nobody listens on. */
async function closedUdpPort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

test('a datagram to a closed port gets its "port unreachable", every time', async (t) => {
  const { guest, gateway } = network(t);
  const port = await closedUdpPort();
  for (let n = 0; n < 3; n++) {
    guest.sendUdp(5000 + (n % 2), '10.0.2.2', port, text('anybody?'));
    await until('the message is there', () => guest.icmp.length > 0);
    const [{ source, data }] = guest.icmp.splice(0);
    assert.equal(source, 0x0a000202);
    assert.deepEqual([...data.slice(0, 2)], [3, 3]);
    // It quotes the datagram: protocol, addresses and ports.
    assert.equal(data[8 + 9], 17);
    assert.deepEqual([...data.slice(8 + 12, 8 + 20)], [10, 0, 2, 15, 10, 0, 2, 2]);
    assert.deepEqual([get16(data, 28), get16(data, 30)], [5000 + (n % 2), port]);
  }
  assert.equal(gateway.status().udpFlows, 2);
  assert.deepEqual(guest.datagrams, []);
});

test('a port that speaks to two places keeps its one port outside', async (t) => {
  const { guest } = network(t);
  const froms: number[] = [];
  const ports: number[] = [];
  for (let n = 0; n < 3; n++) {
    const echo = createSocket('udp4', (data, from) => {
      froms.push(from.port);
      echo.send(data, from.port, from.address);
    });
    echo.bind(0, '127.0.0.1');
    await once(echo, 'listening');
    t.after(() => echo.close());
    ports.push(echo.address().port);
  }
  // The first two before the socket is there; and the first again when others have been.
  guest.sendUdp(5000, '10.0.2.2', ports[0], text('0'));
  guest.sendUdp(5000, '10.0.2.2', ports[1], text('1'));
  await until('both are back', () => guest.datagrams.length === 2);
  for (const n of [2, 0, 1]) {
    guest.sendUdp(5000, '10.0.2.2', ports[n], text(`${n}`));
    await until('it is back', () => guest.datagrams.at(-1)?.sourcePort === ports[n]);
  }
  assert.equal(froms.length, 5);
  assert.equal(new Set(froms).size, 1);
  const later = createSocket('udp4').bind(0, '127.0.0.1');
  await once(later, 'listening');
  t.after(() => later.close());
  guest.sendUdp(5001, '10.0.2.2', ports[0], text('a'));
  await until('it is back', () => guest.datagrams.at(-1)?.destinationPort === 5001);
  const known = froms.at(-1);
  guest.sendUdp(5001, '10.0.2.2', later.address().port, text('b'));
  const [, from] = (await once(later, 'message')) as [Buffer, { port: number }];
  assert.equal(from.port, known);
});

/** What the guest's name server says to a query of a type. */
async function ask(guest: Peer, name: string, type: number): Promise<{ rcode: number; addresses: number[][] }> {
  const asked = query(name);
  set16(asked, asked.length - 4, type);
  guest.datagrams.length = 0;
  guest.sendUdp(5353, '10.0.2.3', 53, asked);
  await until(`${name} is answered`, () => guest.datagrams.length > 0);
  const { data } = guest.datagrams.splice(0)[0];
  const count = get16(data, 6);
  const addresses = Array.from({ length: count }, (_, n) => [...data.slice(asked.length + 16 * n + 12).slice(0, 4)]);
  return { rcode: data[3] & 15, addresses };
}

const A = 1;
const MX = 15;
const AAAA = 28;

/** The host's table of names, as a file. */
async function hostsFile(t: TestContext, content: string): Promise<HostsFile> {
  const folder = await mkdtemp(join(tmpdir(), 'understudy-hosts-'));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'hosts'), content);
  return new HostsFile(join(folder, 'hosts'));
}

/** A name server whose answer to everything is that there is no such name; it notes what it is asked. */
async function nobodyKnows(t: TestContext): Promise<{ asked: string[]; address: string }> {
  const asked: string[] = [];
  const server = createSocket('udp4', (message, from) => {
    const reply = Uint8Array.from(message);
    reply[2] |= 0x80;
    reply[3] = Rcode.NameError;
    asked.push(message.toString('latin1'));
    server.send(reply, from.port, from.address);
  });
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { asked, address: `127.0.0.1:${server.address().port}` };
}

for (const [which, set] of [
  ['dns', setServers],
  ['dns/promises', setServersOfPromises],
] as const) {
  test(`names of the hosts file, and the servers that the process sets (${which})`, async (t) => {
    const hosts = await hostsFile(
      t,
      `# a comment
127.0.0.1 localhost
127.0.1.1\tThis.Host this # and another
192.0.2.9 printer printer.lan
192.0.2.10 printer
::1 six
fe80::1%lo0 zone
not-an-address nobody
`,
    );
    const before = getServers();
    t.after(() => {
      setServers(before);
      setServersOfPromises(before);
    });
    const { asked, address } = await nobodyKnows(t);
    set([address]);
    const { guest } = network(t, { sockets: nodeSockets({ hosts }) });
    const none: number[][] = [];
    const printer = [
      [192, 0, 2, 9],
      [192, 0, 2, 10],
    ];
    assert.deepEqual(await ask(guest, 'printer', A), { rcode: Rcode.NoError, addresses: printer });
    assert.deepEqual(await ask(guest, 'PRINTER.lan', A), { rcode: Rcode.NoError, addresses: [printer[0]] });
    // It is there, and has no IPv6 address: a "no such name" would end a client's search.
    assert.deepEqual(await ask(guest, 'printer', AAAA), { rcode: Rcode.NoError, addresses: none });
    assert.deepEqual(asked, []);
    assert.deepEqual(await ask(guest, 'printer', MX), { rcode: Rcode.NoError, addresses: none });
    assert.equal(asked.length, 1);
    // The host's own loopback is the gateway to a guest.
    assert.deepEqual(await ask(guest, 'this.host', A), { rcode: Rcode.NoError, addresses: [[10, 0, 2, 2]] });
    assert.deepEqual(await ask(guest, 'this.host', AAAA), { rcode: Rcode.NoError, addresses: none });
    assert.deepEqual(await ask(guest, 'six', A), { rcode: Rcode.NoError, addresses: none });
    // Who asks for localhost means itself.
    assert.deepEqual(await ask(guest, 'localhost', A), { rcode: Rcode.NoError, addresses: [[127, 0, 0, 1]] });
    assert.deepEqual(await ask(guest, 'nobody', A), { rcode: Rcode.NameError, addresses: none });
    assert.equal(asked.length, 2);
    assert.match(asked.join(), /nobody/);
  });
}

test('echo requests to the gateway are answered, to the outside refused', async (t) => {
  const { guest } = network(t);
  const request = Uint8Array.of(8, 0, 0xf7, 0xfd, 0, 1, 0, 1);
  guest.link.sendPayload(1, guest.ip, 0x0a000202, request);
  await until('the reply is there', () => guest.icmp.length === 1);
  assert.deepEqual([...guest.icmp[0].data], [0, 0, 0xff, 0xfd, 0, 1, 0, 1]);
  guest.link.sendPayload(1, guest.ip, 0xc6336407, request);
  await until('the refusal is there', () => guest.icmp.length === 2);
  assert.deepEqual([...guest.icmp[1].data.slice(0, 2)], [3, 13]);
});
