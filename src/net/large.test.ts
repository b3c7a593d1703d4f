import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIpv4, parseIpv4, parseMac } from './address.js';
import { compact } from './arena.js';
import { copyFrame, makeLarge, segmentSize, segmentsOf } from './large.js';
import { Switch } from './switch.js';
import { seeded } from './testing/random.js';
import { ACK, FIN, parseSegment, PSH, Segment, writeHeader } from './tcp/segment.js';
import { transportChecksum } from './wire/checksum.js';
import { get16, setMac } from './wire/bytes.js';
import { TYPE_IPV4, writeEthernet } from './wire/ethernet.js';
import { Ipv4Packet, parseIpv4Header, PROTOCOL_TCP, writeIpv4Header } from './wire/ipv4.js';

const A = parseMac('52:54:00:00:00:0a');
const B = parseMac('52:54:00:00:00:0b');
const CWR = 0x80;

/** A TCP frame with `length` octets of data, a header of `header` octets, and no right checksum. */
function tcpFrame(length: number, { header = 20, seq = 1, flags = ACK, identification = 0 } = {}): Uint8Array {
  const frame = new Uint8Array(34 + header + length);
  writeEthernet(frame, B, A, TYPE_IPV4);
  writeIpv4Header(
    frame,
    14,
    header + length,
    PROTOCOL_TCP,
    parseIpv4('10.0.2.15'),
    parseIpv4('10.0.2.16'),
    identification,
    0x4000,
  );
  writeHeader(frame, 34, header, 1000, 80, seq, 77, flags, 500);
  // Options that mean nothing.
  frame.fill(1, 54, 34 + header);
  const random = seeded(length);
  for (let i = 34 + header; i < frame.length; i++) frame[i] = random() * 256;
  return frame;
}

test('the segments of a large frame carry its data, and are right in every field', () => {
  const random = seeded(3);
  for (let round = 0; round < 200; round++) {
    const header = 20 + 4 * Math.floor(random() * 11);
    const size = 1 + Math.floor(random() * 3000);
    const length = size + 1 + Math.floor(random() * Math.min(60_000 - size, 50 * size));
    const seq = Math.floor(random() * 2 ** 32) | 0;
    const flags = ACK | FIN | PSH | CWR;
    const identification = 0xfff0;
    const frame = makeLarge(tcpFrame(length, { header, seq, flags, identification }), size);
    const segments = segmentsOf(frame);
    assert.equal(segments.length, Math.ceil(length / size));
    const packet = new Ipv4Packet();
    const segment = new Segment();
    let at = 0;
    segments.forEach((bytes, n) => {
      assert.ok(parseIpv4Header(bytes, 14, packet), 'the header and its sum');
      assert.equal(packet.start + packet.length, bytes.length);
      assert.deepEqual([formatIpv4(packet.source), formatIpv4(packet.destination)], ['10.0.2.15', '10.0.2.16']);
      assert.equal(packet.identification, (identification + n) & 0xffff);
      const { source, destination, start } = packet;
      assert.equal(transportChecksum(bytes, start, packet.length, source, destination, PROTOCOL_TCP), 0);
      assert.ok(parseSegment(bytes, start, packet.length, segment));
      assert.equal(segment.seq, (seq + at) | 0);
      assert.equal(segment.ack, 77);
      assert.equal(get16(bytes, 34 + 14), 500);
      const last = n === segments.length - 1;
      assert.equal(segment.dataLength, last ? length - at : size);
      assert.equal(segment.flags & (FIN | PSH), last ? FIN | PSH : 0);
      assert.equal(bytes[34 + 13] & CWR, n === 0 ? CWR : 0);
      assert.deepEqual(bytes.subarray(54, 34 + header), frame.subarray(54, 34 + header), 'options');
      assert.deepEqual(bytes.subarray(34 + header), frame.subarray(34 + header + at, 34 + header + at + size));
      at += segment.dataLength;
      assert.equal(segmentSize(bytes), 0);
    });
    assert.equal(at, length);
  }
});

test('bytes alone make no large frame; copies of one are large', () => {
  const plain = tcpFrame(30_000);
  assert.equal(segmentSize(plain), 0);
  const frame = makeLarge(tcpFrame(30_000), 1460);
  assert.equal(segmentSize(plain), 0, 'not by what is in it');
  assert.equal(segmentSize(copyFrame(frame)), 1460);
  const inSlab = makeLarge(new Uint8Array(new ArrayBuffer(256 * 1024), 0, frame.length), 1000);
  assert.notEqual(compact(inSlab), inSlab);
  assert.equal(segmentSize(compact(inSlab)), 1000);
});

function station(sw: Switch, name: string, large: boolean) {
  const port = sw.attach({ name });
  const frames: Uint8Array[] = [];
  port.onFrame = (frame) => frames.push(frame) > 0;
  if (large) port.acceptsLarge = () => true;
  return { port, frames };
}

test('each station gets what it can take: the large frame, or its segments', () => {
  const sw = new Switch();
  const a = station(sw, 'a', false);
  const b = station(sw, 'b', true);
  const c = station(sw, 'c', false);
  const frame = makeLarge(tcpFrame(10_000), 1460);
  // Nobody has spoken from B yet: everyone gets it.
  a.port.send(frame);
  assert.deepEqual(b.frames, [frame]);
  assert.equal(c.frames.length, 7);
  b.frames.length = c.frames.length = 0;
  b.port.acceptsLarge = () => false;
  a.port.send(frame);
  assert.deepEqual(b.frames, segmentsOf(frame));
  b.frames.length = 0;
  // A long frame of another kind goes through as it is.
  const jumbo = tcpFrame(10_000);
  a.port.send(jumbo);
  assert.deepEqual(b.frames, [jumbo]);
});

test('a large frame that a gate held is large when it is let go, under another address too', () => {
  const sw = new Switch();
  const a = station(sw, 'a', false);
  const b = station(sw, 'b', true);
  const next = station(sw, 'next', true);
  b.port.addresses.register({ mac: B, ip: parseIpv4('10.0.2.16') });
  const frame = makeLarge(tcpFrame(10_000), 1460);
  const gate = sw.hold({ ip: parseIpv4('10.0.2.16') });
  a.port.send(frame);
  assert.equal(b.frames.length, 0);
  const moved = parseMac('52:54:00:00:00:0c');
  next.port.addresses.register({ mac: moved });
  gate.release(next.port, moved);
  assert.equal(next.frames.length, 1);
  assert.equal(segmentSize(next.frames[0]), 1460);
  const wanted = frame.slice();
  setMac(wanted, 0, moved);
  assert.deepEqual(next.frames[0], wanted);
});

test('a station with little room is asked to be waited for by its segments', () => {
  const sw = new Switch();
  const a = station(sw, 'a', false);
  const b = sw.attach({ name: 'b', queueBytes: 64 * 1024 });
  b.addresses.register({ mac: B });
  assert.equal(a.port.send(makeLarge(tcpFrame(60_000), 1460)), false);
  const frames: Uint8Array[] = [];
  b.onFrame = (frame) => frames.push(frame) > 0;
  assert.equal(frames.length + b.counters.overflowed, Math.ceil(60_000 / 1460));
});
