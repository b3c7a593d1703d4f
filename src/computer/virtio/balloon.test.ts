import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtioBalloon, type BalloonPages } from './balloon.js';
import * as b from './balloon-format.js';
import { TestDriver, type DriverQueue } from './testing/driver.js';
import { MEMORY_BASE, TestMachine } from './testing/machine.js';

const FIRST = MEMORY_BASE / 4096;
const PAGES = 512;

/** Pages that note what they are asked for, and give back when they are told to. */
class NotedPages implements BalloonPages {
  readonly extent = { first: FIRST, count: PAGES };
  readonly log: string[] = [];
  readonly #waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];

  inflate(runs: readonly b.PageRun[]): Promise<void> {
    return this.#note('inflate', runs);
  }
  deflate(runs: readonly b.PageRun[]): Promise<void> {
    return this.#note('deflate', runs);
  }
  report(runs: readonly b.PageRun[]): Promise<void> {
    return this.#note('report', runs);
  }
  reset(): void {
    if (this.log.at(-1) !== 'reset') this.log.push('reset');
  }

  #note(what: string, runs: readonly b.PageRun[]): Promise<void> {
    this.log.push(`${what} ${runs.map(({ first, count }) => `${first - FIRST}+${count}`).join(' ')}`);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  async finish(error?: Error): Promise<void> {
    const next = this.#waiting.shift() ?? assert.fail('nothing is under way');
    if (error === undefined) next.resolve();
    else next.reject(error);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

class Balloon {
  readonly machine = new TestMachine(PAGES);
  readonly pages = new NotedPages();
  readonly device: VirtioBalloon;
  readonly driver: TestDriver;
  queues: DriverQueue[] = [];

  constructor(features = -1) {
    this.device = new VirtioBalloon(this.machine.host(3), this.pages);
    this.driver = new TestDriver(this.machine, 3);
    this.comeUp(features);
    this.pages.log.length = 0;
  }

  comeUp(features: number): void {
    assert.equal(this.driver.negotiate(features), 0xb);
    this.queues = Array.from({ length: b.QUEUES }, (_, q) => this.driver.queue(q, { size: 16 }));
    this.driver.start();
    this.device.poll();
  }

  /** Names pages, counted from the beginning of memory, in a queue. */
  name(q: number, ...pages: number[]): void {
    this.queues[q].add([new Uint8Array(Uint32Array.from(pages, (page) => FIRST + page).buffer)]);
    this.kick(q);
  }

  report(q: number, ...buffers: [address: number, length: number][]): void {
    this.queues[q].addBuffers(buffers.map(([address, length]) => ({ address, length, write: true })));
    this.kick(q);
  }

  kick(q: number): void {
    this.queues[q].kick();
    this.device.poll();
  }

  /** How many requests are done. */
  done(q: number): number {
    return this.queues[q].harvest().length;
  }
}

void test('pages go into the balloon and out of it, and the driver goes on when they are nobody’s to reach', async () => {
  const balloon = new Balloon();
  assert.equal(balloon.driver.deviceId, 0x1045);
  balloon.name(b.INFLATE, 100, 101, 102, 40, 39, 38, 7);
  assert.deepEqual(balloon.pages.log, ['inflate 100+3 38+3 7+1']);
  assert.equal(balloon.done(b.INFLATE), 0, 'not yet');
  assert.match(balloon.device.goesOn() ?? '', /under way/);
  await balloon.pages.finish();
  assert.equal(balloon.done(b.INFLATE), 1);
  assert.equal(balloon.machine.raised(3), true);
  balloon.name(b.DEFLATE, 39);
  await balloon.pages.finish();
  assert.equal(balloon.done(b.DEFLATE), 1);
  assert.deepEqual(balloon.pages.log.slice(1), ['deflate 39+1']);
});

void test('one request after the other, whatever the queue', async () => {
  const { pages, ...balloon } = new Balloon();
  const { queues, device } = balloon;
  for (const page of [1, 2, 3]) {
    for (const q of [b.INFLATE, b.DEFLATE]) queues[q].add([new Uint8Array(Uint32Array.of(FIRST + page).buffer)]);
  }
  queues[b.INFLATE].kick();
  queues[b.DEFLATE].kick();
  for (let n = 1; n <= 6; n++) {
    device.poll();
    assert.equal(pages.log.length, n);
    await pages.finish();
  }
  assert.equal(queues[b.INFLATE].harvest().length, 3);
  assert.equal(queues[b.DEFLATE].harvest().length, 3);
});

void test('free pages are whole pages within the buffers, in whichever queue the driver takes for theirs', async () => {
  for (const [q, features] of [
    [3, -1],
    [4, -1],
    [2, ~b.F_STATS_VQ],
  ]) {
    const balloon = new Balloon(features);
    balloon.report(
      q,
      [MEMORY_BASE + 10 * 4096, 4 * 4096],
      [MEMORY_BASE + 20 * 4096 + 1, 3 * 4096],
      [MEMORY_BASE, 4095],
    );
    assert.deepEqual(balloon.pages.log, ['report 10+4 21+2'], `queue ${q}`);
    await balloon.pages.finish();
    assert.equal(balloon.done(q), 1);
    // A buffer without a whole page in it is done at once.
    balloon.report(q, [MEMORY_BASE + 5, 4096]);
    assert.equal(balloon.done(q), 1);
    assert.equal(balloon.pages.log.length, 1);
  }
  const without = new Balloon(~b.F_PAGE_REPORTING);
  without.report(3, [MEMORY_BASE, 4096]);
  assert.deepEqual(without.pages.log, [], 'a driver that does not know of reports has no such queue');
});

void test('free pages that must keep a value are not taken', () => {
  const balloon = new Balloon();
  balloon.driver.write(balloon.driver.config + b.POISON_VAL, 4, 0xaaaa_aaaa);
  balloon.report(3, [MEMORY_BASE, 4096]);
  assert.deepEqual(balloon.pages.log, []);
  assert.equal(balloon.done(3), 1);
});

void test('of the configuration the driver writes what is its own, and a reset forgets it', () => {
  const balloon = new Balloon();
  const { driver, device } = balloon;
  device.target = 77;
  const word = (at: number): number => driver.read(driver.config + at, 4);
  for (const at of [0, 4, 8, 12, 16]) driver.write(driver.config + at, 4, 0x1234_5678);
  assert.deepEqual([0, 4, 8, 12, 16].map(word), [77, 0x1234_5678, 0, 0x1234_5678, 0]);
  driver.write(driver.config + 5, 1, 0xff);
  assert.equal(device.actual, 0x1234_ff78);
  const generation = driver.read(driver.common + 0x15, 1);
  device.target = 78;
  assert.notEqual(driver.read(driver.common + 0x15, 1), generation);
  assert.equal(driver.isr & 2, 2, 'the driver is told');
  driver.status = 0;
  device.poll();
  assert.deepEqual([0, 4, 12].map(word), [78, 0, 0]);
  assert.deepEqual(balloon.pages.log.at(-1), 'reset');
});

void test('the guest says how it stands with its memory when it is asked, and the buffer stays in its queue meanwhile', () => {
  const balloon = new Balloon();
  const { device, queues } = balloon;
  const said: unknown[] = [];
  device.onStatistics = (statistics) => said.push(statistics);
  const numbers = (...list: [tag: number, value: number][]): Uint8Array => {
    const bytes = new Uint8Array(10 * list.length);
    const view = new DataView(bytes.buffer);
    list.forEach(([tag, value], i) => {
      view.setUint16(10 * i, tag, true);
      view.setUint32(10 * i + 2, value >>> 0, true);
      view.setUint32(10 * i + 6, Math.floor(value / 2 ** 32), true);
    });
    return bytes;
  };
  const say = (bytes: Uint8Array): void => {
    queues[b.STATS].add([bytes]);
    balloon.kick(b.STATS);
  };
  say(numbers([4, 1000], [5, 6 * 2 ** 32], [0xfff0, 1]));
  assert.deepEqual(said, [{ free: 1000, total: 6 * 2 ** 32 }]);
  assert.equal(balloon.done(b.STATS), 0);
  device.askStatistics();
  device.askStatistics();
  assert.equal(balloon.done(b.STATS), 1);
  assert.equal(device.asksStatistics, true);
  say(numbers([4, 900]));
  assert.deepEqual(said.slice(1), [{ free: 900 }]);
  assert.equal(device.asksStatistics, false);
  // Cut off, and far too long.
  device.askStatistics();
  balloon.done(b.STATS);
  say(numbers([4, 800], [5, 1]).subarray(0, 19));
  device.askStatistics();
  balloon.done(b.STATS);
  say(numbers(...Array.from({ length: 300 }, (_, i): [number, number] => [i % 2 === 0 ? 4 : 77, i])));
  assert.deepEqual(said.slice(2), [{ free: 800 }, { free: 62 }]);
  // A driver without the queue is asked, and never answers.
  const silent = new Balloon(~b.F_STATS_VQ);
  silent.device.askStatistics();
  assert.equal(silent.device.asksStatistics, true);
});

void test('page numbers outside of memory are left out; garbage stops the device until its reset', async () => {
  const balloon = new Balloon();
  balloon.name(b.INFLATE, -1, 0, PAGES - 1, PAGES, 0x7fff_ffff, 0, 0);
  assert.deepEqual(balloon.pages.log, [`inflate 0+1 ${PAGES - 1}+1 0+1 0+1`]);
  await balloon.pages.finish();
  balloon.name(b.INFLATE, PAGES + 5);
  assert.equal(balloon.done(b.INFLATE), 2);
  assert.deepEqual(balloon.machine.faults, []);
  const garbage: ((balloon: Balloon) => void)[] = [
    // Numbers that are not in memory, and too many of them.
    (now) => now.queues[b.INFLATE].addBuffers([{ address: now.machine.memoryEnd - 2, length: 8, write: false }]),
    (now) => now.queues[b.INFLATE].addBuffers([{ address: MEMORY_BASE, length: 4 * b.MOST_PFNS + 4, write: false }]),
    (now) => now.queues[b.DEFLATE].addBuffers([{ address: MEMORY_BASE, length: 2 ** 32 - 1, write: false }]),
    // More free pages than the guest has.
    (now) =>
      now.queues[3].addBuffers([
        { address: MEMORY_BASE, length: PAGES * 4096, write: true },
        { address: MEMORY_BASE, length: 4096, write: true },
      ]),
    (now) => now.queues[b.STATS].addBuffers([{ address: 0x1000, length: 10, write: false }]),
  ];
  for (const spoil of garbage) {
    const now = new Balloon();
    spoil(now);
    for (let q = 0; q < 4; q++) now.kick(q);
    assert.equal(now.driver.status & 64, 64);
    assert.equal(now.machine.faults.length, 1);
    assert.deepEqual(now.pages.log, []);
    now.comeUp(-1);
    now.name(b.INFLATE, 1);
    assert.equal(now.pages.log.at(-1), 'inflate 1+1');
  }
  // A stretch of any size is cut to the memory that there is.
  const wide = new Balloon();
  wide.report(3, [MEMORY_BASE - 0x1000_0000, 2 ** 32 - 1]);
  assert.deepEqual(wide.pages.log, [`report 0+${PAGES}`]);
});

void test('a reset in the middle: what is finished later is not the new driver’s', async () => {
  const balloon = new Balloon();
  balloon.name(b.INFLATE, 1);
  balloon.driver.status = 0;
  balloon.device.poll();
  assert.equal(balloon.driver.status, 0);
  balloon.comeUp(-1);
  balloon.name(b.INFLATE, 2);
  assert.deepEqual(balloon.pages.log, ['inflate 1+1', 'reset'], 'the next waits until it is over');
  await balloon.pages.finish();
  assert.equal(balloon.done(b.INFLATE), 0);
  balloon.device.poll();
  await balloon.pages.finish();
  assert.equal(balloon.done(b.INFLATE), 1);
  assert.deepEqual(balloon.pages.log, ['inflate 1+1', 'reset', 'inflate 2+1']);
});

void test('pages that cannot be given back: the driver goes on, and whoever runs the machine is told', async () => {
  const balloon = new Balloon();
  balloon.name(b.INFLATE, 1);
  await balloon.pages.finish(new Error('said by the test'));
  assert.equal(balloon.done(b.INFLATE), 1);
  assert.match(balloon.machine.faults.join(), /said by the test/);
  balloon.name(b.INFLATE, 2);
  balloon.device.detach();
  await balloon.pages.finish();
  assert.equal(balloon.done(b.INFLATE), 0, 'nothing touches the memory of who is gone');
});
