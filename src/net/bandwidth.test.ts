/** Ports that have a share of the network: so many bytes per second, and so much beside others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMac } from './address.js';
import type { Port, PortShare } from './port.js';
import { Switch } from './switch.js';
import { SimClock } from './testing/sim-clock.js';
import { writeEthernet } from './wire/ethernet.js';

const UPLINK = parseMac('52:54:00:00:00:0a');
const SIZE = 1500;

function frame(to: number, from: number): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  writeEthernet(bytes, to, from, 0x88b5);
  return bytes;
}

/** Stations that send to one as fast as they may. */
class Rig {
  readonly clock = new SimClock();
  readonly switch = new Switch({ clock: this.clock });
  readonly uplink: Port;
  readonly got = new Map<number, number>();

  constructor(share: PortShare = {}) {
    this.uplink = this.switch.attach({ name: 'uplink', macs: [UPLINK], ...share });
    this.uplink.onFrame = (bytes) => {
      const from = bytes[11];
      this.got.set(from, (this.got.get(from) ?? 0) + bytes.length);
      return true;
    };
  }

  /** A station that stops when it is asked to, and goes on when it may; `deaf`: that does not stop. */
  sender(number: number, share: PortShare = {}, deaf = false): Port {
    const mac = 0x5254_0000_0100 + number;
    const port = this.switch.attach({ name: `${number}`, macs: [mac], ...share });
    const send = (): void => {
      for (let n = 0; n < 10_000; n++) if (!port.send(frame(UPLINK, mac)) && !deaf) return;
    };
    port.onReady = () => this.clock.soon(send);
    this.clock.soon(send);
    return port;
  }

  /** Bytes per second of a station in some seconds. */
  rates(seconds: number): (number: number) => number {
    this.clock.advance(1000);
    this.got.clear();
    this.clock.advance(seconds * 1000);
    return (number) => (this.got.get(number) ?? 0) / seconds;
  }
}

const near = (actual: number, expected: number, what: string): void =>
  assert.ok(Math.abs(actual / expected - 1) < 0.03, `${what}: ${actual} and not ${expected}`);

void test('two that send more than the uplink takes share it 3 : 1 by their weights, and 1 : 1 without', () => {
  const rig = new Rig({ bandwidth: 4e6 });
  const heavy = rig.sender(1, { weight: 3 });
  rig.sender(2);
  const of = rig.rates(10);
  near(of(1), 3e6, 'three of four');
  near(of(2), 1e6, 'one of four');
  heavy.setShare({});
  const equal = rig.rates(10);
  near(equal(1), 2e6, 'a half');
  near(equal(2), 2e6, 'a half');
});

void test('what one does not want the other has', () => {
  const rig = new Rig({ bandwidth: 4e6 });
  rig.sender(1, { weight: 3 }).close();
  rig.sender(2);
  near(rig.rates(5)(2), 4e6, 'all of it');
});

void test('a station with a bandwidth sends so much, and others are not held up by it', () => {
  const rig = new Rig();
  const slow = rig.sender(1, { bandwidth: 1e5 });
  near(rig.rates(10)(1), 1e5, 'its bandwidth');
  assert.equal(slow.counters.overflowed, 0, 'who waits when it is asked to loses nothing');
  slow.setShare({ bandwidth: 3e5, weight: 2 });
  assert.deepEqual(slow.share, { bandwidth: 3e5, weight: 2 });
  near(rig.rates(10)(1), 3e5, 'another bandwidth');
});

void test('who does not wait loses what there is no room for', () => {
  const rig = new Rig();
  const deaf = rig.sender(1, { bandwidth: 1e5 }, true);
  rig.clock.advance(100);
  assert.ok(deaf.counters.overflowed > 5000, `${deaf.counters.overflowed} of 10,000`);
  deaf.onReady = undefined;
  rig.clock.advance(30_000);
  assert.ok((rig.got.get(1) ?? 0) <= 2 ** 20 + 2 * 1e5, 'and what waited was bounded');
});

void test('what is for a station with a bandwidth waits for it, and the limit can be taken away', () => {
  const rig = new Rig({ bandwidth: 1e5 });
  rig.sender(1);
  near(rig.rates(10)(1), 1e5, 'what it is given');
  rig.uplink.setShare({});
  const before = rig.got.get(1) ?? 0;
  rig.clock.advance(10);
  assert.ok((rig.got.get(1) ?? 0) - before > 2 ** 20, 'what waited comes at once');
});

void test('a share that cannot be is refused', () => {
  const { uplink } = new Rig();
  for (const wrong of [{ bandwidth: 0 }, { bandwidth: NaN }, { bandwidth: Infinity }, { weight: 0 }, { weight: 101 }]) {
    assert.throws(() => uplink.setShare(wrong), { name: 'NetError', code: 'BAD_CONFIG' }, JSON.stringify(wrong));
  }
  assert.throws(() => new Switch().attach({ name: 'a', bandwidth: 1 }), { name: 'NetError', code: 'BAD_CONFIG' });
});
