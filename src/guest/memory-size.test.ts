import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { ComputerError } from '../computer/errors.js';
import { VirtioBalloon } from '../computer/virtio/balloon.js';
import * as b from '../computer/virtio/balloon-format.js';
import { TestDriver, type DriverQueue } from '../computer/virtio/testing/driver.js';
import { MEMORY_BASE, TestMachine } from '../computer/virtio/testing/machine.js';
import { MemoryPages, type GivesBack } from '../partition/balloon-pages.js';
import { MemorySize, type SizedSpace } from './memory-size.js';

const MOST = 400;

/** An address space of which every page has a frame. */
class Space implements GivesBack, SizedSpace {
  readonly pages = MOST;
  taken = MOST;
  limit = MOST;
  constructor(
    public guaranteed: number,
    private readonly others = 0,
  ) {}
  get resident(): number {
    return this.taken;
  }
  guarantee(pages: number): void {
    if (pages > MOST - this.others) throw new ComputerError('no-frames', 'others have them');
    this.guaranteed = pages;
  }
  giveBack(): boolean {
    this.taken--;
    return true;
  }
  settled(): Promise<void> {
    return Promise.resolve();
  }
}

/** A guest that inflates and deflates as Linux does, as far as it is told to. */
class Guest {
  readonly machine = new TestMachine(MOST);
  readonly pages: MemoryPages;
  readonly balloon: VirtioBalloon;
  readonly size: MemorySize;
  readonly driver: TestDriver;
  #queues: DriverQueue[] = [];
  #inflated = 0;

  constructor(
    readonly space: Space,
    options: { memory: number; guaranteed: number | undefined; least?: number },
  ) {
    this.pages = new MemoryPages(space, (run) => void setImmediate(run));
    this.balloon = new VirtioBalloon(this.machine.host(3), this.pages);
    this.size = new MemorySize('guest', { balloon: this.balloon, pages: this.pages, space }, options);
    this.driver = new TestDriver(this.machine, 3);
  }

  load(): void {
    this.driver.negotiate(-1);
    this.#queues = [0, 1, 2].map((q) => this.driver.queue(q, { size: 8 }));
    this.driver.start();
    this.balloon.poll();
  }

  get target(): number {
    return this.driver.read(this.driver.config + b.NUM_PAGES, 4);
  }

  /** Follows the target, by at most so many pages. */
  async follow(most = Infinity): Promise<void> {
    for (let left = most; left > 0 && this.#inflated !== this.target; left--) {
      const q = this.#inflated < this.target ? b.INFLATE : b.DEFLATE;
      const page = MEMORY_BASE / 4096 + (q === b.INFLATE ? this.#inflated++ : --this.#inflated);
      const list = this.driver.allocate(4);
      this.machine.poke32(list, page);
      this.#queues[q].addBuffers([{ address: list, length: 4, write: false }]);
      this.#queues[q].kick();
      this.balloon.poll();
      while (this.#queues[q].harvest().length === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

const bytes = (pages: number): number => pages * 4096;

void test('at the beginning the balloon is to have the difference to the most, and the space has its limit at once', async () => {
  const guest = new Guest(new Space(100), { memory: 100, guaranteed: undefined });
  assert.equal(guest.target, 300);
  assert.equal(guest.space.limit, 100);
  guest.load();
  await guest.follow();
  const { guest: said, ...report } = guest.size.report();
  assert.equal(said, undefined);
  assert.deepEqual(report, {
    size: bytes(100),
    maxMemory: bytes(MOST),
    guaranteed: bytes(100),
    resident: bytes(100),
    usable: bytes(100),
    lent: 0,
  });
});

void test('more memory: guaranteed and allowed at once, there when the guest has followed; less: allowed as it gives', async () => {
  const guest = new Guest(new Space(100), { memory: 100, guaranteed: undefined });
  guest.load();
  await guest.follow();
  const seen: number[] = [];
  const more = guest.size.set(250, { onProgress: (usable) => seen.push(usable / 4096) });
  assert.deepEqual([guest.space.limit, guest.space.guaranteed, guest.target], [250, 250, 150]);
  await guest.follow(149);
  let over = false;
  void more.then(() => (over = true));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(over, false);
  await guest.follow();
  await more;
  assert.deepEqual([seen[0], seen.at(-1), seen.length], [100, 250, 151]);
  const less = guest.size.set(50);
  assert.deepEqual([guest.space.limit, guest.space.guaranteed, guest.target], [250, 250, 350]);
  await guest.follow(50);
  assert.deepEqual([guest.space.limit, guest.space.guaranteed], [200, 200], 'what it has given up it has given up');
  await guest.follow();
  await less;
  assert.deepEqual([guest.space.limit, guest.space.guaranteed], [50, 50]);
  // A guest that takes pages out by itself, or whose driver goes, is not allowed more for that.
  guest.driver.status = 0;
  guest.balloon.poll();
  assert.deepEqual([guest.space.limit, guest.size.report().usable], [50, bytes(MOST)]);
});

void test('part of it guaranteed: no more than that is promised, and never more than it has', async () => {
  const guest = new Guest(new Space(40), { memory: 100, guaranteed: 40 });
  guest.load();
  await guest.follow();
  const more = guest.size.set(300);
  await guest.follow();
  await more;
  assert.deepEqual([guest.space.limit, guest.space.guaranteed], [300, 40]);
  const less = guest.size.set(20);
  await guest.follow();
  await less;
  assert.deepEqual([guest.space.limit, guest.space.guaranteed], [20, 20]);
});

void test('what cannot be guaranteed changes nothing', async () => {
  const guest = new Guest(new Space(100, 200), { memory: 100, guaranteed: undefined });
  guest.load();
  await guest.follow();
  await assert.rejects(guest.size.set(201), { code: 'no-frames' });
  assert.deepEqual([guest.space.limit, guest.target, guest.size.report().size], [100, 300, bytes(100)]);
});

void test('a guest that does not follow: how far it came, and why; it is still asked', async () => {
  const guest = new Guest(new Space(100), { memory: 400, guaranteed: undefined });
  const before = { code: 'memory-not-followed', reached: bytes(400), message: /not loaded the driver/ };
  await assert.rejects(guest.size.set(100, { timeout: 5 }), before);
  guest.load();
  await guest.follow(50);
  const stuck = { code: 'memory-not-followed', reached: bytes(350), message: /cannot free more now/ };
  await assert.rejects(guest.size.set(100, { timeout: 5 }), stuck);
  await guest.follow();
  assert.equal(guest.size.report().usable, bytes(100));
  const slow = { code: 'memory-not-followed', reached: bytes(100), message: /not taken all of it/ };
  await assert.rejects(guest.size.set(400, { timeout: 5 }), slow);
});

void test('another size meanwhile, a signal, a listener that throws, an end: each ends the wait with its reason', async () => {
  const guest = new Guest(new Space(100), { memory: 400, guaranteed: undefined });
  guest.load();
  const first = guest.size.set(100);
  const second = guest.size.set(200);
  await assert.rejects(first, { code: 'superseded', message: /1 MiB of memory instead/ });
  await guest.follow();
  await second;
  await assert.rejects(guest.size.set(300, { signal: AbortSignal.timeout(5) }), { name: 'TimeoutError' });
  await assert.rejects(guest.size.set(300, { signal: AbortSignal.abort(new Error('early')) }), /early/);
  const thrown = guest.size.set(350, {
    onProgress: () => {
      throw new Error('by the listener');
    },
  });
  await assert.rejects(thrown, /by the listener/);
  const third = guest.size.set(250);
  guest.size.end();
  await assert.rejects(third, { code: 'stopped' });
  await assert.rejects(guest.size.set(250), { code: 'stopped' });
});

void test('memory that is lent to others: the guest does without, and its size stays what it was given', async () => {
  const guest = new Guest(new Space(50), { memory: 300, guaranteed: 50 });
  guest.load();
  await guest.follow();
  guest.size.lend(200);
  assert.equal(guest.target, 200);
  await guest.follow();
  const { size, lent, usable } = guest.size.report();
  assert.deepEqual([size, lent, usable], [bytes(300), bytes(100), bytes(200)]);
  assert.equal(guest.space.limit, 300);
  guest.size.lend(1000);
  assert.equal(guest.target, 100);
});

void test('who has no driver, or does not come down in time, is not reckoned with, until it has', async () => {
  let now = 1000;
  mock.method(performance, 'now', () => now);
  try {
    const guest = new Guest(new Space(50), { memory: MOST, guaranteed: 50 });
    const isHeedless = (): boolean => guest.size.holder.heedless === true;
    assert.ok(isHeedless(), 'it cannot be asked');
    guest.load();
    assert.ok(!isHeedless());
    // Long before the next one looks.
    guest.size.lend(300);
    now += 999;
    assert.ok(!isHeedless());
    await guest.follow(99);
    // Being asked for more gives it no more time for what it was asked for first.
    guest.size.lend(250);
    now += 2;
    assert.ok(isHeedless(), 'a little is not all');
    await guest.follow(1);
    assert.ok(!isHeedless(), 'the rest is due later');
    now += 1001;
    assert.ok(isHeedless());
    await guest.follow();
    assert.ok(!isHeedless());
    now += 10_000;
    assert.ok(!isHeedless(), 'it owes nothing');
    // It takes again what it has given.
    guest.space.taken += 60;
    assert.ok(!isHeedless());
    now += 1001;
    assert.ok(isHeedless());
    guest.size.lend(MOST);
    assert.ok(!isHeedless());
  } finally {
    mock.restoreAll();
  }
});

void test('nobody is pressed below what the kernel needs, however little of it is guaranteed', () => {
  for (const [least, keeps] of [
    [120, 120],
    [20, 50],
  ] as const) {
    const guest = new Guest(new Space(50), { memory: 300, guaranteed: 50, least });
    guest.load();
    assert.deepEqual([guest.size.holder.guaranteed, guest.size.report().guaranteed], [keeps, bytes(50)]);
  }
});

void test('more and then less for a guest without a driver: what it has not touched is taken back at once, and promised no more', async () => {
  for (const [taken, keeps] of [
    [60, 100],
    [150, 150],
  ]) {
    const guest = new Guest(new Space(100), { memory: 100, guaranteed: undefined });
    guest.space.taken = taken;
    await assert.rejects(guest.size.set(300, { timeout: 5 }), { code: 'memory-not-followed' });
    assert.deepEqual([guest.space.limit, guest.space.guaranteed], [300, 300]);
    await assert.rejects(guest.size.set(100, { timeout: 5 }), { code: 'memory-not-followed' });
    assert.deepEqual([guest.space.limit, guest.space.guaranteed], [keeps, keeps]);
  }
});
