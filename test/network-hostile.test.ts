/**
 * Hostile stations on the switch beside an honest one, which talks to a server of this host all the while: its longest
 * gap is asserted, and that timers of the process run. Bounds are generous: what they tell from is "for ever".
 */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { setServers } from 'node:dns';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { nodeClock, nodeSockets } from '../src/adapters/node/sockets.js';
import { Gateway, parseIpv4, Switch, type GatewayOptions, type Port, type Sockets } from '../src/net/index.js';
import { Peer, Recorder, Sink } from '../src/net/testing/peer.js';
import { ARP_REQUEST, buildArp } from '../src/net/wire/arp.js';
import { set16, set32 } from '../src/net/wire/bytes.js';
import { writeEthernet } from '../src/net/wire/ethernet.js';
import { writeIpv4Header } from '../src/net/wire/ipv4.js';
import { buildUdp } from '../src/net/wire/udp.js';
import { transportChecksum } from '../src/net/wire/checksum.js';
import { parseMac } from '../src/net/address.js';

const GATEWAY = { mac: parseMac('52:55:0a:00:02:02'), ip: parseIpv4('10.0.2.2') };
const NAMES = parseIpv4('10.0.2.3');
/** The longest the honest station and the timers may wait (ms). Under attack without a budget both wait for ever. */
const MOST = 400;
const ATTACK = 700;

interface Stage {
  readonly sw: Switch;
  readonly gateway: Gateway;
  readonly honest: Peer;
  readonly echo: number;
}

async function listen(t: TestContext, handle: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    t.after(() => socket.destroy());
    socket.on('error', () => undefined);
    handle(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function stage(t: TestContext, sockets: Partial<Sockets> = {}, options: Partial<GatewayOptions> = {}) {
  const clock = nodeClock();
  const sw = new Switch({ clock });
  const port = sw.attach({ name: 'gateway' });
  const gateway = new Gateway({ port, sockets: { ...nodeSockets(), ...sockets }, clock, ...options });
  t.after(() => gateway.close());
  const honest = peer(sw, 'honest', 15);
  const echo = await listen(t, (socket) => socket.pipe(socket));
  return { sw, gateway, honest, echo };
}

const macOf = (n: number): string => `52:54:00:00:00:${(n - 14).toString(16).padStart(2, '0')}`;

function peer(sw: Switch, name: string, n: number): Peer {
  const port = sw.attach({ name });
  port.addresses.register({ mac: parseMac(macOf(n)), ip: parseIpv4(`10.0.2.${n}`) });
  return new Peer({ port, clock: nodeClock(), ip: `10.0.2.${n}`, mac: macOf(n) });
}

/** The honest station's talk with the echo server, an octet at a time. Gives the longest it and a timer had to wait. */
async function talk({ honest, echo }: Stage, ms: number): Promise<{ talk: number; timer: number; rounds: number }> {
  const sink = new Sink();
  sink.connection = honest.connect('10.0.2.2', echo, sink);
  const longest = { talk: 0, timer: 0, rounds: 0 };
  let answered = performance.now();
  let ticked = answered;
  sink.onData = () => {
    const now = performance.now();
    longest.talk = Math.max(longest.talk, now - answered);
    longest.rounds++;
    answered = now;
    setTimeout(() => {
      answered = performance.now();
      sink.connection?.send(Uint8Array.of(1));
    }, 1);
  };
  sink.connection.send(Uint8Array.of(1));
  const timer = setInterval(() => {
    const now = performance.now();
    longest.timer = Math.max(longest.timer, now - ticked);
    ticked = now;
  }, 5);
  await sleep(ms);
  clearInterval(timer);
  longest.talk = Math.max(longest.talk, performance.now() - answered);
  sink.connection.abort();
  return longest;
}

/** A network card whose queue is always full: it sends as long as it is let, and again whenever it may. */
function flood(port: Port, frame: (n: number) => Uint8Array): () => void {
  let n = 0;
  let on = true;
  const pump = (): void => {
    for (let i = 0; i < 256; i++) if (!on || !port.send(frame(n++))) return;
  };
  port.onReady = pump;
  port.onFrame = () => {
    pump();
    return true;
  };
  // The device's own share of each turn.
  const again = (): void => {
    if (!on) return;
    pump();
    setImmediate(again);
  };
  again();
  return () => {
    on = false;
  };
}

type Frame = Uint8Array<ArrayBuffer>;

function ipv4(from: number, protocol: number, to: number, payload: Uint8Array, fragment = 0, size = 0): Frame {
  const frame = new Uint8Array(Math.max(size, 34 + payload.length));
  writeEthernet(frame, GATEWAY.mac, parseMac(macOf(from)), 0x0800);
  writeIpv4Header(frame, 14, payload.length, protocol, parseIpv4(`10.0.2.${from}`), to, payload.length, fragment);
  frame.set(payload, 34);
  return frame;
}

function syn(from: number, to: number, n: number, port: number): Uint8Array {
  const segment = new Uint8Array(20);
  set16(segment, 0, 1024 + (n % 60_000));
  set16(segment, 2, port);
  set32(segment, 4, n);
  segment[12] = 0x50;
  segment[13] = 2;
  set16(segment, 14, 65_535);
  set16(segment, 16, transportChecksum(segment, 0, 20, parseIpv4(`10.0.2.${from}`), to, 6));
  return ipv4(from, 6, to, segment);
}

const udp = (from: number, to: number, n: number, port: number, data: Uint8Array = new Uint8Array(20)): Frame =>
  ipv4(from, 17, to, buildUdp(parseIpv4(`10.0.2.${from}`), 1024 + (n % 60_000), to, port, data));

function query(n: number): Uint8Array {
  const name = `n${n}`;
  const head = [n >> 8, n & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, name.length];
  return Uint8Array.of(...head, ...new TextEncoder().encode(name), 2, 105, 116, 0, 0, 1, 0, 1);
}

const FLOODS: Record<string, (from: number, closed: number) => (n: number) => Uint8Array> = {
  'frames to each other': (from) => () => {
    const frame = new Uint8Array(60);
    writeEthernet(frame, parseMac(macOf(from === 20 ? 21 : 20)), parseMac(macOf(from)), 0x88b5);
    return frame;
  },
  'large frames to the gateway': (from) => () => ipv4(from, 200, GATEWAY.ip, new Uint8Array(60_000)),
  'ARP requests to everybody': (from) => (n) => {
    const senderIp = parseIpv4(`10.0.2.${from}`);
    const targetIp = GATEWAY.ip + (n % 200);
    const senderMac = parseMac(macOf(from));
    return buildArp(0xffff_ffff_ffff, { operation: ARP_REQUEST, senderMac, senderIp, targetMac: 0, targetIp });
  },
  'connections to a port that refuses': (from, closed) => (n) => syn(from, GATEWAY.ip, n, closed),
  'datagrams from every port': (from) => (n) => udp(from, GATEWAY.ip, n, 9),
  'questions for names': (from) => (n) => udp(from, NAMES, n, 53, query(n)),
  'first fragments': (from) => (n) => ipv4(from, 17, GATEWAY.ip, new Uint8Array(8 + 8 * (n % 900)), 0x2000),
  'frames in the name of the gateway': (from) => () => {
    const frame = ipv4(from, 17, GATEWAY.ip, new Uint8Array(30));
    set32(frame, 26, GATEWAY.ip);
    return frame;
  },
};

for (const [what, frames] of Object.entries(FLOODS)) {
  test(`two stations that flood with ${what} do not stop the third, nor the process`, async (t) => {
    const it = await stage(t, { dnsExchange: () => sleep(200).then(() => Promise.reject(new Error('silent'))) });
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    closed.close();
    const stops = [20, 21].map((n) => flood(portOf(it.sw, n), frames(n, port)));
    const longest = await talk(it, ATTACK);
    for (const stop of stops) stop();
    assert.ok(longest.talk < MOST && longest.timer < MOST && longest.rounds > 5, JSON.stringify(longest));
  });
}

function portOf(sw: Switch, n: number): Port {
  const port = sw.attach({ name: `hostile ${n}` });
  port.addresses.register({ mac: parseMac(macOf(n)), ip: parseIpv4(`10.0.2.${n}`) });
  return port;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes that are kept. */
async function memory(): Promise<number> {
  // What held buffers is swept beside the program.
  for (let n = 0; n < 3; n++) {
    collect();
    await sleep(50);
  }
  const { arrayBuffers, heapUsed, external } = process.memoryUsage();
  return arrayBuffers + heapUsed + external;
}

/** A guest's connection whose every octet of data comes in a frame of 64 KiB, or in one of its own. */
for (const size of [65_000, 0]) {
  test(`octets that nobody reads are not kept with ${size === 0 ? 'a frame each' : 'their padding'}`, async (t) => {
    const { sw, gateway } = await stage(t);
    const reads = await listen(t, (socket) => socket.pause());
    const guest = peer(sw, 'padding', 30);
    const sink = new Sink();
    const connection = guest.connect('10.0.2.2', reads, sink);
    while (!sink.isConnected) await sleep(1);
    // Fill what the operating system takes, so that the rest stays with us.
    while (connection.tcb.sndWnd > 900_000 && connection.queued < 100_000) {
      connection.send(new Uint8Array(65_536));
      await sleep(1);
    }
    while (connection.queued > 0 && connection.tcb.sndWnd > 100_000) await sleep(1);
    const before = await memory();
    const { localPort } = connection.tcb.ends;
    const hostile = guest.link;
    let seq = connection.tcb.sndMax;
    for (let n = 0; n < 8192; n++) {
      const segment = new Uint8Array(21);
      set16(segment, 0, localPort);
      set16(segment, 2, reads);
      set32(segment, 4, seq++);
      set32(segment, 8, connection.tcb.rcvNxt);
      segment[12] = 0x50;
      segment[13] = 0x18;
      set16(segment, 14, 65_535);
      set16(segment, 16, transportChecksum(segment, 0, 21, guest.ip, GATEWAY.ip, 6));
      sendRaw(hostile, ipv4(30, 6, GATEWAY.ip, segment, 0, size));
      if (n % 100 === 0) await sleep(0);
    }
    await sleep(100);
    const kept = ((await memory()) - before) / 2 ** 20;
    assert.equal(gateway.status().tcpConnections, 1);
    assert.ok(kept < 32, `${kept} MiB are kept for 8,192 octets`);
  });
}

/** Behind the back of a peer's own stack. */
function sendRaw(link: Peer['link'], frame: Uint8Array): void {
  link.transmit(frame);
}

test('who takes all the connections there are leaves those of the others', async (t) => {
  const { sw, gateway, honest, echo } = await stage(t, {}, { maxConnections: 400 });
  const hostile = peer(sw, 'hostile', 20);
  const sinks: Sink[] = [];
  // Not all at once: that those which are being opened are few is for another test.
  for (let wave = 0; wave < 30; wave++) {
    for (let n = 0; n < 30; n++) {
      const sink = new Sink();
      sink.connection = hostile.connect('10.0.2.2', echo, sink);
      sinks.push(sink);
    }
    await sleep(20);
  }
  const open = sinks.filter((sink) => sink.isConnected).length;
  assert.ok(open > 150 && open <= 300, `${open} connections are open`);
  assert.ok(gateway.status().crowded > 0);
  const own = Array.from({ length: 90 }, () => {
    const sink = new Sink();
    sink.connection = honest.connect('10.0.2.2', echo, sink);
    return sink;
  });
  for (let n = 0; n < 200 && !own.every((sink) => sink.isConnected); n++) await sleep(10);
  assert.equal(own.filter((sink) => sink.isConnected).length, 90);
  // What is given back can be taken again.
  for (const sink of sinks) sink.connection?.abort();
  await sleep(50);
  const again = new Sink();
  again.connection = hostile.connect('10.0.2.2', echo, again);
  for (let n = 0; n < 200 && !again.isConnected; n++) await sleep(10);
  assert.ok(again.isConnected);
});

test('connections that never open are bounded for each station', async (t) => {
  const it = await stage(t, {
    connect: (address, port, events) => {
      if (address.startsWith('127.')) return nodeSockets().connect(address, port, events);
      // A place that does not answer.
      return {
        write: noop,
        end: noop,
        pause: noop,
        resume: noop,
        reset: () => setImmediate(() => events.closed('reset')),
      };
    },
  });
  const hostile = peer(it.sw, 'hostile', 20);
  for (let n = 0; n < 2000; n++) hostile.connect('198.51.100.1', 80, new Sink());
  await sleep(50);
  assert.ok(it.gateway.status().tcpConnections <= 512);
  const longest = await talk(it, 200);
  assert.ok(longest.rounds > 5);
});

const noop = (): void => undefined;

test('sockets of the host, flows of datagrams and questions for names: each station has its own share', async (t) => {
  let open = 0;
  const it = await stage(t, {
    descriptors: 100,
    datagrams: () => {
      open++;
      return Promise.resolve({ port: 1, send: noop, close: () => open-- });
    },
    dnsExchange: (_query, _stream, signal) => {
      open++;
      return new Promise((_, reject) => {
        signal?.addEventListener('abort', () => {
          open--;
          reject(new Error('given up'));
        });
      });
    },
  });
  const hostile = peer(it.sw, 'hostile', 20);
  for (let n = 0; n < 3000; n++) {
    hostile.sendUdp(1000 + n, '10.0.2.2', 9, new Uint8Array(1));
    hostile.sendUdp(5000 + n, '10.0.2.3', 53, query(n));
    if (n % 100 === 0) await sleep(1);
  }
  await sleep(20);
  assert.ok(open <= 75, `${open} sockets are open for one station`);
  assert.ok(it.gateway.status().crowded > 100);
  const longest = await talk(it, 200);
  assert.ok(longest.rounds > 5);
  const before = open;
  for (let n = 0; n < 10; n++) it.honest.sendUdp(1000 + n, '10.0.2.2', 9, new Uint8Array(1));
  await sleep(20);
  assert.equal(open, before + 10);
  await it.gateway.close();
  assert.equal(open, 0);
});

test('unfinished fragments of one station do not push out those of another', async (t) => {
  const { sw, honest } = await stage(t);
  const echo = createSocket('udp4', (data, from) => echo.send(data, from.port, from.address));
  echo.bind(0, '127.0.0.1');
  await once(echo, 'listening');
  t.after(() => echo.close());
  const hostile = portOf(sw, 20);
  const { port } = echo.address();
  const whole = buildUdp(honest.ip, 5000, GATEWAY.ip, port, new Uint8Array(2000).fill(7));
  const piece = (from: number, to: number): Uint8Array =>
    ipv4Piece(whole.subarray(from, to), (from >> 3) | (to < whole.length ? 0x2000 : 0));
  const send = honestPort(honest);
  send(piece(0, 1000));
  for (let n = 0; n < 1000; n++) hostile.send(ipv4(20, 17, GATEWAY.ip, new Uint8Array(8 + 8 * (n % 180)), 0x2000));
  for (let n = 0; n < 1000; n++) {
    const frame = ipv4(20, 17, GATEWAY.ip, new Uint8Array(800), 0x2000);
    set16(frame, 18, n);
    set16(frame, 24, 0);
    writeIpv4Header(frame, 14, 800, 17, parseIpv4('10.0.2.20'), GATEWAY.ip, n, 0x2000);
    hostile.send(frame);
  }
  await sleep(20);
  send(piece(1000, whole.length));
  for (let n = 0; n < 200 && honest.datagrams.length === 0; n++) await sleep(5);
  assert.equal(honest.datagrams[0]?.data.length, 2000);
});

function ipv4Piece(payload: Uint8Array, fragment: number): Uint8Array {
  const frame = new Uint8Array(34 + payload.length);
  writeEthernet(frame, GATEWAY.mac, parseMac(macOf(15)), 0x0800);
  writeIpv4Header(frame, 14, payload.length, 17, parseIpv4('10.0.2.15'), GATEWAY.ip, 77, fragment);
  frame.set(payload, 34);
  return frame;
}

function honestPort(honest: Peer): (frame: Uint8Array) => void {
  return (frame) => sendRaw(honest.link, frame);
}

test('a forwarded port whose guest has no place left resets its clients, and others go on', async (t) => {
  const { sw, gateway, honest } = await stage(t, {}, { maxConnections: 100 });
  const accept = (guest: Peer): void =>
    guest.listen(80, (connection) => {
      const sink = new Recorder();
      sink.connection = connection;
      sink.onData = (chunk) => connection.send(chunk.slice());
      return sink;
    });
  const hostile = peer(sw, 'hostile', 20);
  accept(hostile);
  accept(honest);
  const full = await gateway.forward({ guest: '10.0.2.20', guestPort: 80 });
  const other = await gateway.forward({ guest: '10.0.2.15', guestPort: 80 });
  let resets = 0;
  const clients = Array.from({ length: 150 }, () => {
    const client = connect(full.port, '127.0.0.1');
    client.on('error', () => resets++);
    t.after(() => client.destroy());
    return client;
  });
  await Promise.all(clients.map((client) => Promise.race([once(client, 'connect'), once(client, 'close')])));
  for (let n = 0; n < 200 && resets < 75; n++) await sleep(10);
  assert.ok(resets >= 75, `${resets} of 150 clients were refused`);
  const client = connect(other.port, '127.0.0.1');
  t.after(() => client.destroy());
  client.write('hello');
  const [answer] = (await once(client, 'data')) as [Buffer];
  assert.equal(answer.toString(), 'hello');
});

// The process-wide servers are not asked by these tests.
setServers(['127.0.0.1:9']);
