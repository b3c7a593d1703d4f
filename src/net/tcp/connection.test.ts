/** The state machine segment by segment (RFC 9293, 3.10), in simulated time. Our initial number is 1000, the peer's 0. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Switch } from '../switch.js';
import { Peer, Recorder } from '../testing/peer.js';
import { Script } from '../testing/script.js';
import { SimClock } from '../testing/sim-clock.js';
import { TcpState, type TcpConfig } from './tcb.js';

const SACK_PERMITTED = [1, 1, 4, 2];

function stage(config: Partial<TcpConfig> = {}) {
  const clock = new SimClock();
  const sw = new Switch();
  const peer = new Peer({
    port: sw.attach({ name: 'us' }),
    clock,
    ip: '10.0.2.15',
    mac: '52:54:00:00:00:01',
    tcp: config,
    iss: () => 1000,
  });
  const script = new Script(sw.attach({ name: 'them' }), clock, '10.0.2.16', '52:54:00:00:00:02', '10.0.2.15', {
    local: 80,
    remote: 0,
  });
  const app = new Recorder();
  const connection = peer.connect('10.0.2.16', 80, app);
  app.connection = connection;
  return { clock, sw, peer, script, app, connection };
}

/** An established connection: next from us 1001, next from them 1. */
function open(config: Partial<TcpConfig> = {}, window = 65535, options: readonly number[] = SACK_PERMITTED) {
  const s = stage(config);
  assert.equal(s.script.take()[0].flags, 'S');
  s.script.send('SA', 0, 1001, '', window, options);
  assert.deepEqual(
    s.script.take().map((seen) => [seen.flags, seen.seq, seen.ack]),
    [['A', 1001, 1]],
  );
  assert.ok(s.app.isConnected);
  return s;
}

const text = (value: string) => new TextEncoder().encode(value);
const brief = (script: Script) => script.take().map((s) => `${s.flags} ${s.seq} ${s.ack} ${s.data}`.trim());

test('a SYN is repeated with growing pauses and then given up', () => {
  const { clock, script, app } = stage({ maxSynRetries: 3 });
  clock.advance(60_000);
  assert.equal(script.take().length, 4);
  assert.equal(app.fault, 'timeout');
});

test('RST answers a SYN only if it acknowledges it', () => {
  const { script, app } = stage();
  script.send('R', 0, 0);
  script.send('RA', 0, 999);
  assert.equal(app.isClosed, false);
  script.send('RA', 0, 1001);
  assert.equal(app.fault, 'refused');
});

test('an acknowledgment of something else in SYN-SENT is reset', () => {
  const { script, app } = stage();
  script.take();
  script.send('A', 5, 77);
  assert.deepEqual(brief(script), ['RA 77 0']);
  assert.equal(app.isClosed, false);
});

test('both open at once', () => {
  const { script, app } = stage();
  script.take();
  script.send('S', 0, 0);
  assert.deepEqual(brief(script), ['SA 1000 1']);
  script.send('A', 1, 1001);
  assert.ok(app.isConnected);
});

test('data is acknowledged at the second segment, or after a moment', () => {
  const { clock, script, app } = open();
  script.send('A', 1, 1001, 'hello ');
  assert.deepEqual(brief(script), []);
  clock.advance(20);
  assert.deepEqual(brief(script), ['A 1001 7']);
  const full = 'x'.repeat(536);
  script.send('A', 7, 1001, full);
  script.send('A', 543, 1001, full);
  clock.advance(0);
  assert.deepEqual(brief(script), ['A 1001 1079']);
  assert.equal(app.text, `hello ${full}${full}`);
});

test('segments out of order, doubled and overlapping give the stream in order, with SACK', () => {
  const { script, app } = open();
  script.send('A', 4, 1001, 'def');
  script.send('A', 10, 1001, 'jkl');
  assert.deepEqual(
    script.take().map((s) => [s.ack, s.sacks]),
    [
      [1, [4, 7]],
      [1, [10, 13, 4, 7]],
    ],
  );
  script.send('A', 3, 1001, 'cdefgh');
  script.send('A', 4, 1001, 'def');
  assert.equal(app.text, '');
  script.send('A', 1, 1001, 'abcd');
  assert.equal(app.text, 'abcdefgh');
  script.send('A', 1, 1001, 'abcdefghijk');
  assert.equal(app.text, 'abcdefghijkl');
  assert.equal(script.take().at(-1)?.ack, 13);
});

test('what exceeds the window is cut off', () => {
  const { script, app } = open({ receiveWindow: 10 });
  script.send('PA', 1, 1001, '0123456789ABCDEF');
  assert.equal(app.text, '0123456789');
});

test('a FIN that comes early waits for the data before it', () => {
  const { script, app } = open();
  script.send('FA', 4, 1001, 'def');
  assert.equal(app.ended, false);
  script.send('A', 1, 1001, 'abc');
  assert.equal(app.text, 'abcdef');
  assert.ok(app.ended);
  assert.equal(script.take().at(-1)?.ack, 8);
});

test('we close first: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT, over', () => {
  const { clock, script, app, connection } = open();
  connection.close();
  assert.deepEqual(brief(script), ['FA 1001 1']);
  assert.equal(connection.tcb.state, TcpState.FinWait1);
  script.send('A', 1, 1002);
  assert.equal(connection.tcb.state, TcpState.FinWait2);
  script.send('A', 1, 1002, 'still');
  assert.equal(app.text, 'still');
  script.send('FA', 6, 1002);
  assert.equal(connection.tcb.state, TcpState.TimeWait);
  assert.equal(script.take().at(-1)?.ack, 7);
  // Our acknowledgment was lost: the FIN comes again.
  script.send('FA', 6, 1002);
  assert.equal(script.take().at(-1)?.ack, 7);
  clock.advance(10_001);
  assert.ok(app.isClosed);
  assert.equal(app.fault, undefined);
});

test('both close at once: CLOSING, then TIME-WAIT', () => {
  const { script, connection } = open();
  connection.close();
  script.send('FA', 1, 1001);
  assert.equal(connection.tcb.state, TcpState.Closing);
  script.send('A', 2, 1002);
  assert.equal(connection.tcb.state, TcpState.TimeWait);
});

test('they close first: CLOSE-WAIT, LAST-ACK, over', () => {
  const { script, app, connection, peer } = open();
  script.send('FA', 1, 1001);
  assert.equal(connection.tcb.state, TcpState.CloseWait);
  connection.send(text('late'));
  connection.close();
  assert.deepEqual(brief(script).slice(-2), ['PA 1001 2 late', 'FA 1005 2']);
  script.send('A', 2, 1006);
  assert.ok(app.isClosed);
  assert.equal(app.fault, undefined);
  assert.equal(peer.tcp.size, 0);
});

test('a FIN is repeated until it is acknowledged', () => {
  const { clock, script, connection } = open();
  connection.send(text('bye'));
  connection.close();
  assert.deepEqual(brief(script), ['PA 1001 1 bye', 'FA 1004 1']);
  // The data arrived, the FIN did not.
  script.send('A', 1, 1004);
  clock.advance(5000);
  const again = brief(script);
  assert.ok(again.length >= 3 && again.every((seen) => seen === 'FA 1004 1'), again.join());
  script.send('A', 1, 1005);
  assert.equal(connection.tcb.state, TcpState.FinWait2);
  clock.advance(60_000);
  assert.deepEqual(brief(script), []);
});

test('a new SYN takes the place of a connection in TIME-WAIT', () => {
  const { script, app, connection, peer } = open();
  connection.close();
  script.send('FA', 1, 1002);
  assert.equal(connection.tcb.state, TcpState.TimeWait);
  peer.listen(connection.tcb.ends.localPort, () => new Recorder());
  script.send('S', 500_000, 0);
  assert.ok(app.isClosed);
  assert.equal(peer.tcp.size, 1);
});

test('RST counts only with the very number expected; inside the window it is challenged', () => {
  const { script, app } = open();
  script.send('R', 100, 0);
  assert.equal(app.isClosed, false);
  assert.deepEqual(brief(script), ['A 1001 1']);
  script.send('R', 100_000, 0);
  assert.deepEqual(brief(script), []);
  script.send('R', 1, 0);
  assert.equal(app.fault, 'reset');
});

test('a SYN inside the window is challenged, and challenges are limited', () => {
  const { script, app } = open();
  for (let i = 0; i < 100; i++) script.send('S', 50, 0);
  assert.equal(app.isClosed, false);
  assert.equal(script.take().length, 20);
});

test('an acknowledgment of what was never sent changes nothing', () => {
  const { script, connection } = open();
  connection.send(text('abc'));
  script.take();
  script.send('A', 1, 5000, 'evil');
  assert.equal(connection.tcb.sndUna, 1001);
  assert.deepEqual(brief(script), ['A 1004 1']);
});

test('a segment to nobody is reset, a RST to nobody is ignored', () => {
  const { script, connection } = open();
  connection.drop();
  script.send('A', 1, 1234, 'hello?');
  assert.deepEqual(brief(script), ['R 1234 0']);
  script.send('F', 7, 0, 'ab');
  assert.deepEqual(brief(script), ['RA 0 10']);
  script.send('R', 1, 1234);
  assert.deepEqual(brief(script), []);
});

test('a shut window is probed, with growing pauses, for as long as the peer answers', () => {
  const { clock, script, connection, app } = open({}, 0);
  connection.send(text('waiting'));
  assert.deepEqual(brief(script), []);
  for (let i = 0; i < 40; i++) {
    clock.advance(61_000);
    const probes = brief(script);
    assert.ok(probes.length > 0 && probes.every((probe) => probe === 'A 1000 1'), probes.join());
    script.send('A', 1, 1001, '', 0);
  }
  script.send('A', 1, 1001, '', 1000);
  assert.deepEqual(brief(script), ['PA 1001 1 waiting']);
  assert.equal(app.isClosed, false);
});

test('a peer that does not answer window probes is given up', () => {
  const { clock, connection, app } = open({ maxRetries: 3 }, 0);
  connection.send(text('waiting'));
  clock.advance(300_000);
  assert.equal(app.fault, 'timeout');
});

test('a window that shrinks below what is in flight: acknowledgments and repetitions stay inside it', () => {
  const { clock, script, connection, app } = open({}, 2000);
  connection.send(new Uint8Array(1500));
  assert.equal(script.take().length, 3);
  script.send('A', 1, 1001, '', 400);
  script.send('A', 1, 1001, 'x'.repeat(536), 400);
  script.send('A', 537, 1001, 'y'.repeat(536), 400);
  clock.advance(0);
  // SND.MAX is 2501, the right edge 1401: a peer refuses what lies beyond.
  assert.deepEqual(brief(script), ['A 1401 1073']);
  assert.equal(app.bytes, 1072);
  clock.advance(1200);
  const [again] = script.take();
  assert.deepEqual([again.seq, again.data.length], [1001, 400]);
});

test('small windows do not make small segments while something is in flight', () => {
  const { script, connection } = open({}, 2000);
  connection.send(new Uint8Array(3000));
  assert.equal(script.take().length, 3);
  // Ten bytes more: not worth a segment.
  script.send('A', 1, 1001 + 536, '', 2000 - 536 + 10);
  assert.equal(script.take().length, 0);
});

test('three reports of a hole bring the segment at once, without waiting for a timer', () => {
  const { script, connection } = open();
  connection.send(new Uint8Array(536 * 6).fill(65));
  assert.equal(script.take().length, 6);
  const sack = (to: number) => {
    const left = 1001 + 536;
    const right = 1001 + to * 536;
    return [1, 1, 5, 10, 0, 0, left >> 8, left & 255, 0, 0, right >> 8, right & 255];
  };
  for (const to of [2, 3]) script.send('A', 1, 1001, '', 65535, sack(to));
  assert.equal(script.take().length, 0);
  script.send('A', 1, 1001, '', 65535, sack(4));
  assert.deepEqual(
    script.take().map((s) => s.seq),
    [1001],
  );
  // A partial acknowledgment: what follows it was lost as well.
  script.send('A', 1, 1001 + 4 * 536);
  assert.deepEqual(
    script.take().map((s) => s.seq),
    [1001 + 4 * 536],
  );
});

test('SACK blocks of things never sent are ignored', () => {
  const { script, connection } = open();
  connection.send(text('abc'));
  script.send('A', 1, 1001, '', 65535, [1, 1, 5, 10, 0, 1, 0, 0, 0, 2, 0, 0]);
  assert.ok(connection.tcb.sacked.isEmpty);
});

test('retransmissions back off and the connection is given up in the end', () => {
  const { clock, script, connection, app } = open({ maxRetries: 4 });
  connection.send(text('anyone?'));
  script.take();
  clock.advance(100_000);
  const again = script.take();
  assert.deepEqual(
    again.map((s) => s.data || s.flags),
    ['anyone?', 'anyone?', 'anyone?', 'anyone?', 'RA'],
  );
  assert.equal(app.fault, 'timeout');
});

test('while suspended nothing is sent and no time runs; resuming sends again at once', () => {
  const { clock, script, connection, app } = open({ maxRetries: 2 });
  connection.send(text('before '));
  connection.suspend();
  connection.send(text('during'));
  script.take();
  clock.advance(600_000);
  assert.equal(script.take().length, 0);
  assert.equal(app.isClosed, false);
  connection.resume();
  assert.deepEqual(brief(script), ['PA 1001 1 before', 'PA 1008 1 during']);
});

test('an idle peer is asked whether it is there, and given up when it is not', () => {
  const { clock, script, app } = open({ keepAliveIdle: 1000, keepAliveInterval: 100 });
  clock.advance(1050);
  assert.deepEqual(brief(script), ['A 1000 1']);
  script.send('A', 1, 1001);
  clock.advance(900);
  assert.equal(app.isClosed, false);
  clock.advance(3000);
  assert.equal(app.fault, 'timeout');
});

test('an answer to a probe: an old number is answered with where we stand', () => {
  const { script } = open();
  script.send('A', 0, 1001);
  assert.deepEqual(brief(script), ['A 1001 1']);
});

test('a peer with a window scale is taken at its word, and a wrong checksum is not', () => {
  const { script, connection, peer } = open({}, 10, [1, 3, 3, 14]);
  assert.equal(connection.tcb.sndWnd, 10);
  script.send('A', 1, 1001, '', 10);
  assert.equal(connection.tcb.sndWnd, 10 << 14);
  const frame = script.link.allocate(6, 0x0a000210, 0x0a00020f, 20);
  script.link.transmit(frame);
  assert.equal(peer.tcp.counters.malformed, 1);
});

test('options with impossible lengths do no harm', () => {
  for (const options of [
    [5, 255, 0, 0],
    [2, 0, 0, 0],
    [2, 1, 0, 0],
    [1, 1, 1, 3],
    [3, 4, 200, 0],
    [4, 2, 5, 2],
  ]) {
    const { script, app } = stage();
    script.take();
    script.send('SA', 0, 1001, '', 100, options);
    assert.ok(app.isConnected);
  }
});

test('connections in TIME-WAIT make way when there are too many', () => {
  const clock = new SimClock();
  const sw = new Switch();
  const a = new Peer({ port: sw.attach({ name: 'a' }), clock, ip: '10.0.2.15', mac: '52:54:00:00:00:01' });
  const b = new Peer({
    port: sw.attach({ name: 'b' }),
    clock,
    ip: '10.0.2.16',
    mac: '52:54:00:00:00:02',
    maxConnections: 5,
  });
  b.listen(80, (connection) => {
    const app = new Recorder();
    app.connected = () => connection.close();
    return app;
  });
  let refused = 0;
  for (let i = 0; i < 50; i++) {
    const app = new Recorder();
    const connection = a.connect('10.0.2.16', 80, app);
    app.end = () => connection.close();
    clock.advance(1);
    if (!app.isConnected) refused++;
    assert.ok(b.tcp.size <= 5);
  }
  assert.equal(refused, 0);
  assert.equal(b.tcp.counters.crowded, 0);
});

/** Connections of `a` that `b` has closed first: they end in TIME-WAIT there, one millisecond after the other. */
function lingering(count: number) {
  const clock = new SimClock();
  const sw = new Switch();
  const a = new Peer({ port: sw.attach({ name: 'a' }), clock, ip: '10.0.2.15', mac: '52:54:00:00:00:01' });
  const b = new Peer({ port: sw.attach({ name: 'b' }), clock, ip: '10.0.2.16', mac: '52:54:00:00:00:02' });
  b.listen(80, (connection) => {
    const app = new Recorder();
    app.connected = () => connection.close();
    return app;
  });
  for (let i = 0; i < count; i++) {
    const app = new Recorder();
    const connection = a.connect('10.0.2.16', 80, app);
    app.end = () => connection.close();
    clock.advance(1);
  }
  const tcbs = [...b.tcp.connections()].map(({ tcb }) => tcb).sort((x, y) => x.timeWaitAt - y.timeWaitAt);
  assert.ok(tcbs.length === count && tcbs.every(({ state }) => state === TcpState.TimeWait));
  return { clock, a, b, tcbs };
}

test('a timer does not look at each of the connections in TIME-WAIT', () => {
  const { clock, a, b, tcbs } = lingering(1000);
  let looks = 0;
  for (const tcb of tcbs) {
    const { suspended } = tcb;
    Object.defineProperty(tcb, 'suspended', { configurable: true, get: () => (looks++, suspended) });
  }
  // Each conversation has an acknowledgment that is delayed, by a timer of its own.
  const server = new Recorder();
  b.listen(81, (connection) => {
    server.connection = connection;
    return server;
  });
  const client = new Recorder();
  const connection = a.connect('10.0.2.16', 81, client);
  for (let i = 0; i < 20; i++) {
    connection.send(text('x'));
    clock.advance(20);
  }
  assert.equal(server.bytes, 20);
  assert.ok(looks <= 200, `${looks} looks at 1000 connections that wait`);
  clock.advance(10_000);
  assert.equal(b.tcp.size, 1);
});

test('TIME-WAIT ends for each in its time, though one begins anew and another is held', () => {
  const { clock, b, tcbs } = lingering(5);
  const [again, held, ...others] = tcbs;
  clock.advance(5000);
  // Its peer did not hear our last acknowledgment: as input.ts has it.
  again.timeWaitAt = b.tcp.now() + again.config.timeWait;
  b.tcp.linger(again);
  held.suspended = true;
  clock.advance(5001);
  assert.ok(others.every(({ state }) => state === TcpState.Closed));
  assert.deepEqual([again.state, held.state], [TcpState.TimeWait, TcpState.TimeWait]);
  held.suspended = false;
  clock.advance(5000);
  assert.deepEqual([again.state, held.state, b.tcp.size], [TcpState.Closed, TcpState.Closed, 0]);
});

test('many connections share the room for buffers', () => {
  const { peer } = stage();
  const alone = peer.tcp.share();
  for (let i = 0; i < 1000; i++) peer.connect('10.0.2.16', 80, new Recorder());
  assert.ok(alone >= peer.tcp.config.receiveWindow);
  assert.equal(peer.tcp.share(), (256 * 1024 * 1024) / 1001);
});
