/** The gateway's own services, and what a hostile guest can do to it, without any host socket. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BROADCAST_MAC, formatIpv4, parseIpv4, parseMac } from '../address.js';
import { NetError } from '../errors.js';
import { Switch } from '../switch.js';
import { nowhere, SILENT } from '../testing/nowhere.js';
import { Peer, Sink } from '../testing/peer.js';
import { seeded } from '../testing/random.js';
import { SimClock } from '../testing/sim-clock.js';
import { ARP_REQUEST, buildArp, parseArp } from '../wire/arp.js';
import { get16, getMac, set16, set32, setMac } from '../wire/bytes.js';
import { checksum, transportChecksum } from '../wire/checksum.js';
import { DhcpType } from '../wire/dhcp.js';
import { writeEthernet } from '../wire/ethernet.js';
import { writeIpv4Header } from '../wire/ipv4.js';
import { buildUdp } from '../wire/udp.js';
import { validate, type GatewayOptions } from './config.js';
import { Gateway } from './gateway.js';

const NOWHERE = nowhere();

function stage(options: Partial<GatewayOptions> = {}) {
  const clock = new SimClock();
  const sw = new Switch();
  const gateway = new Gateway({ port: sw.attach({ name: 'gateway' }), sockets: NOWHERE, clock, ...options });
  const port = sw.attach({ name: 'guest' });
  const frames: Uint8Array[] = [];
  port.onFrame = (frame) => {
    frames.push(frame);
    return true;
  };
  return { clock, sw, gateway, port, frames };
}

const GUEST = parseMac('52:54:00:00:00:01');
const OTHER = parseMac('52:54:00:00:00:02');

test('answers ARP for the gateway and the name server, for nothing else', () => {
  const { port, frames } = stage();
  const ask = (ip: string) => {
    const request = {
      operation: ARP_REQUEST,
      senderMac: GUEST,
      senderIp: parseIpv4('10.0.2.15'),
      targetMac: 0,
      targetIp: parseIpv4(ip),
    };
    port.send(buildArp(BROADCAST_MAC, request));
    const [reply] = frames.splice(0).map(parseArp);
    return reply === undefined ? undefined : [reply.operation, formatIpv4(reply.senderIp), reply.targetMac];
  };
  assert.deepEqual(ask('10.0.2.2'), [2, '10.0.2.2', GUEST]);
  assert.deepEqual(ask('10.0.2.3'), [2, '10.0.2.3', GUEST]);
  assert.equal(ask('10.0.2.4'), undefined);
  assert.equal(ask('8.8.8.8'), undefined);
});

/** A DHCP message in a frame. */
function dhcp(mac: number, type: number, options: number[] = [], ciaddr = 0): Uint8Array {
  const message = new Uint8Array(300);
  message.set([1, 1, 6, 0]);
  set32(message, 4, 0x1234);
  set32(message, 12, ciaddr);
  setMac(message, 28, mac);
  set32(message, 236, 0x63825363);
  message.set([53, 1, type, ...options, 255], 240);
  const udp = buildUdp(0, 68, 0xffff_ffff, 67, message);
  const frame = new Uint8Array(34 + udp.length);
  writeEthernet(frame, BROADCAST_MAC, mac, 0x0800);
  writeIpv4Header(frame, 14, udp.length, 17, 0, 0xffff_ffff, 1, 0);
  frame.set(udp, 34);
  return frame;
}

interface Answer {
  type: number;
  address: string;
  options: Map<number, number[]>;
}

function readAnswer(frame: Uint8Array): Answer {
  const message = frame.subarray(42);
  const options = new Map<number, number[]>();
  for (let at = 240; message[at] !== 255; at += 2 + message[at + 1]) {
    options.set(message[at], [...message.subarray(at + 2, at + 2 + message[at + 1])]);
  }
  return { type: options.get(53)?.[0] ?? 0, address: [...message.subarray(16, 20)].join('.'), options };
}

test('DHCP gives an address and keeps it; the options say where everything is', () => {
  const { port, frames } = stage({ mtu: 9000 });
  const talk = (mac: number, type: number, options: number[] = [], ciaddr = 0) => {
    port.send(dhcp(mac, type, options, ciaddr));
    return frames.splice(0).map(readAnswer)[0];
  };
  const offer = talk(GUEST, DhcpType.Discover);
  assert.deepEqual([offer.type, offer.address], [DhcpType.Offer, '10.0.2.15']);
  assert.deepEqual(offer.options.get(1), [255, 255, 255, 0]);
  assert.deepEqual(offer.options.get(3), [10, 0, 2, 2]);
  assert.deepEqual(offer.options.get(6), [10, 0, 2, 3]);
  assert.deepEqual(offer.options.get(26), [9000 >> 8, 9000 & 255]);
  const wish = [50, 4, 10, 0, 2, 15];
  assert.deepEqual(talk(GUEST, DhcpType.Request, [...wish, 54, 4, 10, 0, 2, 2]).type, DhcpType.Ack);
  assert.deepEqual(talk(OTHER, DhcpType.Discover, wish).address, '10.0.2.16');
  assert.equal(talk(OTHER, DhcpType.Request, wish).type, DhcpType.Nak);
  assert.equal(talk(OTHER, DhcpType.Request, [50, 4, 10, 0, 2, 16, 54, 4, 10, 0, 2, 9]), undefined);
  assert.equal(talk(OTHER, DhcpType.Request, [50, 4, 10, 0, 2, 2]).type, DhcpType.Nak);
  assert.equal(talk(OTHER, DhcpType.Request, [50, 4, 192, 168, 0, 1]).type, DhcpType.Nak);
  assert.equal(talk(OTHER, DhcpType.Request, [50, 4, 10, 0, 2, 77]).address, '10.0.2.77');
  assert.equal(talk(GUEST, DhcpType.Request, [], parseIpv4('10.0.2.15')).address, '10.0.2.15');
  talk(GUEST, DhcpType.Release);
  assert.equal(talk(OTHER + 1, DhcpType.Discover).address, '10.0.2.15');
});

test('fixed leases go to their owners, and no one else may claim them', () => {
  const { port, frames } = stage({ leases: { '52:54:00:00:00:02': '10.0.2.15' } });
  port.send(dhcp(GUEST, DhcpType.Discover, [50, 4, 10, 0, 2, 15]));
  assert.equal(readAnswer(frames.splice(0)[0]).address, '10.0.2.16');
  port.send(dhcp(OTHER, DhcpType.Discover));
  assert.equal(readAnswer(frames.splice(0)[0]).address, '10.0.2.15');
  const claim = {
    operation: ARP_REQUEST,
    senderMac: GUEST,
    senderIp: parseIpv4('10.0.2.15'),
    targetMac: 0,
    targetIp: parseIpv4('10.0.2.2'),
  };
  port.send(buildArp(BROADCAST_MAC, claim));
  assert.deepEqual(frames, []);
});

test('a pool that is empty says nothing, and a client that takes all its addresses ends', () => {
  const { port, frames } = stage({ subnet: '10.9.0.0/28' });
  let acks = 0;
  for (let i = 0; i < 100; i++) {
    port.send(dhcp(GUEST + i, DhcpType.Discover));
    const offer = frames.splice(0).map(readAnswer)[0];
    if (offer === undefined) continue;
    port.send(dhcp(GUEST + i, DhcpType.Request, [50, 4, ...offer.address.split('.').map(Number)]));
    if (frames.splice(0).map(readAnswer)[0].type === DhcpType.Ack) acks++;
  }
  assert.equal(acks, 11);
});

test('a place that cannot be reached is an ICMP message, and the connection is forgotten', async () => {
  const { clock, sw, gateway } = stage();
  const peer = new Peer({ port: sw.attach({ name: 'peer' }), clock, ip: '10.0.2.20', mac: '52:54:00:00:00:14' });
  const sink = new Sink();
  sink.connection = peer.connect('198.51.100.1', 80, sink);
  await Promise.resolve();
  clock.advance(1);
  const [icmp] = peer.icmp;
  assert.deepEqual([...icmp.data.slice(0, 2)], [3, 1]);
  // It quotes the very SYN: ports and number.
  assert.equal(get16(icmp.data, 28), sink.connection.tcb.ends.localPort);
  assert.equal(gateway.status().tcpConnections, 0);
});

test('connections are bounded in number', () => {
  const { clock, sw, gateway } = stage({
    maxConnections: 10,
    sockets: {
      ...NOWHERE,
      connect: () => SILENT,
    },
  });
  const peer = new Peer({ port: sw.attach({ name: 'peer' }), clock, ip: '10.0.2.20', mac: '52:54:00:00:00:14' });
  for (let i = 0; i < 50; i++) peer.connect('198.51.100.1', 80, new Sink());
  clock.advance(10);
  assert.equal(gateway.status().tcpConnections, 10);
});

test('configuration that does not fit together is refused by name', () => {
  const base = { port: new Switch().attach({ name: 'p' }), sockets: NOWHERE, clock: new SimClock() };
  for (const wrong of [
    { subnet: '10.0.2.0' },
    { gateway: '10.0.3.1' },
    { dns: '10.0.2.255' },
    { mtu: 100 },
    { mtu: 1.5 },
    { leases: { '52:54:00:00:00:02': '192.168.0.1' } },
    { leases: { nonsense: '10.0.2.20' } },
    { names: { a: 'b' } },
    { mac: 'x' },
  ]) {
    assert.throws(
      () => validate({ ...base, ...wrong }),
      (error) => error instanceof NetError && error.code === 'BAD_CONFIG',
      JSON.stringify(wrong),
    );
  }
});

/** Makes checksums right again, so that the damage reaches further than the first check. */
function repair(frame: Uint8Array): void {
  const header = (frame[14] & 15) * 4;
  if (header < 20 || frame.length < 14 + header) return;
  set16(frame, 24, 0);
  set16(frame, 24, checksum(frame, 14, header));
  const start = 14 + header;
  const length = Math.min(frame.length, 14 + get16(frame, 16)) - start;
  const at = start + (frame[23] === 6 ? 16 : frame[23] === 17 ? 6 : 2);
  if (length < 20 || at + 2 > frame.length) return;
  set16(frame, at, 0);
  const view = new DataView(frame.buffer, frame.byteOffset);
  const sum =
    frame[23] === 1
      ? checksum(frame, start, length)
      : transportChecksum(frame, start, length, view.getUint32(26), view.getUint32(30), frame[23]);
  set16(frame, at, sum);
}

test('200,000 damaged frames: no exception, no growth, and the gateway still serves', async () => {
  const { clock, sw, gateway, port, frames } = stage();
  const random = seeded(99);
  const mac = parseMac('52:55:0a:00:02:02');
  const seeds: Uint8Array[] = [dhcp(GUEST, DhcpType.Discover), dhcp(GUEST, DhcpType.Request, [50, 4, 10, 0, 2, 15])];
  const arp = { operation: 1, senderMac: GUEST, senderIp: 0x0a00020f, targetMac: 0, targetIp: 0x0a000202 };
  seeds.push(buildArp(BROADCAST_MAC, arp));
  const ip = (protocol: number, destination: string, payload: readonly number[]) => {
    const frame = new Uint8Array(34 + payload.length);
    writeEthernet(frame, mac, GUEST, 0x0800);
    writeIpv4Header(frame, 14, payload.length, protocol, 0x0a00020f, parseIpv4(destination), 1, 0);
    frame.set(payload, 34);
    repair(frame);
    seeds.push(frame);
  };
  ip(6, '198.51.100.1', [0x80, 1, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x70, 2, 1, 0, 0, 0, 0, 0, 2, 4, 5, 180, 1, 3, 3, 7]);
  ip(6, '10.0.2.3', [0x80, 1, 0, 53, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 1, 0, 0, 0, 0, 0]);
  ip(6, '10.0.2.3', [0x80, 1, 0, 53, 0, 0, 0, 2, 0, 0, 0, 0, 0x50, 0x18, 1, 0, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]);
  ip(17, '10.0.2.3', [0x80, 1, 0, 53, 0, 29, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 70, 79, 79, 0, 0, 1, 0, 1]);
  ip(17, '198.51.100.1', [0x80, 1, 0, 80, 0, 12, 0, 0, 1, 1, 1, 0]);
  ip(1, '10.0.2.2', [8, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  for (let i = 0; i < 200_000; i++) {
    const seed = seeds[Math.floor(random() * seeds.length)];
    let frame = seed.slice(0, random() < 0.2 ? Math.floor(random() * seed.length) : seed.length);
    const flips = Math.floor(random() * 4);
    for (let n = 0; n < flips && frame.length > 12; n++) {
      frame[12 + Math.floor(random() * (frame.length - 12))] = random() * 256;
    }
    if (frame.length > 34 && random() < 0.7) repair(frame);
    if (random() < 0.01) frame = new Uint8Array(Math.floor(random() * 100)).map(() => random() * 256);
    port.send(frame);
    frames.length = 0;
    if (i % 1000 === 0) {
      await Promise.resolve();
      clock.advance(50);
    }
  }
  const status = gateway.status();
  assert.ok(status.malformed > 1000);
  assert.ok(status.tcpConnections <= 4096 && status.udpFlows <= 1024);
  const guest = sw.attach({ name: 'sound' });
  const answers: number[] = [];
  guest.onFrame = (frame) => {
    answers.push(getMac(frame, 0));
    return true;
  };
  guest.send(buildArp(BROADCAST_MAC, { ...arp, senderMac: OTHER, senderIp: 0x0a000263 }));
  assert.ok(answers.includes(OTHER));
});
