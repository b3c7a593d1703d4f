/** Connections stay at a port when their address has gone to another: all that is said in them, and nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BROADCAST_MAC, parseIpv4, parseMac } from './address.js';
import { Switch } from './switch.js';
import type { Port } from './port.js';
import type { Connection } from './stays.js';
import { ARP_REPLY, ARP_REQUEST, buildArp } from './wire/arp.js';
import { set16, setMac } from './wire/bytes.js';
import { writeEthernet } from './wire/ethernet.js';
import { PROTOCOL_TCP, writeIpv4Header } from './wire/ipv4.js';

const DOMAIN = { mac: parseMac('52:54:00:00:01:00'), ip: parseIpv4('10.0.2.100') };
const PEER = { mac: parseMac('52:54:00:00:00:01'), ip: parseIpv4('10.0.2.15') };
const STAYS: Connection = { ip: DOMAIN.ip, port: 80, peerIp: PEER.ip, peerPort: 5000 };

interface Station {
  readonly port: Port;
  readonly frames: Uint8Array[];
  take(): number;
}

function plug(sw: Switch, name: string, claimsNone = false): Station {
  const port = sw.attach({ name, claimsNone });
  const frames: Uint8Array[] = [];
  port.onFrame = (frame) => {
    frames.push(frame);
    return true;
  };
  return { port, frames, take: () => frames.splice(0).length };
}

type Who = typeof DOMAIN;

function segment(from: Who, fromPort: number, to: Who, toPort: number): Uint8Array {
  const frame = new Uint8Array(54);
  writeEthernet(frame, to.mac, from.mac, 0x0800);
  writeIpv4Header(frame, 14, 20, PROTOCOL_TCP, from.ip, to.ip, 1, 0);
  set16(frame, 34, fromPort);
  set16(frame, 36, toPort);
  return frame;
}

function arp(from: Who, to: Who, operation: number): Uint8Array {
  const target = operation === ARP_REPLY ? to.mac : BROADCAST_MAC;
  const frame = buildArp(target, {
    operation,
    senderMac: from.mac,
    senderIp: from.ip,
    targetMac: operation === ARP_REPLY ? to.mac : 0,
    targetIp: to.ip,
  });
  setMac(frame, 6, from.mac);
  return frame;
}

function stage() {
  const sw = new Switch();
  const [old, now, peer] = [plug(sw, 'old', true), plug(sw, 'now', true), plug(sw, 'peer')];
  old.port.addresses.register(DOMAIN);
  peer.port.addresses.register(PEER);
  const gate = sw.hold(DOMAIN, old.port);
  return { sw, old, now, peer, gate };
}

test('while the address is held, and when it has gone, a connection that stays is heard and speaks', () => {
  const { sw, old, now, peer, gate } = stage();
  old.port.send(segment(DOMAIN, 80, PEER, 5000));
  assert.equal(peer.take(), 0, 'what comes from the old place before it is told is held back');
  const stay = sw.stay(old.port, DOMAIN, [STAYS]);
  for (const when of ['held', 'gone']) {
    old.port.send(segment(DOMAIN, 80, PEER, 5000));
    assert.equal(peer.take(), 1, when);
    peer.port.send(segment(PEER, 5000, DOMAIN, 80));
    assert.deepEqual([old.take(), now.take()], [1, 0], when);
    gate.release(now.port);
  }
  peer.port.send(segment(PEER, 5001, DOMAIN, 80));
  assert.deepEqual([old.take(), now.take()], [0, 1], 'another connection');
  old.port.send(segment(DOMAIN, 80, PEER, 5001));
  assert.equal(peer.take(), 0, 'in which the old place has nothing to say');
  now.port.send(segment(DOMAIN, 80, PEER, 5001));
  assert.equal(peer.take(), 1);
  now.port.send(segment(DOMAIN, 80, PEER, 5000));
  assert.equal(peer.take(), 0, 'nor the new one in the one that stays');
  peer.port.send(segment({ ...DOMAIN, mac: PEER.mac }, 80, PEER, 5000));
  assert.deepEqual([old.take(), now.take()], [0, 0], 'nor anybody under another name');
  stay.end();
  old.port.send(segment(DOMAIN, 80, PEER, 5000));
  assert.equal(peer.take(), 0, 'when it has ended');
  peer.port.send(segment(PEER, 5000, DOMAIN, 80));
  assert.deepEqual([old.take(), now.take()], [0, 1], 'when it has ended');
});

test('what waited for the address goes to who has the connection', () => {
  const { sw, old, now, peer, gate } = stage();
  peer.port.send(segment(PEER, 5000, DOMAIN, 80));
  peer.port.send(segment(PEER, 5001, DOMAIN, 80));
  sw.stay(old.port, DOMAIN, [STAYS]);
  gate.release(now.port);
  assert.deepEqual([old.take(), now.take()], [1, 1]);
});

test('the old place finds its neighbour, and says no more than that', () => {
  const { sw, old, now, peer, gate } = stage();
  const stay = sw.stay(old.port, DOMAIN, [STAYS]);
  gate.release(now.port);
  old.port.send(arp(DOMAIN, PEER, ARP_REQUEST));
  assert.equal(peer.take(), 1);
  now.take();
  peer.port.send(arp(PEER, DOMAIN, ARP_REPLY));
  assert.deepEqual([old.take(), now.take()], [1, 1]);
  old.port.send(arp(DOMAIN, PEER, ARP_REPLY));
  old.port.send(arp({ ...DOMAIN, ip: parseIpv4('10.0.2.101') }, PEER, ARP_REQUEST));
  assert.equal(peer.take(), 0);
  stay.end();
  old.port.send(arp(DOMAIN, PEER, ARP_REQUEST));
  assert.equal(peer.take(), 0);
});

test('of several connections each ends by itself, and a port that is closed has none', () => {
  const { sw, old, now, peer, gate } = stage();
  const other = { ...STAYS, peerPort: 5002 };
  const stay = sw.stay(old.port, DOMAIN, [STAYS, other]);
  gate.release(now.port);
  stay.end([other]);
  peer.port.send(segment(PEER, 5002, DOMAIN, 80));
  peer.port.send(segment(PEER, 5000, DOMAIN, 80));
  assert.deepEqual([old.take(), now.take()], [1, 1]);
  old.port.close();
  peer.port.send(segment(PEER, 5000, DOMAIN, 80));
  assert.equal(now.take(), 1);
});
