/** A station speaks in its own name only; and what honest stations do goes on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BROADCAST_MAC, parseIpv4, parseMac } from './address.js';
import { NetError } from './errors.js';
import { Gateway } from './gateway/gateway.js';
import { Switch } from './switch.js';
import type { Port } from './port.js';
import { nowhere } from './testing/nowhere.js';
import { SimClock } from './testing/sim-clock.js';
import { ARP_REPLY, ARP_REQUEST, buildArp, parseArp } from './wire/arp.js';
import { get16, get32, getMac, set16, set32, setMac } from './wire/bytes.js';
import { writeEthernet } from './wire/ethernet.js';
import { MORE_FRAGMENTS, PROTOCOL_TCP, PROTOCOL_UDP, writeIpv4Header } from './wire/ipv4.js';
import { buildUdp } from './wire/udp.js';

const GATEWAY = { mac: parseMac('52:55:0a:00:02:02'), ip: parseIpv4('10.0.2.2') };
const NAMES = parseIpv4('10.0.2.3');
/** The honest station has the first place, as an OS instance has; the hostile one the second. */
const HONEST = { mac: parseMac('52:54:00:00:00:01'), ip: parseIpv4('10.0.2.15') };
const HOSTILE = { mac: parseMac('52:54:00:00:00:02'), ip: parseIpv4('10.0.2.16') };
/** A process domain in the honest instance. */
const DOMAIN = { mac: parseMac('52:54:00:00:01:00'), ip: parseIpv4('10.0.2.100') };
/** A place whose OS instance has not booted. */
const ABSENT = { mac: parseMac('52:54:00:00:00:03'), ip: parseIpv4('10.0.2.17') };
const OUTSIDE = parseIpv4('198.51.100.7');

function plug(sw: Switch, name: string): { port: Port; frames: Uint8Array[] } {
  const port = sw.attach({ name });
  const frames: Uint8Array[] = [];
  port.onFrame = (frame) => {
    frames.push(frame);
    return true;
  };
  return { port, frames };
}

function stage() {
  const sw = new Switch();
  const clock = new SimClock();
  const leases = Object.fromEntries([15, 16, 17].map((n) => [`52:54:00:00:00:0${n - 14}`, `10.0.2.${n}`]));
  const gateway = new Gateway({ port: sw.attach({ name: 'gateway' }), sockets: nowhere(), clock, leases });
  const honest = plug(sw, 'honest');
  honest.port.addresses.register(HONEST);
  const hostile = plug(sw, 'hostile');
  hostile.port.addresses.register(HOSTILE);
  return { sw, clock, gateway, honest, hostile };
}

interface Packet {
  mac: number;
  ip: number;
  to?: number;
  toMac?: number;
  protocol?: number;
  fragment?: number;
  payload?: Uint8Array;
}

function ipv4({ mac, ip, to = HONEST.ip, toMac = HONEST.mac, ...rest }: Packet): Uint8Array {
  const { protocol = PROTOCOL_UDP, fragment = 0, payload = buildUdp(ip, 7, to, 7, new Uint8Array(20)) } = rest;
  const frame = new Uint8Array(34 + payload.length);
  writeEthernet(frame, toMac, mac, 0x0800);
  writeIpv4Header(frame, 14, payload.length, protocol, ip, to, 1, fragment);
  frame.set(payload, 34);
  return frame;
}

function arp(mac: number, senderMac: number, senderIp: number, targetIp: number, operation = ARP_REQUEST): Uint8Array {
  const frame = buildArp(BROADCAST_MAC, { operation, senderMac, senderIp, targetMac: 0, targetIp });
  setMac(frame, 6, mac);
  return frame;
}

function dhcp(mac: number, chaddr: number, type: number, wished?: number, ports = [68, 67]): Packet {
  const message = new Uint8Array(300);
  message.set([ports[0] === 67 ? 2 : 1, 1, 6, 0]);
  setMac(message, 28, chaddr);
  set32(message, 236, 0x63825363);
  message.set([53, 1, type], 240);
  if (wished !== undefined) {
    message.set([50, 4], 243);
    set32(message, 245, wished);
  }
  message[249] = 255;
  const payload = buildUdp(0, ports[0], 0xffff_ffff, ports[1], message);
  return { mac, ip: 0, to: 0xffff_ffff, toMac: BROADCAST_MAC, payload };
}

function tagged(frame: Uint8Array, type: number): Uint8Array {
  const out = new Uint8Array(frame.length + 4);
  out.set(frame.subarray(0, 12));
  set16(out, 12, type);
  out.set(frame.subarray(12), 16);
  return out;
}

function ofType(type: number, toMac = HONEST.mac): Uint8Array {
  const frame = new Uint8Array(80);
  writeEthernet(frame, toMac, HOSTILE.mac, type);
  return frame;
}

/** What a hostile station may try. Each is one frame. */
const REFUSED: Record<string, Uint8Array> = {
  "the gateway's MAC address": ipv4({ mac: GATEWAY.mac, ip: HOSTILE.ip }),
  "a neighbour's MAC address": ipv4({ mac: HONEST.mac, ip: HOSTILE.ip }),
  "a domain's MAC address": ipv4({ mac: DOMAIN.mac, ip: HOSTILE.ip }),
  'a group address as source': ipv4({ mac: parseMac('01:00:5e:00:00:01'), ip: HOSTILE.ip }),
  "the gateway's IPv4 address": ipv4({ mac: HOSTILE.mac, ip: GATEWAY.ip }),
  "the name server's IPv4 address": ipv4({ mac: HOSTILE.mac, ip: NAMES }),
  "a neighbour's IPv4 address": ipv4({ mac: HOSTILE.mac, ip: HONEST.ip, to: GATEWAY.ip, toMac: GATEWAY.mac }),
  "a domain's IPv4 address": ipv4({ mac: HOSTILE.mac, ip: DOMAIN.ip, to: GATEWAY.ip, toMac: GATEWAY.mac }),
  'an address leased to a place nobody has': ipv4({ mac: HOSTILE.mac, ip: ABSENT.ip }),
  'an address outside': ipv4({ mac: HOSTILE.mac, ip: OUTSIDE }),
  'a loopback address': ipv4({ mac: HOSTILE.mac, ip: parseIpv4('127.0.0.1') }),
  'a multicast address': ipv4({ mac: HOSTILE.mac, ip: parseIpv4('224.0.0.1') }),
  "the subnet's broadcast address": ipv4({ mac: HOSTILE.mac, ip: parseIpv4('10.0.2.255') }),
  "the subnet's own address": ipv4({ mac: HOSTILE.mac, ip: parseIpv4('10.0.2.0') }),
  'TCP in a stolen name': ipv4({
    mac: HOSTILE.mac,
    ip: HONEST.ip,
    protocol: PROTOCOL_TCP,
    payload: new Uint8Array(20),
    to: GATEWAY.ip,
    toMac: GATEWAY.mac,
  }),
  'a later fragment in a stolen name': ipv4({ mac: HOSTILE.mac, ip: GATEWAY.ip, fragment: 100 }),
  'an ARP answer for the gateway': arp(HOSTILE.mac, HOSTILE.mac, GATEWAY.ip, HONEST.ip, ARP_REPLY),
  'an ARP answer for a neighbour': arp(HOSTILE.mac, HOSTILE.mac, HONEST.ip, GATEWAY.ip, ARP_REPLY),
  'an ARP request that says who asks, wrongly': arp(HOSTILE.mac, HOSTILE.mac, HONEST.ip, GATEWAY.ip),
  'a gratuitous ARP': arp(HOSTILE.mac, HOSTILE.mac, GATEWAY.ip, GATEWAY.ip),
  "a gratuitous ARP for a domain's address": arp(HOSTILE.mac, HOSTILE.mac, DOMAIN.ip, DOMAIN.ip),
  'an ARP whose sender is not the Ethernet source': arp(HOSTILE.mac, GATEWAY.mac, HOSTILE.ip, HONEST.ip),
  'an ARP that is cut off': arp(HOSTILE.mac, HOSTILE.mac, HOSTILE.ip, HONEST.ip).slice(0, 40),
  "DHCP for a neighbour's MAC address": ipv4(dhcp(HOSTILE.mac, HONEST.mac, 3, HONEST.ip)),
  "a DHCP release of a neighbour's lease": ipv4(dhcp(HOSTILE.mac, HONEST.mac, 7)),
  'a DHCP offer': ipv4({ ...dhcp(HOSTILE.mac, HONEST.mac, 2, undefined, [67, 68]), ip: HOSTILE.ip }),
  'DHCP in pieces': ipv4({ ...dhcp(HOSTILE.mac, HOSTILE.mac, 1), fragment: MORE_FRAGMENTS }),
  'UDP that ends in its header': ipv4({ mac: HOSTILE.mac, ip: HOSTILE.ip, payload: new Uint8Array(4) }),
  'a runt': new Uint8Array(13),
  'an IPv4 packet that ends in its header': ipv4({ mac: HOSTILE.mac, ip: HOSTILE.ip }).slice(0, 30),
};

const NOT_CARRIED: Record<string, Uint8Array> = {
  'an IPv6 router advertisement': ofType(0x86dd),
  'a tag of priority 0, and a stolen name behind it': tagged(ipv4({ mac: HOSTILE.mac, ip: GATEWAY.ip }), 0x8100),
  'a provider tag': tagged(ipv4({ mac: HOSTILE.mac, ip: GATEWAY.ip }), 0x88a8),
  'a spanning tree message': ofType(0x0026, parseMac('01:80:c2:00:00:00')),
  'a pause frame': ofType(0x8808, parseMac('01:80:c2:00:00:01')),
};

for (const [what, frame] of Object.entries({ ...REFUSED, ...NOT_CARRIED })) {
  test(`is neither believed nor carried, but counted: ${what}`, () => {
    const { honest, hostile } = stage();
    honest.port.addresses.register(DOMAIN);
    hostile.port.send(ipv4({ ...HOSTILE, to: GATEWAY.ip, toMac: GATEWAY.mac }));
    honest.port.send(ipv4({ ...HONEST, to: GATEWAY.ip, toMac: GATEWAY.mac }));
    honest.frames.length = hostile.frames.length = 0;
    // A frame that was admitted before must not make the next one pass.
    const before = { ...hostile.port.counters };
    for (let n = 0; n < 3; n++) hostile.port.send(frame.slice());
    const { refused, notCarried } = hostile.port.counters;
    assert.deepEqual(honest.frames, []);
    assert.deepEqual(hostile.frames, []);
    assert.equal(refused - before.refused, what in REFUSED ? 3 : 0);
    assert.equal(notCarried - before.notCarried, what in REFUSED ? 0 : 3);
    // The neighbours are reached as before, and where they are.
    hostile.port.send(ipv4({ ...HOSTILE }));
    assert.equal(honest.frames.length, 1);
    honest.port.send(arp(HONEST.mac, HONEST.mac, HONEST.ip, GATEWAY.ip));
    const answer = honest.frames.map(parseArp).find((found) => found?.operation === ARP_REPLY);
    assert.deepEqual([answer?.senderMac, answer?.senderIp], [GATEWAY.mac, GATEWAY.ip]);
    assert.equal(honest.port.counters.refused, 0);
  });
}

test('a second address, a bridge behind the card, a macvlan: who comes first has it', () => {
  const { honest, hostile } = stage();
  const own = [
    { mac: HONEST.mac, ip: parseIpv4('10.0.2.77') },
    { mac: parseMac('02:42:0a:00:02:50'), ip: parseIpv4('10.0.2.80') },
    DOMAIN,
  ];
  for (const { mac, ip } of own) {
    honest.port.send(arp(mac, mac, 0, ip));
    honest.port.send(arp(mac, mac, ip, ip));
    honest.port.send(ipv4({ mac, ip, to: HOSTILE.ip, toMac: HOSTILE.mac }));
  }
  assert.equal(honest.port.counters.refused, 0);
  assert.equal(hostile.frames.length, 9);
  for (const { mac, ip } of own) {
    hostile.port.send(arp(HOSTILE.mac, HOSTILE.mac, ip, ip));
    hostile.port.send(ipv4({ mac, ip: HOSTILE.ip }));
  }
  // The first of these MAC addresses, too, is the honest station's.
  assert.equal(hostile.port.counters.refused, 6);
  // When the port is closed, they are free.
  honest.port.close();
  hostile.port.send(arp(HOSTILE.mac, HOSTILE.mac, DOMAIN.ip, DOMAIN.ip));
  assert.equal(hostile.port.counters.refused, 6);
});

test('a port that claims none carries what is registered with it, and nothing else', () => {
  const { sw, honest } = stage();
  const port = sw.attach({ name: 'card', claimsNone: true });
  port.send(ipv4(DOMAIN));
  assert.equal(honest.frames.length, 0, 'before it has an address');
  port.addresses.register(DOMAIN);
  assert.ok(port.addresses.has(DOMAIN.ip));
  port.send(ipv4(DOMAIN));
  port.send(arp(DOMAIN.mac, DOMAIN.mac, DOMAIN.ip, HONEST.ip));
  port.send(arp(DOMAIN.mac, DOMAIN.mac, 0, DOMAIN.ip));
  assert.equal(honest.frames.length, 3);
  port.send(ipv4({ ...DOMAIN, ip: parseIpv4('10.0.2.101') }));
  port.send(ipv4({ ...DOMAIN, mac: parseMac('52:54:00:00:01:01') }));
  port.send(arp(DOMAIN.mac, DOMAIN.mac, parseIpv4('10.0.2.101'), HONEST.ip));
  assert.equal(honest.frames.length, 3);
  assert.equal(port.counters.refused, 4);
});

test("the host's word goes over any claim, but not over the gateway's addresses", () => {
  const { honest, hostile } = stage();
  hostile.port.send(ipv4({ mac: DOMAIN.mac, ip: DOMAIN.ip }));
  assert.equal(hostile.port.counters.refused, 0);
  honest.port.addresses.register(DOMAIN);
  hostile.port.send(ipv4({ mac: DOMAIN.mac, ip: HOSTILE.ip }));
  hostile.port.send(ipv4({ mac: HOSTILE.mac, ip: DOMAIN.ip }));
  assert.equal(hostile.port.counters.refused, 2);
  honest.port.send(ipv4({ ...DOMAIN, to: HOSTILE.ip, toMac: HOSTILE.mac }));
  assert.equal(hostile.frames.length, 1);
  for (const target of [{ mac: GATEWAY.mac }, { ip: GATEWAY.ip }, { ip: NAMES }]) {
    assert.throws(
      () => honest.port.addresses.register(target),
      (error) => error instanceof NetError && error.code === 'BAD_CONFIG',
    );
  }
});

test('a station that claims many addresses loses its own, and never gets one that is taken', () => {
  const { honest, hostile } = stage();
  honest.port.send(arp(HONEST.mac, HONEST.mac, parseIpv4('10.0.2.200'), parseIpv4('10.0.2.200')));
  honest.frames.length = 0;
  for (let round = 0; round < 3; round++) {
    for (let n = 1; n < 255; n++) {
      const ip = parseIpv4(`10.0.2.${n}`);
      hostile.port.send(ipv4({ mac: 0x0200_0000_0000 + n + 256 * round, ip, to: HONEST.ip }));
    }
  }
  const seen = new Set(honest.frames.map((frame) => get32(frame, 26)));
  for (const ip of [GATEWAY.ip, NAMES, HONEST.ip, ABSENT.ip, parseIpv4('10.0.2.200')]) assert.ok(!seen.has(ip));
  const { addresses } = honest.port;
  assert.equal(addresses.stationOf(parseIpv4('10.0.2.200')), addresses.stationOfMac(HONEST.mac));
  let held = 0;
  for (let n = 1; n < 255; n++) {
    if (addresses.stationOf(parseIpv4(`10.0.2.${n}`)) === addresses.stationOfMac(HOSTILE.mac)) held++;
  }
  // Its place's own, and what a port may claim.
  assert.equal(held, 1 + 16);
});

/** The DHCP messages that came for a client: some are broadcast. */
function answers(frames: Uint8Array[], chaddr: number): { type: number; address: number }[] {
  return frames
    .splice(0)
    .filter((frame) => frame.length > 290 && get16(frame, 34) === 67 && getMac(frame, 42 + 28) === chaddr)
    .map((frame) => ({ type: frame[42 + 242], address: get32(frame, 42 + 16) }));
}

test('DHCP: what is used is not given out, what is given out is nobody else’s, and a renewal goes on', () => {
  const { honest, hostile } = stage();
  const stranger = parseMac('02:00:00:00:00:99');
  const used = parseIpv4('10.0.2.120');
  const leased = parseIpv4('10.0.2.121');
  honest.port.send(arp(HONEST.mac, HONEST.mac, used, used));
  hostile.port.send(ipv4(dhcp(stranger, stranger, 3, used)));
  assert.deepEqual(
    answers(hostile.frames, stranger).map((a) => a.type),
    [6],
  );
  // A further MAC address of the honest station gets an address, and keeps it when it asks again.
  const second = parseMac('02:00:00:00:00:11');
  for (let n = 0; n < 2; n++) {
    honest.port.send(ipv4(dhcp(second, second, 3, leased)));
    assert.deepEqual(answers(honest.frames, second), [{ type: 5, address: leased }]);
  }
  hostile.port.send(ipv4({ mac: HOSTILE.mac, ip: leased }));
  hostile.port.send(arp(stranger, stranger, leased, leased));
  assert.equal(hostile.port.counters.refused, 2);
  honest.port.send(ipv4({ mac: second, ip: leased, to: HOSTILE.ip, toMac: HOSTILE.mac }));
  // Renewed from the address itself.
  const renewal = dhcp(second, second, 3);
  const message = renewal.payload as Uint8Array;
  set32(message, 8 + 12, leased);
  const payload = buildUdp(leased, 68, GATEWAY.ip, 67, message.subarray(8));
  honest.port.send(ipv4({ mac: second, ip: leased, to: GATEWAY.ip, toMac: GATEWAY.mac, payload }));
  assert.deepEqual(answers(honest.frames, second), [{ type: 5, address: leased }]);
  assert.equal(honest.port.counters.refused, 0);
  // Given back, it is anybody's.
  honest.port.send(ipv4(dhcp(second, second, 7)));
  hostile.port.send(ipv4(dhcp(stranger, stranger, 3, leased)));
  assert.deepEqual(answers(hostile.frames, stranger), [{ type: 5, address: leased }]);
});

test('one station cannot lease the whole pool', () => {
  const { honest, hostile } = stage();
  for (let n = 0; n < 1000; n++) {
    const mac = 0x0200_0000_0000 + n;
    hostile.port.send(ipv4(dhcp(mac, mac, 3, parseIpv4('10.0.2.0') + 20 + (n % 230))));
    // And what it declines counts as well.
    if (n % 3 === 0) hostile.port.send(ipv4(dhcp(mac, mac, 4, parseIpv4('10.0.2.0') + 20 + (n % 230))));
  }
  for (let n = 0; n < 20; n++) {
    const mac = 0x0200_1111_0000 + n;
    honest.frames.length = 0;
    honest.port.send(ipv4(dhcp(mac, mac, 1)));
    const [offer] = answers(honest.frames, mac);
    assert.equal(offer.type, 2);
    honest.port.send(ipv4(dhcp(mac, mac, 3, offer.address)));
    assert.equal(answers(honest.frames, mac)[0].type, 5);
  }
});

test('the registration of what moves goes along, there and back', () => {
  const { sw, honest, hostile } = stage();
  const other = plug(sw, 'other');
  honest.port.addresses.register(DOMAIN);
  const places = [other, honest];
  for (let hop = 0; hop < 5; hop++) {
    const [to, from] = [places[hop % 2], places[(hop + 1) % 2]];
    const gate = sw.hold(DOMAIN, from.port);
    // While it is nowhere, nobody can take it.
    hostile.port.send(ipv4({ ...DOMAIN }));
    hostile.port.send(arp(HOSTILE.mac, HOSTILE.mac, DOMAIN.ip, DOMAIN.ip));
    gate.release(to.port);
    hostile.frames.length = 0;
    from.port.send(ipv4({ ...DOMAIN, to: HOSTILE.ip, toMac: HOSTILE.mac }));
    hostile.port.send(ipv4({ ...DOMAIN }));
    assert.equal(hostile.frames.length, 0);
    to.port.send(ipv4({ ...DOMAIN, to: HOSTILE.ip, toMac: HOSTILE.mac }));
    assert.equal(hostile.frames.length, 1);
    to.frames.length = from.frames.length = 0;
    hostile.port.send(ipv4({ ...HOSTILE, to: DOMAIN.ip, toMac: DOMAIN.mac }));
    assert.deepEqual([to.frames.length, from.frames.length], [1, 0]);
  }
});
