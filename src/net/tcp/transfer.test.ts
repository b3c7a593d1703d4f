/** Two of our own stacks against each other over a bad cable, in simulated time. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Switch } from '../switch.js';
import { impair, type Impairment, type ImpairedPort } from '../testing/impair.js';
import { Peer, Sink } from '../testing/peer.js';
import { seeded } from '../testing/random.js';
import { SimClock } from '../testing/sim-clock.js';
import type { TcpConnection } from './connection.js';
import type { TcpConfig } from './tcb.js';

interface World {
  clock: SimClock;
  a: Peer;
  b: Peer;
  cable: ImpairedPort;
}

interface WorldOptions extends Partial<Impairment> {
  readonly iss?: () => number;
  /** Who takes and sends large frames. */
  readonly large?: 'a' | 'b' | 'ab';
}

function world(how: WorldOptions, config: Partial<TcpConfig> = {}, mtu = 1500): World {
  const clock = new SimClock();
  const iss = how.iss === undefined ? {} : { iss: how.iss };
  const large = (name: string): boolean => how.large?.includes(name) === true;
  const sw = new Switch();
  const cable = impair(sw.attach({ name: 'a' }), clock, { delay: 0.1, random: seeded(1), ...how });
  const both = { clock, tcp: config, mtu, ...iss };
  const a = new Peer({ ...both, port: cable, ip: '10.0.2.15', mac: '52:54:00:00:00:01', large: large('a') });
  const port = sw.attach({ name: 'b' });
  const b = new Peer({ ...both, port, ip: '10.0.2.16', mac: '52:54:00:00:00:02', large: large('b') });
  port.onReady = () => b.tcp.writable();
  return { clock, a, b, cable };
}

/** Sends `size` pseudo-random bytes, waiting when asked to; gives the digest of what it sends. */
function feed(connection: TcpConnection, sink: Sink, size: number, seed: number) {
  const hash = createHash('sha256');
  const random = seeded(seed);
  let left = size;
  const pump = () => {
    while (left > 0) {
      const chunk = new Uint8Array(Math.min(left, 1 + Math.floor(random() * 65536)));
      const words = new Uint32Array(chunk.buffer, 0, chunk.length >> 2);
      for (let i = 0; i < words.length; i += 64) words[i] = random() * 0xffff_ffff;
      hash.update(chunk);
      left -= chunk.length;
      if (!connection.send(chunk)) return;
    }
    connection.close();
  };
  sink.onWritable = pump;
  pump();
  return () => hash.digest('hex');
}

function digestOf(sink: Sink): () => string {
  const hash = createHash('sha256');
  sink.onData = (chunk) => hash.update(chunk);
  return () => hash.digest('hex');
}

function transfer(w: World, size: number): number {
  const server = new Sink();
  const client = new Sink();
  const atServer = digestOf(server);
  const atClient = digestOf(client);
  w.b.listen(80, (connection) => {
    server.connection = connection;
    return server;
  });
  client.connection = w.a.connect('10.0.2.16', 80, client);
  w.clock.advance(60_000, () => server.isConnected);
  assert.ok(server.isConnected && server.connection !== undefined, 'the handshake did not come about');
  const started = w.clock.now();
  const fromServer = feed(server.connection, server, size, 2);
  const fromClient = feed(client.connection, client, size, 3);
  w.clock.advance(3_600_000, () => client.isClosed && server.isClosed);
  assert.equal(client.fault, undefined);
  assert.equal(server.fault, undefined);
  assert.equal(server.bytes, size);
  assert.equal(client.bytes, size);
  assert.equal(atServer(), fromClient());
  assert.equal(atClient(), fromServer());
  assert.equal(w.a.tcp.size + w.b.tcp.size, 0, 'a connection was not forgotten');
  return w.clock.now() - started;
}

test('20 MB both ways over a good cable', () => {
  transfer(world({}), 20_000_000);
});

test('100 MB both ways with loss, duplication and reordering, checksummed', () => {
  const w = world({ loss: 0.01, duplicate: 0.01, reorder: 0.02 });
  transfer(w, 100_000_000);
  assert.ok(w.cable.tally.lost > 500 && w.cable.tally.doubled > 500 && w.cable.tally.overtaken > 1000);
});

test('heavy loss: one frame in eight', () => {
  transfer(world({ loss: 0.125, random: seeded(7) }), 1_000_000);
});

test('without SACK, small windows', () => {
  const w = world({ loss: 0.01, reorder: 0.02, random: seeded(5) }, { receiveWindow: 20_000, sack: false });
  transfer(w, 3_000_000);
});

test('frames of 64 KiB', () => {
  transfer(world({ loss: 0.01, random: seeded(9) }, {}, 65535), 50_000_000);
});

test('large frames: both take them, or one does and the other gets and sends segments', () => {
  for (const large of ['ab', 'a', 'b'] as const) {
    transfer(world({ large }), 20_000_000);
    const w = world({ large, loss: 0.02, duplicate: 0.01, reorder: 0.02, random: seeded(13) });
    transfer(w, 20_000_000);
    assert.ok(w.cable.tally.lost > 10);
  }
});

test('large frames with small windows, small segments, and without SACK', () => {
  const how = { large: 'ab', loss: 0.01, reorder: 0.02 } as const;
  transfer(world({ ...how, random: seeded(5) }, { receiveWindow: 20_000, sack: false }), 3_000_000);
  transfer(world({ ...how, random: seeded(6) }, { receiveWindow: 5000 }), 500_000);
  transfer(world({ ...how, random: seeded(7) }, { mss: 100 }), 1_000_000);
  transfer(world({ ...how, random: seeded(8) }, {}, 40_000), 5_000_000);
});

test('sequence numbers wrap at 2^31 and at 2^32, with loss around it', () => {
  for (const start of [0x7fff_ffff, 0xffff_ffff]) {
    for (let i = 0; i < 10; i++) {
      const iss = () => start - i * 15_000;
      transfer(world({ loss: 0.01, reorder: 0.02, random: seeded(100 + i), iss }), 300_000);
    }
  }
});
