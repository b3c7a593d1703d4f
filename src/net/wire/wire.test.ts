import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIpv4, formatMac, isGroupMac, parseIpv4, parseMac, parseSubnet } from '../address.js';
import { NetError } from '../errors.js';
import { seeded } from '../testing/random.js';
import { buildArp, parseArp } from './arp.js';
import { getMac, setMac } from './bytes.js';
import { checksum, completeChecksum, pseudoHeaderSum, transportChecksum } from './checksum.js';
import { answers, buildAnswer, parseQuery, truncated } from './dns.js';
import { buildDhcp, DhcpType, parseDhcp, type DhcpRequest } from './dhcp.js';
import { Ipv4Packet, parseIpv4Header, writeIpv4Header } from './ipv4.js';
import { buildUdp, parseUdp } from './udp.js';

/** RFC 1071 to the letter. */
function plainChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes[i] * 256 + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = Math.floor(sum / 0x10000) + (sum % 0x10000);
  return 0xffff - sum;
}

test('the checksum is the plain one, at every length and alignment', () => {
  const random = seeded(3);
  const pool = Uint8Array.from({ length: 70_000 }, () => random() * 256);
  for (const length of [0, 1, 2, 3, 20, 63, 64, 65, 127, 128, 129, 1459, 1460, 65_535]) {
    for (let start = 0; start < 9; start++) {
      assert.equal(checksum(pool, start, length), plainChecksum(pool.subarray(start, start + length)), `${length}`);
    }
  }
  const ones = new Uint8Array(65_535).fill(255);
  assert.equal(checksum(ones, 0, 65_535), plainChecksum(ones));
  assert.equal(checksum(ones, 1, 65_534), plainChecksum(ones.subarray(1)));
});

test('the example of RFC 1071', () => {
  assert.equal(checksum(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7), 0, 8), 0xffff - 0xddf2);
});

test('a checksum left to the device is completed, and offsets outside the frame are refused', () => {
  const frame = new Uint8Array(34 + 8 + 5);
  writeIpv4Header(frame, 14, 13, 17, 0x0a000201, 0x0a000202, 7, 0);
  frame.set(buildUdp(0x0a000201, 1000, 0x0a000202, 53, Uint8Array.of(1, 2, 3, 4, 5)), 34);
  const right = [frame[40], frame[41]];
  const pseudo = pseudoHeaderSum(frame, 14, 13);
  frame[40] = pseudo >> 8;
  frame[41] = pseudo & 255;
  assert.ok(completeChecksum(frame, 34, 6));
  assert.deepEqual([frame[40], frame[41]], right);
  assert.equal(transportChecksum(frame, 34, 13, 0x0a000201, 0x0a000202, 17), 0);
  for (const [start, offset] of [
    [46, 0],
    [34, 12],
    [-1, 0],
    [0, -1],
    [65535, 65535],
  ]) {
    assert.equal(completeChecksum(frame, start, offset), false);
  }
});

test('addresses', () => {
  assert.equal(formatIpv4(parseIpv4('255.1.0.254')), '255.1.0.254');
  assert.equal(formatMac(parseMac('02:00:Ff:00:00:01')), '02:00:ff:00:00:01');
  const bytes = new Uint8Array(6);
  setMac(bytes, 0, 0xfedc_ba98_7654);
  assert.deepEqual([...bytes], [0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54]);
  assert.equal(getMac(bytes, 0), 0xfedc_ba98_7654);
  assert.ok(isGroupMac(parseMac('01:00:5e:00:00:01')) && !isGroupMac(parseMac('02:00:00:00:00:00')));
  assert.deepEqual(parseSubnet('192.168.7.9/30'), { network: 0xc0a80708, mask: 0xfffffffc, prefix: 30 });
  for (const bad of ['', '1.2.3', '1.2.3.256', '01.2.3.4', '1.2.3.4.5', '1.2.3.-4', ' 1.2.3.4', '1e1.0.0.0']) {
    assert.throws(() => parseIpv4(bad), NetError, bad);
  }
  for (const bad of ['10.0.0.0', '10.0.0.0/31', '10.0.0.0/7', '10.0.0.0/', '10.0.0.0/24/8', '10.0.0.0/2x']) {
    assert.throws(() => parseSubnet(bad), NetError, bad);
  }
  for (const bad of ['', '02:00:00:00:00', '02-00-00-00-00-00', '0g:00:00:00:00:00']) {
    assert.throws(() => parseMac(bad), NetError, bad);
  }
});

test('ARP there and back; other hardware and short packets are none', () => {
  const arp = { operation: 2, senderMac: 1, senderIp: 0xffff_fffe, targetMac: 0xffff_ffff_ffff, targetIp: 5 };
  const frame = buildArp(9, arp);
  assert.deepEqual(parseArp(frame), arp);
  assert.equal(parseArp(frame.subarray(0, 41)), undefined);
  for (const at of [14, 16, 18, 19]) {
    const bad = frame.slice();
    bad[at] ^= 1;
    assert.equal(parseArp(bad), undefined);
  }
});

test('IPv4 headers whose lengths do not hold are refused', () => {
  const packet = new Ipv4Packet();
  const good = new Uint8Array(40);
  writeIpv4Header(good, 0, 20, 6, 1, 2, 3, 0);
  assert.ok(parseIpv4Header(good, 0, packet));
  assert.deepEqual([packet.start, packet.length], [20, 20]);
  assert.equal(parseIpv4Header(good.subarray(0, 39), 0, packet), false);
  const change = (at: number, value: number) => {
    const bad = good.slice();
    bad[at] = value;
    bad[10] = bad[11] = 0;
    const sum = checksum(bad, 0, Math.min(40, (bad[0] & 15) * 4));
    bad[10] = sum >> 8;
    bad[11] = sum & 255;
    return parseIpv4Header(bad, 0, packet);
  };
  assert.equal(change(0, 0x65), false, 'version 6');
  assert.equal(change(0, 0x44), false, 'header of 16');
  assert.equal(change(3, 19), false, 'total below the header');
  assert.equal(change(3, 41), false, 'total beyond the frame');
  assert.equal(change(0, 0x4b), false, 'header beyond the total');
  assert.ok(change(0, 0x46), 'options are skipped');
  assert.deepEqual([packet.start, packet.length], [24, 16]);
  good[8]--;
  assert.equal(parseIpv4Header(good, 0, packet), false, 'checksum');
});

test('UDP lengths and checksums', () => {
  const packet = new Ipv4Packet();
  const udp = buildUdp(1, 10, 2, 20, Uint8Array.of(1, 2, 3));
  const take = (bytes: Uint8Array) => {
    Object.assign(packet, { bytes, source: 1, destination: 2, start: 0, length: bytes.length });
    return parseUdp(packet);
  };
  assert.deepEqual([...(take(udp)?.data ?? [])], [1, 2, 3]);
  assert.equal(take(udp.subarray(0, 7)), undefined);
  for (const [at, value] of [
    [5, 7],
    [5, 12],
    [9, 0],
  ]) {
    const bad = udp.slice();
    bad[at] = value;
    assert.equal(take(bad), undefined);
  }
  const unchecked = udp.slice();
  unchecked[6] = unchecked[7] = 0;
  assert.ok(take(unchecked));
});

test('DNS: names, loops, compression and truncation', () => {
  const query = Uint8Array.of(0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 70, 79, 79, 0, 0, 1, 0, 1);
  const question = parseQuery(query);
  assert.deepEqual(question, { id: 0xabcd, name: 'foo', type: 1, class: 1, end: 21 });
  for (let length = 0; length < query.length; length++) assert.equal(parseQuery(query.subarray(0, length)), undefined);
  for (const [at, value] of [
    [2, 0x81],
    [5, 2],
    [12, 0xc0],
    [12, 64],
    [12, 200],
  ]) {
    const bad = query.slice();
    bad[at] = value;
    assert.equal(parseQuery(bad), undefined);
  }
  assert.ok(question !== undefined);
  const answer = buildAnswer(query, question, 0, [Uint8Array.of(1, 2, 3, 4)], 60);
  assert.equal(answer.length, 21 + 16);
  assert.ok(answers(answer, query));
  assert.equal(truncated(answer, question)[2] & 2, 2);
  const other = answer.slice();
  other[13] ^= 3;
  assert.equal(answers(other, query), false);
  assert.equal(answers(query, query), false);
  assert.equal(answers(answer.subarray(0, 15), query), false);
});

test('DHCP messages: options that overrun are refused, replies can be read', () => {
  const request: DhcpRequest = {
    type: DhcpType.Discover,
    xid: 0xdeadbeef,
    broadcast: true,
    ciaddr: 0,
    mac: 0x525400123456,
    requested: undefined,
    server: undefined,
  };
  const reply = buildDhcp(request, DhcpType.Offer, 0x0a00020f, 0x0a000202, [[26, Uint8Array.of(5, 220)]]);
  assert.equal(reply[0], 2);
  assert.ok(reply.length >= 300);
  const asRequest = reply.slice();
  asRequest[0] = 1;
  const parsed = parseDhcp(asRequest);
  assert.deepEqual(parsed, { ...request, type: DhcpType.Offer, server: 0x0a000202 });
  asRequest[241] = 255;
  assert.equal(parseDhcp(asRequest), undefined);
  assert.equal(parseDhcp(asRequest.subarray(0, 240)), undefined);
});
