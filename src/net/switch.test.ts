import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIpv4, parseMac } from './address.js';
import { NetError } from './errors.js';
import { Switch } from './switch.js';
import type { Port, PortOptions } from './port.js';
import { setMac, set32, getMac } from './wire/bytes.js';
import { writeEthernet } from './wire/ethernet.js';

const A = parseMac('52:54:00:00:00:0a');
const B = parseMac('52:54:00:00:00:0b');
const C = parseMac('52:54:00:00:00:0c');
const ALL = parseMac('ff:ff:ff:ff:ff:ff');

/** A frame with a number in its payload. */
function frame(to: number, from: number, note = 0, size = 60): Uint8Array {
  const f = new Uint8Array(size);
  writeEthernet(f, to, from, 0x88b5);
  f[14] = note;
  return f;
}

function plug(sw: Switch, options: PortOptions): { port: Port; notes: () => number[]; frames: Uint8Array[] } {
  const port = sw.attach(options);
  const frames: Uint8Array[] = [];
  port.onFrame = (f) => {
    frames.push(f);
    return true;
  };
  return { port, frames, notes: () => frames.splice(0).map((f) => f[14]) };
}

test('floods what it does not know, and learns', () => {
  const sw = new Switch();
  const [a, b, c] = ['a', 'b', 'c'].map((name) => plug(sw, { name }));
  a.port.send(frame(B, A, 1));
  assert.deepEqual([a.notes(), b.notes(), c.notes()], [[], [1], [1]]);
  b.port.send(frame(A, B, 2));
  assert.deepEqual([a.notes(), b.notes(), c.notes()], [[2], [], []]);
  a.port.send(frame(B, A, 3));
  assert.deepEqual([a.notes(), b.notes(), c.notes()], [[], [3], []]);
  c.port.send(frame(ALL, C, 4));
  assert.deepEqual([a.notes(), b.notes(), c.notes()], [[4], [4], []]);
});

test('a station cannot take the address of another that is told its own', () => {
  const sw = new Switch();
  const a = plug(sw, { name: 'a', macs: [A] });
  const b = plug(sw, { name: 'b', macs: [B] });
  const c = plug(sw, { name: 'c' });
  b.port.send(frame(C, A, 1));
  c.port.send(frame(B, A, 2));
  assert.deepEqual([a.notes(), b.notes(), c.notes()], [[], [], []]);
  assert.equal(b.port.counters.refused + c.port.counters.refused, 2);
  b.port.send(frame(A, B, 3));
  assert.deepEqual([a.notes(), c.notes()], [[3], []]);
});

test('a station that invents addresses fills only its own share of the table', () => {
  const sw = new Switch();
  const a = plug(sw, { name: 'a' });
  const b = plug(sw, { name: 'b' });
  const c = plug(sw, { name: 'c' });
  b.port.send(frame(A, B));
  for (let i = 0; i < 10_000; i++) a.port.send(frame(B, 0x0200_0000_0000 + i));
  c.notes();
  c.port.send(frame(B, C, 7));
  assert.equal(b.notes().at(-1), 7);
  assert.deepEqual(a.notes().includes(7), false);
});

test('malformed frames and group sources are refused', () => {
  const sw = new Switch();
  const a = plug(sw, { name: 'a' });
  const b = plug(sw, { name: 'b' });
  a.port.send(new Uint8Array(13));
  a.port.send(frame(B, ALL));
  assert.deepEqual(b.frames, []);
  assert.equal(a.port.counters.refused, 2);
});

test('a full station keeps its frames in the switch until it is ready', () => {
  const sw = new Switch();
  const a = plug(sw, { name: 'a' });
  const port = sw.attach({ name: 'b', macs: [B] });
  const got: number[] = [];
  let room = 2;
  port.onFrame = (f) => {
    if (room === 0) return false;
    room--;
    got.push(f[14]);
    return true;
  };
  for (let i = 0; i < 6; i++) a.port.send(frame(B, A, i));
  assert.deepEqual(got, [0, 1]);
  room = 3;
  port.ready();
  assert.deepEqual(got, [0, 1, 2, 3, 4]);
  room = 100;
  port.ready();
  assert.deepEqual(got, [0, 1, 2, 3, 4, 5]);
});

test('a sender is told to wait, and when to go on; nothing within the bounds is lost', () => {
  const sw = new Switch();
  const a = plug(sw, { name: 'a' });
  const port = sw.attach({ name: 'b', macs: [B], queueBytes: 60 * 100 });
  let readied = 0;
  a.port.onReady = () => readied++;
  let sent = 0;
  while (a.port.send(frame(B, A))) sent++;
  assert.equal(sent, 50);
  for (let i = 0; i < 100; i++) a.port.send(frame(B, A));
  assert.equal(port.counters.overflowed, 51);
  let got = 0;
  port.onFrame = () => {
    got++;
    return true;
  };
  assert.equal(got, 100);
  assert.equal(readied, 1);
  assert.ok(a.port.send(frame(B, A)));
});

test('stations that answer at once do not recurse', () => {
  const sw = new Switch();
  const a = sw.attach({ name: 'a', macs: [A] });
  const b = sw.attach({ name: 'b', macs: [B] });
  let depth = 0;
  let deepest = 0;
  let count = 0;
  const answer = (port: Port, to: number, from: number) => () => {
    depth++;
    deepest = Math.max(deepest, depth);
    if (count++ < 100_000) port.send(frame(to, from));
    depth--;
    return true;
  };
  a.onFrame = answer(a, B, A);
  b.onFrame = answer(b, A, B);
  a.send(frame(B, A));
  assert.equal(deepest, 1);
  assert.ok(count >= 100_000);
});

test('a gate holds what is for an address and releases it to the new place, in order', () => {
  const sw = new Switch();
  const client = plug(sw, { name: 'client', macs: [C] });
  const a = plug(sw, { name: 'a', macs: [A] });
  const b = plug(sw, { name: 'b', macs: [A] });
  const told: string[] = [];
  client.port.onHold = () => told.push('hold');
  client.port.onRelease = () => told.push('release');
  client.port.send(frame(A, C, 1));
  const gate = sw.hold({ mac: A });
  client.port.send(frame(A, C, 2));
  client.port.send(frame(A, C, 3));
  // What the old place still says never happened; the new one must wait.
  a.port.send(frame(C, A, 10));
  b.port.send(frame(C, A, 11));
  assert.deepEqual([a.notes(), b.notes(), client.notes()], [[1], [], []]);
  assert.equal(gate.queued, 3);
  gate.release(b.port);
  assert.deepEqual([a.notes(), b.notes(), client.notes()], [[], [2, 3], [11]]);
  // The old place has lost the address: its resets reach nobody.
  a.port.send(frame(C, A, 12));
  client.port.send(frame(A, C, 4));
  assert.deepEqual([a.notes(), b.notes(), client.notes()], [[], [4], []]);
  gate.release(a.port);
  client.port.send(frame(A, C, 5));
  assert.deepEqual(b.notes(), [5]);
  assert.deepEqual(told, ['hold', 'release']);
});

test('a gate that is released without a place gives everything back', () => {
  const sw = new Switch();
  const client = plug(sw, { name: 'client', macs: [C] });
  const a = plug(sw, { name: 'a', macs: [A] });
  const b = plug(sw, { name: 'b', macs: [A] });
  const gate = sw.hold({ mac: A });
  client.port.send(frame(A, C, 1));
  b.port.send(frame(C, A, 2));
  gate.release();
  assert.deepEqual([a.notes(), b.notes(), client.notes()], [[1], [], []]);
  a.port.send(frame(C, A, 3));
  b.port.send(frame(C, A, 4));
  assert.deepEqual(client.notes(), [3]);
});

test('there and back again, many times', () => {
  const sw = new Switch();
  const client = plug(sw, { name: 'client', macs: [C] });
  const homes = [plug(sw, { name: 'a', macs: [A] }), plug(sw, { name: 'b', macs: [A] })];
  for (let hop = 1; hop <= 9; hop++) {
    const gate = sw.hold({ mac: A });
    client.port.send(frame(A, C, hop));
    gate.release(homes[hop % 2].port);
    homes[hop % 2].port.send(frame(C, A, 100 + hop));
    homes[(hop + 1) % 2].port.send(frame(C, A, 200));
    assert.deepEqual(homes[hop % 2].notes(), [hop]);
    assert.deepEqual(homes[(hop + 1) % 2].notes(), []);
    assert.deepEqual(client.notes(), [100 + hop]);
  }
});

test('an IPv4 address is held alone, and its frames follow it to another MAC address', () => {
  const sw = new Switch();
  const client = plug(sw, { name: 'client', macs: [C] });
  const a = plug(sw, { name: 'a', macs: [A] });
  const b = plug(sw, { name: 'b', macs: [B] });
  const packet = (to: number, from: number, source: string, destination: string) => {
    const f = frame(to, from);
    writeEthernet(f, to, from, 0x0800);
    set32(f, 26, parseIpv4(source));
    set32(f, 30, parseIpv4(destination));
    return f;
  };
  const gate = sw.hold({ ip: parseIpv4('10.0.2.50') }, a.port);
  client.port.send(packet(A, C, '10.0.2.2', '10.0.2.50'));
  client.port.send(packet(A, C, '10.0.2.2', '10.0.2.15'));
  assert.equal(a.frames.length, 1);
  gate.release(b.port, B);
  assert.equal(b.frames.length, 1);
  assert.equal(getMac(b.frames[0], 0), B);
  a.port.send(packet(C, A, '10.0.2.50', '10.0.2.2'));
  a.port.send(packet(C, A, '10.0.2.15', '10.0.2.2'));
  b.port.send(packet(C, B, '10.0.2.50', '10.0.2.2'));
  assert.equal(client.frames.length, 2);
});

test('a gate holds a bounded amount', () => {
  const sw = new Switch();
  const client = plug(sw, { name: 'client', macs: [C] });
  const a = plug(sw, { name: 'a', macs: [A] });
  const gate = sw.hold({ mac: A });
  for (let i = 0; i < 20_000; i++) client.port.send(frame(A, C));
  assert.equal(gate.queued, 16384);
  assert.equal(gate.dropped, 20_000 - 16384);
  gate.release();
  assert.ok(a.frames.length > 0);
});

test('a closed port gives its addresses up; a strange port cannot be released to', () => {
  const sw = new Switch();
  const client = plug(sw, { name: 'client', macs: [C] });
  const a = plug(sw, { name: 'a', macs: [A] });
  const b = plug(sw, { name: 'b', macs: [A] });
  a.port.close();
  client.port.send(frame(A, C, 1));
  assert.deepEqual([a.notes(), b.notes()], [[], [1]]);
  const f = frame(C, A);
  setMac(f, 6, A);
  assert.ok(a.port.send(f));
  assert.deepEqual(client.notes(), []);
  const gate = sw.hold({ mac: A });
  assert.throws(
    () => gate.release(a.port),
    (error) => error instanceof NetError && error.code === 'BAD_CONFIG',
  );
  gate.release(b.port);
});
