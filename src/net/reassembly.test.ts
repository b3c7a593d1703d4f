import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reassembler } from './reassembly.js';
import { seeded } from './testing/random.js';
import { Ipv4Packet } from './wire/ipv4.js';

/** A fragment of `data` from octet `from` up to `to`. */
function fragment(data: Uint8Array, from: number, to: number, id = 1): Ipv4Packet {
  const packet = new Ipv4Packet();
  const more = to < data.length ? 0x2000 : 0;
  packet.bytes = data;
  packet.start = from;
  packet.length = to - from;
  packet.fragment = more | (from >> 3);
  packet.identification = id;
  packet.protocol = 17;
  return packet;
}

test('fragments in any order give the datagram', () => {
  const random = seeded(4);
  for (let round = 0; round < 200; round++) {
    const data = Uint8Array.from({ length: 1 + Math.floor(random() * 5000) }, () => random() * 256);
    const cuts = [0];
    while (cuts[cuts.length - 1] < data.length) {
      cuts.push(Math.min(data.length, cuts[cuts.length - 1] + 8 * (1 + Math.floor(random() * 60))));
    }
    const pieces = cuts.slice(1).map((to, i) => fragment(data, cuts[i], to, round));
    pieces.sort(() => random() - 0.5);
    const reassembler = new Reassembler(() => 0);
    const done = pieces.map((piece) => reassembler.add(piece));
    assert.ok(done.slice(0, -1).every((packet) => packet === undefined));
    const whole = done[done.length - 1];
    assert.ok(whole !== undefined);
    assert.deepEqual(whole.bytes.subarray(whole.start, whole.start + whole.length), data);
  }
});

test('overlaps, contradictions and giants are dropped whole', () => {
  const data = new Uint8Array(64);
  const cases: Ipv4Packet[][] = [
    [fragment(data, 0, 32), fragment(data, 24, 64)],
    [fragment(data, 0, 32), fragment(data, 0, 32)],
    [fragment(data, 32, 64), fragment(data.subarray(0, 40), 32, 40)],
    [fragment(data, 32, 64), fragment(new Uint8Array(200), 64, 128)],
    [fragment(new Uint8Array(200), 64, 128), fragment(data, 32, 64)],
    [fragment(data, 0, 13)],
    [fragment(data, 16, 16)],
  ];
  for (const pieces of cases) {
    const reassembler = new Reassembler(() => 0);
    for (const piece of pieces) assert.equal(reassembler.add(piece), undefined);
    assert.equal(reassembler.dropped, 1);
  }
  const giant = fragment(new Uint8Array(70_000), 65_528, 65_600);
  giant.fragment = 0x1fff;
  const reassembler = new Reassembler(() => 0);
  assert.equal(reassembler.add(giant), undefined);
  assert.equal(reassembler.dropped, 1);
});

test('unfinished datagrams are bounded in number and in time', () => {
  let now = 0;
  const reassembler = new Reassembler(() => now);
  const data = new Uint8Array(32);
  for (let id = 0; id < 100; id++) reassembler.add(fragment(data, 0, 16, id));
  assert.equal(reassembler.dropped, 36);
  assert.equal(reassembler.add(fragment(data, 16, 32, 0)), undefined);
  assert.ok(reassembler.add(fragment(data, 16, 32, 99)) !== undefined);
  now = 15_001;
  assert.equal(reassembler.add(fragment(data, 16, 32, 98)), undefined);
});
