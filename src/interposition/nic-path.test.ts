/** The monitor's switch in front of a network card. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PassingFrame } from './driver/net.js';
import { NicPath, NicUser, nicRule } from './path/nic-path.js';
import type { NicDisturbance } from './path/nic-types.js';
import { FrameCounter } from './path/nic-watch.js';

const OWNER = 0x5254_0000_0001;
const SECOND = 0x5254_0000_0002;
const OUTSIDE = 0x5254_0000_0099;
const GROUP = 0xffff_ffff_ffff;
const OWNER_IP = 0x0a00_020f;
const SECOND_IP = 0x0a00_0210;

/** An ARP reply, or a frame that speaks for no address; `n` tells them apart. */
function frameOf(to: number, from: number, ip: number | undefined, n = 0, length = 60): PassingFrame {
  const frame = new Uint8Array(length);
  const view = new DataView(frame.buffer);
  const mac = (at: number, value: number): void => {
    view.setUint16(at, Math.floor(value / 2 ** 32));
    view.setUint32(at + 2, value >>> 0);
  };
  mac(0, to);
  mac(6, from);
  view.setUint16(12, ip === undefined ? 0x88b5 : 0x0806);
  if (ip !== undefined) {
    frame.set([0, 1, 8, 0, 6, 4, 0, 2], 14);
    mac(22, from);
    view.setUint32(28, ip);
  }
  frame[length - 1] = n;
  return { frame, segment: 0 };
}
const number = ({ frame }: PassingFrame): number => frame.at(-1) ?? -1;

/** A path with a card and its owner; what came to each, by the frames' numbers. */
class Rig {
  readonly path = new NicPath();
  readonly card: number[] = [];
  readonly owner: number[] = [];
  readonly second: number[] = [];
  readonly user = new NicUser('second', 1);
  wanted = 0;
  resumed = 0;
  cardTakes = true;
  ownerTakes = true;

  constructor() {
    this.path.owner.mac = OWNER;
    this.path.connect(
      (frame) => (this.card.push(number(frame)), this.cardTakes),
      () => this.wanted++,
      {
        give: (frame) => this.ownerTakes && (this.owner.push(number(frame)), true),
        acceptsLarge: () => true,
        resume: () => this.resumed++,
      },
    );
  }

  share(weight = 1): NicUser {
    const user = weight === 1 ? this.user : new NicUser('heavy', weight);
    this.path.join(user);
    this.path.name(user, SECOND, SECOND_IP);
    user.end = {
      give: (frame) => (this.second.push(number(frame)), true),
      acceptsLarge: () => false,
      resume: () => undefined,
    };
    return user;
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

void test('frames of two who share a card go where they belong, and to nobody else', () => {
  const rig = new Rig();
  const { path } = rig;
  const user = rig.share();
  path.fromUser(path.owner, frameOf(SECOND, OWNER, OWNER_IP, 1));
  path.fromUser(user, frameOf(OWNER, SECOND, SECOND_IP, 2));
  path.fromUser(path.owner, frameOf(GROUP, OWNER, OWNER_IP, 3));
  path.fromUser(user, frameOf(GROUP, SECOND, SECOND_IP, 4));
  path.fromUser(user, frameOf(OUTSIDE, SECOND, SECOND_IP, 5));
  path.fromCard(frameOf(SECOND, OUTSIDE, undefined, 6));
  path.fromCard(frameOf(OWNER, OUTSIDE, undefined, 7));
  path.fromCard(frameOf(GROUP, OUTSIDE, undefined, 8));
  path.fromCard(frameOf(0x0200_0000_0077, OUTSIDE, undefined, 9));
  assert.deepEqual(
    [rig.card, rig.owner, rig.second],
    [
      [3, 4, 5],
      [2, 4, 7, 8, 9],
      [1, 3, 6, 8],
    ],
  );
});

void test('nobody speaks under another’s address', () => {
  const rig = new Rig();
  const { path, card } = rig;
  const user = rig.share();
  path.fromUser(user, frameOf(OUTSIDE, OWNER, undefined, 1));
  path.fromUser(user, frameOf(OUTSIDE, SECOND, OWNER_IP, 2));
  path.fromUser(user, frameOf(OUTSIDE, OUTSIDE, undefined, 3));
  path.fromUser(path.owner, frameOf(OUTSIDE, SECOND, undefined, 4));
  path.fromUser(path.owner, frameOf(OUTSIDE, OWNER, SECOND_IP, 5));
  // What the OS instance has beside its own, as a process domain does, is its own affair.
  path.fromUser(path.owner, frameOf(OUTSIDE, 0x0200_0000_0001, 0x0a00_0299, 6));
  assert.deepEqual(card, [6]);
  assert.equal(user.refused, 3);
  assert.equal(path.owner.refused, 2);
  path.fromUser(user, frameOf(0x0200_0000_0001, SECOND, SECOND_IP, 7));
  assert.deepEqual(rig.owner, [7], 'what it has spoken as is reached');
  assert.throws(() => path.name(new NicUser('third', 1), SECOND, undefined), { code: 'invalid' });
  assert.throws(() => path.name(new NicUser('third', 1), OWNER, undefined), { code: 'invalid' });
  path.leave(user);
  path.fromUser(user, frameOf(OUTSIDE, SECOND, SECOND_IP, 8));
  path.fromCard(frameOf(SECOND, OUTSIDE, undefined, 9));
  assert.deepEqual([card, rig.second], [[6], []]);
});

void test('a large frame is cut for who does not take it', () => {
  const rig = new Rig();
  rig.share();
  const large = frameOf(SECOND, OUTSIDE, undefined, 0, 54 + 3000);
  const view = new DataView(large.frame.buffer);
  view.setUint16(12, 0x0800);
  large.frame.set([0x45, 0], 14);
  view.setUint16(16, 3040);
  large.frame[23] = 6;
  large.frame[46] = 0x50;
  rig.path.fromCard({ ...large, segment: 1000 });
  assert.equal(rig.second.length, 3);
});

void test('the order stays, and nothing is lost, when frames are late, limited and the card or the OS has no room', async () => {
  const rig = new Rig();
  const { path } = rig;
  const all = Array.from({ length: 40 }, (_, i) => i);
  let n = 0;
  const end = path.disturb(nicRule({ latency: 5, jitter: 5, random: () => ((n++ * 7) % 10) / 10 }));
  const unlimit = path.limit({ bytes: undefined, operations: 1000, burst: 0.001 });
  for (const i of all) {
    path.fromUser(path.owner, frameOf(OUTSIDE, OWNER, undefined, i));
    assert.ok(path.fromCard(frameOf(OWNER, OUTSIDE, undefined, i)));
  }
  assert.notEqual(path.goesOn, undefined);
  rig.cardTakes = rig.ownerTakes = false;
  const before = rig.card.length;
  await sleep(30);
  assert.equal(rig.card.length, before + 1, 'a card that is full is left alone');
  rig.cardTakes = rig.ownerTakes = true;
  path.cardHasRoom();
  path.room(path.owner);
  end();
  unlimit();
  assert.deepEqual(rig.card, all);
  assert.deepEqual(rig.owner, all);
  assert.equal(path.goesOn, undefined);
  assert.deepEqual(path.takeWaiting(), []);
});

void test('a user that sends more than goes out waits, and is told when it may go on', async () => {
  const rig = new Rig();
  const { path } = rig;
  const unlimit = path.limit({ bytes: 1e6, operations: undefined, burst: 0.001 });
  let sent = 0;
  while (path.fromUser(path.owner, frameOf(OUTSIDE, OWNER, undefined, 1, 1500))) assert.ok(++sent < 10_000);
  assert.ok(sent > 100);
  assert.equal(rig.resumed, 0);
  while (path.fromCard(frameOf(OWNER, OUTSIDE, undefined, 1, 1500))) assert.ok(++sent < 20_000);
  unlimit();
  await sleep(1);
  assert.ok(rig.resumed > 0 && rig.wanted > 0);
  assert.equal(path.goesOn, undefined);
});

void test('rules lose and double frames, each way that they are for', () => {
  const run = (rule: NicDisturbance): [number, number] => {
    const rig = new Rig();
    rig.path.disturb(nicRule(rule));
    for (let i = 0; i < 10; i++) {
      rig.path.fromUser(rig.path.owner, frameOf(OUTSIDE, OWNER, undefined, i));
      rig.path.fromCard(frameOf(OWNER, OUTSIDE, undefined, i));
    }
    return [rig.card.length, rig.owner.length];
  };
  let n = 0;
  const turns = (): number => (n++ % 2 === 0 ? 0.1 : 0.9);
  assert.deepEqual(run({ loss: 1 }), [0, 0]);
  assert.deepEqual(run({ loss: 1, direction: 'in' }), [10, 0]);
  assert.deepEqual(run({ duplicate: 1, direction: 'out' }), [20, 10]);
  assert.deepEqual(run({ loss: 0.5, direction: 'out', random: turns }), [5, 10]);
  for (const wrong of [
    {},
    { latency: 0, direction: 'in' as const },
    { loss: 2 },
    { loss: NaN },
    { latency: -1 },
    { duplicate: -1 },
    { direction: 'up' as 'in' },
  ]) {
    assert.throws(() => nicRule(wrong), { name: 'InterpositionError', code: 'invalid' });
  }
});

void test('with a limit, who has three times the weight gets three times as much', async () => {
  const rig = new Rig();
  const { path } = rig;
  const heavy = rig.share(3);
  const unlimit = path.limit({ bytes: undefined, operations: 500, burst: 0.01 });
  for (let i = 0; i < 300; i++) {
    path.fromUser(path.owner, frameOf(OUTSIDE, OWNER, undefined, 1));
    path.fromUser(heavy, frameOf(OUTSIDE, SECOND, SECOND_IP, 3));
  }
  await sleep(300);
  const got = rig.card.slice();
  unlimit();
  const of = (n: number): number => got.filter((number) => number === n).length;
  assert.ok(of(1) > 5 && of(3) / of(1) > 2.2 && of(3) / of(1) < 4, `${of(3)} to ${of(1)}`);
  assert.equal(rig.card.length, 600);
});

void test('what is watched is a pcapng file, with the direction of each frame and whose it is', () => {
  const rig = new Rig();
  const { path } = rig;
  const user = rig.share();
  const file: Uint8Array[] = [];
  const counter = new FrameCounter((bytes) => file.push(bytes));
  counter.begin(path.owner.name, 'nic0');
  path.counters.add(counter);
  path.fromUser(path.owner, frameOf(OUTSIDE, OWNER, OWNER_IP, 1));
  path.fromUser(user, frameOf(OWNER, SECOND, undefined, 2, 61));
  path.fromCard(frameOf(SECOND, OUTSIDE, undefined, 3));
  const found: unknown[] = [];
  for (const bytes of file) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at < bytes.length; at += view.getUint32(at + 4, true)) {
      const length = view.getUint32(at + 4, true);
      assert.equal(length % 4, 0);
      assert.equal(view.getUint32(at + length - 4, true), length);
      const type = view.getUint32(at, true);
      if (type !== 6) found.push(type);
      else {
        const kept = view.getUint32(at + 20, true);
        const options = at + 28 + ((kept + 3) & ~3);
        found.push([view.getUint32(at + 8, true), kept, bytes[at + 27 + kept], view.getUint32(options + 4, true)]);
      }
    }
  }
  assert.deepEqual(found, [0x0a0d0d0a, 1, [0, 60, 1, 2], 1, [1, 61, 2, 2], [0, 61, 2, 1], [1, 60, 3, 1]]);
  assert.deepEqual(counter.counts, { arp: 1, tcp: 0, udp: 0, icmp: 0, ipv4: 0, other: 3 });
  assert.deepEqual(
    [counter.frames, counter.bytes],
    [
      { in: 2, out: 2 },
      { in: 121, out: 121 },
    ],
  );
});
