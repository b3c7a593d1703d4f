/** The gateway between a guest peer and real sockets of this host, over loopback only. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { getServers, setServers } from 'node:dns';
import { setServers as setServersOfPromises } from 'node:dns/promises';
import { createSocket } from 'node:dgram';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { HostsFile } from '../src/adapters/node/hosts-file.js';
import { nodeClock, nodeSockets } from '../src/adapters/node/sockets.js';
import { Gateway, NetError, parseMac, Switch, type GatewayOptions, type Port } from '../src/net/index.js';
import { concat, Peer, Recorder, Sink } from '../src/net/testing/peer.js';
import { Rcode } from '../src/net/wire/dns.js';
import { get16, set16 } from '../src/net/wire/bytes.js';

const MAC = '52:54:00:00:00:01';

interface Net {
  sw: Switch;
  gateway: Gateway;
  guest: Peer;
  port: Port;
}

function network(t: TestContext, options: Partial<GatewayOptions> = {}): Net {
  const sw = new Switch();
  const clock = nodeClock();
  const gateway = new Gateway({ port: sw.attach({ name: 'gateway' }), sockets: nodeSockets(), clock, ...options });
  const port = sw.attach({ name: 'guest' });
  const mtu = options.mtu ?? 1500;
  const guest = new Peer({ port, clock, ip: '10.0.2.15', mac: MAC, mtu });
  t.after(() => gateway.close());
  return { sw, gateway, guest, port };
}

async function serve(t: TestContext, handle: (socket: Socket) => void): Promise<number> {
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    t.after(() => socket.destroy());
    handle(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** Waits until `done`, at most some seconds. */
async function until(what: string, done: () => boolean, ms = 10_000): Promise<void> {
  const end = Date.now() + ms;
  while (!done()) {
    if (Date.now() > end) assert.fail(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function dial(guest: Peer, address: string, port: number, sink: Sink): Sink {
  sink.connection = guest.connect(address, port, sink);
  return sink;
}

test('a guest reaches a server of the host, and both ends close in order', async (t) => {
  const { guest, gateway } = network(t);
  const port = await serve(t, (socket) => socket.pipe(socket));
  const sink = new Recorder();
  dial(guest, '10.0.2.2', port, sink);
  sink.connection?.send(text('over and back'));
  sink.connection?.close();
  await until('the guest is done', () => sink.isClosed || sink.connection?.tcb.timeWaitAt !== Infinity);
  assert.equal(sink.text, 'over and back');
  assert.ok(sink.ended);
  await until('the gateway has forgotten it', () => gateway.status().tcpConnections === 0);
});

test('100 MB both ways through the gateway, checksummed', async (t) => {
  const { guest } = network(t);
  const size = 100_000_000;
  const port = await serve(t, (socket) => socket.pipe(socket));
  const sink = new Sink();
  const there = createHash('sha256');
  const back = createHash('sha256');
  sink.onData = (chunk) => back.update(chunk);
  dial(guest, '10.0.2.2', port, sink);
  let sent = 0;
  const pump = () => {
    while (sent < size) {
      const chunk = new Uint8Array(Math.min(50_000, size - sent));
      new DataView(chunk.buffer).setFloat64(0, Math.random());
      sent += chunk.length;
      there.update(chunk);
      if (sink.connection?.send(chunk) === false) return;
    }
    sink.connection?.close();
  };
  sink.onWritable = pump;
  pump();
  await until('the echo is complete', () => sink.ended, 60_000);
  assert.equal(sink.bytes, size);
  assert.equal(back.digest('hex'), there.digest('hex'));
});

test('a refused connection is refused in the guest', async (t) => {
  const { guest } = network(t);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  const sink = dial(guest, '10.0.2.2', port, new Sink());
  await until('it is closed', () => sink.isClosed);
  assert.equal(sink.fault, 'refused');
});

test('what policy forbids is refused: loopback, other networks, a policy of the user', async (t) => {
  const asked: string[] = [];
  const { guest } = network(t, {
    allow: (target) => {
      asked.push(`${target.protocol} ${target.address}:${target.port} ${target.guest}`);
      return false;
    },
  });
  for (const address of ['127.0.0.1', '224.0.0.1', '0.1.2.3', '198.51.100.7']) {
    const sink = dial(guest, address, 80, new Sink());
    await until('it is closed', () => sink.isClosed);
    assert.equal(sink.fault, 'refused', address);
  }
  assert.deepEqual(asked, ['tcp 198.51.100.7:80 10.0.2.15']);
});

test('a guest that is not allowed to reach the host does not', async (t) => {
  const { guest } = network(t, { hostAccess: false });
  let reached = false;
  const port = await serve(t, () => (reached = true));
  const sink = dial(guest, '10.0.2.2', port, new Sink());
  await until('it is closed', () => sink.isClosed);
  assert.equal(reached, false);
});

test('a reset travels both ways', async (t) => {
  const { guest } = network(t);
  let faults = 0;
  let server: Socket | undefined;
  const port = await serve(t, (socket) => {
    server = socket;
    socket.on('error', () => faults++);
  });
  const first = dial(guest, '10.0.2.2', port, new Sink());
  await until('it is open', () => first.isConnected && server !== undefined);
  server?.resetAndDestroy();
  await until('the guest sees the reset', () => first.isClosed);
  assert.equal(first.fault, 'reset');
  server = undefined;
  const second = dial(guest, '10.0.2.2', port, new Sink());
  await until('it is open', () => second.isConnected && server !== undefined);
  second.connection?.abort();
  await until('the server sees the reset', () => faults === 1);
});

test('a half-closed connection goes on in the other direction', async (t) => {
  const { guest } = network(t);
  const port = await serve(t, (socket) => {
    socket.resume();
    socket.on('end', () => setTimeout(() => socket.end('after your end'), 30));
  });
  const sink = new Recorder();
  dial(guest, '10.0.2.2', port, sink);
  sink.connection?.close();
  await until('the guest has the answer', () => sink.ended);
  assert.equal(sink.text, 'after your end');
});

test('a host that does not read stops the guest, and no memory grows without bound', async (t) => {
  const { guest } = network(t);
  let server: Socket | undefined;
  const port = await serve(t, (socket) => {
    socket.pause();
    server = socket;
  });
  const sink = dial(guest, '10.0.2.2', port, new Sink());
  await until('it is open', () => sink.isConnected && server !== undefined);
  const size = 40_000_000;
  const big = new Uint8Array(size);
  sink.connection?.send(big);
  sink.connection?.close();
  await new Promise((resolve) => setTimeout(resolve, 300));
  const taken = size - (sink.connection?.queued ?? 0);
  assert.ok(taken < 20_000_000, `${taken} bytes were taken from a guest whose peer reads nothing`);
  let read = 0;
  server?.on('data', (chunk) => (read += chunk.length));
  server?.resume();
  await until('all is read', () => read === size);
});

test('a guest that does not read stops the host', async (t) => {
  const { guest, gateway } = network(t);
  let written = 0;
  const port = await serve(t, (socket) => {
    const pump = () => {
      while (socket.write(new Uint8Array(65536), () => (written += 65536)));
      socket.once('drain', pump);
    };
    pump();
  });
  const sink = new Sink();
  // No connection to report consumption to: the window shuts.
  const connection = guest.connect('10.0.2.2', port, sink);
  // The last bytes of a window are not offered when they are less than a segment (silly window avoidance).
  const nearly = 1024 * 1024 - 1460;
  await until('the window is full', () => sink.bytes > nearly);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const before = written;
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(written, before, 'the host was still being read');
  assert.ok(sink.bytes <= 1024 * 1024);
  connection.consumed(512 * 1024);
  await until('the flow goes on', () => sink.bytes > nearly + 512 * 1024);
  assert.equal(gateway.status().tcpConnections, 1);
});

test('a forwarded port leads to a guest, with the gateway as the client', async (t) => {
  const { guest, gateway } = network(t);
  const clients: number[] = [];
  guest.listen(6379, (connection) => {
    clients.push(connection.tcb.ends.remoteAddress);
    const sink = new Sink();
    sink.connection = connection;
    sink.onData = (chunk) => connection.send(chunk.slice());
    sink.end = () => connection.close();
    return sink;
  });
  const forward = await gateway.forward({ guest: '10.0.2.15', guestPort: 6379 });
  const socket = connect(forward.port, '127.0.0.1');
  const received: Uint8Array[] = [];
  socket.on('data', (chunk) => received.push(chunk));
  socket.end('PING\r\n');
  await once(socket, 'close');
  assert.equal(new TextDecoder().decode(concat(received)), 'PING\r\n');
  assert.deepEqual(clients, [0x0a000202]);
  await forward.close();
  const refused = connect(forward.port, '127.0.0.1');
  const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNREFUSED');
});

test('a forwarded port whose guest refuses resets the client', async (t) => {
  const { gateway } = network(t);
  const forward = await gateway.forward({ guest: '10.0.2.15', guestPort: 1 });
  const socket = connect(forward.port, '127.0.0.1');
  let code: string | undefined;
  socket.on('error', (error: NodeJS.ErrnoException) => (code = error.code));
  await until('the client is reset', () => socket.closed);
  assert.equal(code, 'ECONNRESET');
  await until('the gateway has forgotten it', () => gateway.status().tcpConnections === 0);
});

test('a port that is taken is an error that says what to do', async (t) => {
  const { gateway } = network(t);
  const port = await serve(t, () => undefined);
  await assert.rejects(
    gateway.forward({ port, guest: '10.0.2.15', guestPort: 80 }),
    (error) => error instanceof NetError && error.code === 'PORT_IN_USE' && error.message.includes(`${port}`),
  );
  await assert.rejects(
    gateway.forward({ host: '192.0.2.1', guest: '10.0.2.15', guestPort: 80 }),
    (error) => error instanceof NetError && error.code === 'NO_SUCH_ADDRESS',
  );
  await assert.rejects(
    gateway.forward({ guest: '10.9.9.9', guestPort: 80 }),
    (error) => error instanceof NetError && error.code === 'BAD_CONFIG',
  );
});

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

test('a guest moves to another port in the middle of a conversation', async (t) => {
  const { guest, gateway, sw, port } = network(t);
  const second = sw.attach({ name: 'second' });
  guest.listen(6379, (connection) => {
    const sink = new Sink();
    sink.connection = connection;
    sink.onData = (chunk) => connection.send(chunk.slice());
    sink.end = () => connection.close();
    return sink;
  });
  const forward = await gateway.forward({ guest: '10.0.2.15', guestPort: 6379 });
  const socket = connect(forward.port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.setNoDelay(true);
  let answered = '';
  let sent = '';
  let last = Date.now();
  let longest = 0;
  socket.on('data', (chunk) => {
    answered += chunk.toString('latin1');
    longest = Math.max(longest, Date.now() - last);
    last = Date.now();
  });
  const timer = setInterval(() => {
    const word = `${sent.length};`;
    sent += word;
    socket.write(word);
  }, 2);
  t.after(() => clearInterval(timer));
  await until('the conversation runs', () => answered.length > 50);
  for (const [from, to] of [
    [port, second],
    [second, port],
  ]) {
    const gate = sw.hold({ mac: parseMac(MAC) });
    // From here on the guest is nowhere: its frames of this time are lost.
    from.onFrame = () => true;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const released = Date.now();
    guest.link.move(to);
    gate.release(to);
    longest = 0;
    await until('it goes on', () => last > released);
    assert.ok(longest < 1500 + 150, `the client waited ${longest} ms for a pause of 1500 ms`);
  }
  clearInterval(timer);
  await until('every word was answered', () => answered.length === sent.length);
  assert.equal(answered, sent);
});

/** Sends `size` bytes to an echo and checks what comes back; gives a function that tells when all is there. */
function echoBulk(sink: Sink, size: number): () => boolean {
  const there = createHash('sha256');
  const back = createHash('sha256');
  sink.onData = (chunk) => back.update(chunk);
  let sent = 0;
  const pump = () => {
    while (sent < size) {
      const chunk = new Uint8Array(Math.min(30_000, size - sent));
      new DataView(chunk.buffer).setFloat64(0, Math.random());
      sent += chunk.length;
      there.update(chunk);
      if (sink.connection?.send(chunk) === false) return;
    }
    sink.connection?.close();
  };
  sink.onWritable = pump;
  pump();
  return () => {
    if (!sink.ended) return false;
    assert.equal(sink.bytes, size);
    assert.equal(back.digest('hex'), there.digest('hex'));
    return true;
  };
}

test('a guest moves again and again in the middle of a large transfer', async (t) => {
  const { guest, sw, port } = network(t);
  const homes = [sw.attach({ name: 'second' }), port];
  const server = await serve(t, (socket) => socket.pipe(socket));
  const sink = dial(guest, '10.0.2.2', server, new Sink());
  const size = 150_000_000;
  const done = echoBulk(sink, size);
  for (let hop = 0; hop < 6; hop++) {
    await until('more has come', () => sink.bytes > (hop + 1) * 15_000_000);
    const gate = sw.hold({ mac: parseMac(MAC) });
    homes[(hop + 1) % 2].onFrame = () => true;
    await new Promise((resolve) => setTimeout(resolve, 50));
    const before = sink.bytes;
    guest.link.move(homes[hop % 2]);
    gate.release(homes[hop % 2]);
    await until('it goes on', () => sink.bytes > before, 1000);
  }
  await until('the echo is complete', done, 60_000);
});

test('a guest with few buffers gets everything, and nothing overflows', async (t) => {
  const { guest, port } = network(t);
  const server = await serve(t, (socket) => socket.pipe(socket));
  // A ring of 16 buffers that the guest empties now and then.
  const ring: Uint8Array[] = [];
  const inner = port.onFrame;
  let told = 0;
  port.onFrame = (frame) => {
    if (ring.length === 16) {
      told++;
      return false;
    }
    ring.push(frame);
    return true;
  };
  const timer = setInterval(() => {
    for (let i = 0; i < 40; i++) {
      for (const frame of ring.splice(0)) inner?.(frame);
      port.ready();
    }
  }, 1);
  t.after(() => clearInterval(timer));
  const sink = dial(guest, '10.0.2.2', server, new Sink());
  await until('it is open', () => sink.isConnected);
  await until('the echo is complete', echoBulk(sink, 20_000_000), 60_000);
  assert.ok(told > 100);
  assert.equal(port.counters.overflowed, 0);
});

test('a guest that takes no frames at all does not stop the others', async (t) => {
  const { guest, gateway, sw } = network(t);
  const dead = sw.attach({ name: 'dead' });
  const peer = new Peer({ port: dead, clock: nodeClock(), ip: '10.0.2.16', mac: '52:54:00:00:00:02' });
  const flood = await serve(t, (socket) => {
    const pump = () => {
      while (socket.write(new Uint8Array(65536)));
      socket.once('drain', pump);
    };
    pump();
  });
  for (let i = 0; i < 20; i++) {
    const sink = dial(peer, '10.0.2.2', flood, new Sink());
    await until('it is open', () => sink.isConnected);
  }
  dead.onFrame = () => false;
  await new Promise((resolve) => setTimeout(resolve, 100));
  const echo = await serve(t, (socket) => socket.pipe(socket));
  const sink = dial(guest, '10.0.2.2', echo, new Sink());
  await until('the echo is complete', echoBulk(sink, 5_000_000));
  assert.equal(gateway.status().tcpConnections >= 20, true);
});
