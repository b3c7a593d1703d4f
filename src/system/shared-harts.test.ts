/** OS instances that share harts: how much each gets, how soon, and what becomes of it when one of them ends. Real threads. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { hartThread } from '../adapters/node/platform.js';
import { nodeSystem } from '../adapters/node/system.js';
import { BARE_DATA, BARE_MEMORY, bareKernel, COUNTING, countingHarts } from '../guest/testing/bare-kernel.js';
import type { HartThread } from '../partition/hart.js';
import { Computer } from './computer.js';
import type { Instance } from './instance.js';
import type { ShareOptions } from './share.js';

const MIB = 2 ** 20;
const computerOf = (harts: number, guests = 4): Computer =>
  new Computer(nodeSystem, { memory: guests * (BARE_MEMORY + MIB), harts, network: false });

/** Never wants anything. */
const SLEEPING = `
sleep:
  wfi
  j sleep`;

/**
 * Sleeps for 4 ms at a time, and keeps account of how much later than it wanted it runs again, in ticks of 0.1 us: at data
 * how often it has, behind that the last 512 times (32 bits each).
 */
const WAKES = 512;
const WAKING = `
  la s0, data
  li s1, 0
  li t0, 32
  csrs sie, t0
again:
  csrr s2, time
  li t0, 40000
  add s2, s2, t0
  csrw stimecmp, s2
sleep:
  wfi
  csrr t0, time
  bltu t0, s2, sleep
  sub t0, t0, s2
  andi t1, s1, ${WAKES - 1}
  slli t1, t1, 2
  add t1, t1, s0
  sw t0, 8(t1)
  addi s1, s1, 1
  sd s1, (s0)
  j again`;

async function boot(computer: Computer, source: string, options: ShareOptions & { harts?: number }): Promise<Instance> {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return computer.boot({ kernel: bareKernel(source), memory: BARE_MEMORY, console: 'ttyS0', ...given });
}

const moment = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 60_000; !condition(); await moment(1)) {
    assert.ok(performance.now() < end, what);
  }
}

const counted = ({ os }: Instance, id = 0): number => {
  const { space } = os.partition;
  return Number(space.view.getBigUint64(space.offsetOf(BARE_DATA + 8 * id), true));
};
const counts = async (guest: Instance, id = 0): Promise<void> => {
  const before = counted(guest, id);
  await until(() => counted(guest, id) > before, `${guest.name} counts on`);
};

interface Had {
  /** Harts' worth of time that each guest had. */
  readonly time: readonly number[];
  /** The part of all their work that each did. */
  readonly work: readonly number[];
}

/** What guests have in a second. */
async function had(guests: readonly Instance[], milliseconds = 1000): Promise<Had> {
  const look = (): number[][] => guests.map((guest) => [guest.share?.used ?? 0, counted(guest)]);
  const begin = performance.now();
  const first = look();
  await moment(milliseconds);
  const last = look();
  const took = performance.now() - begin;
  const [time, work] = [0, 1].map((k) => last.map((of, i) => of[k] - first[i][k]));
  const all = work.reduce((sum, n) => sum + n, 0);
  return { time: time.map((t) => t / took), work: work.map((w) => w / all) };
}

/**
 * A host that has too few cores for all that runs keeps a thread from running for a while, with its seat or without. What
 * one had too much of that is made up for afterwards, and not always within the same second: so many are looked at.
 */
const SECONDS = 5;

/** In a second each guest has the time that it should have, in harts' worth of it. */
async function have(guests: readonly Instance[], expected: readonly number[], within = 0.02): Promise<Had> {
  for (let second = 1; ; second++) {
    const of = await had(guests);
    if (of.time.every((n, i) => Math.abs(n - expected[i]) <= within)) return of;
    const shown = of.time.map((n) => n.toFixed(3)).join(', ');
    assert.ok(second < SECONDS, `${shown}, and should be ${expected.join(', ')}`);
  }
}

describe('one hart', () => {
  let computer: Computer;
  before(() => {
    computer = computerOf(1);
  });
  after(() => computer.close());

  /** Guests that share, and count. */
  const counting = async (...shares: ShareOptions[]): Promise<Instance[]> => {
    const guests: Instance[] = [];
    for (const share of shares) guests.push(await boot(computer, COUNTING, share));
    for (const guest of guests) await counts(guest);
    return guests;
  };
  const end = (guests: readonly Instance[]): Promise<unknown> => Promise.all(guests.map((guest) => guest.destroy()));

  test('weights of 3 : 1 are 75 and 25 % of the time over a second, and when they change so does that', async () => {
    const guests = await counting({ weight: 300 }, { weight: 100 });
    const { work } = await have(guests, [0.75, 0.25]);
    // What gets done in that time is for the host to say as well.
    assert.ok(work[0] > 0.6 && work[0] < 0.9, `${work.join(' and ')} of the work`);
    guests[0].setShare({ weight: 50 });
    guests[1].setShare({ weight: 200 });
    assert.deepEqual([guests[0].share?.weight, guests[1].share?.weight], [50, 200]);
    await have(guests, [0.2, 0.8]);
    await end(guests);
  });

  test('four of them, of weights 4 : 3 : 2 : 1', async () => {
    const guests = await counting({ weight: 400 }, { weight: 300 }, { weight: 200 }, { weight: 100 });
    await have(guests, [0.4, 0.3, 0.2, 0.1]);
    await end(guests);
  });

  test('what one does not use the others have, whatever the weights', async () => {
    const idle = await boot(computer, SLEEPING, { weight: 10_000 });
    const [light, heavy] = await counting({ weight: 1 }, { weight: 3 });
    await have([light, heavy], [0.25, 0.75]);
    const letGo = await heavy.os.partition.pause();
    await have([light], [1]);
    letGo();
    await counts(heavy);
    await have([light, heavy], [0.25, 0.75]);
    await heavy.destroy();
    await have([light], [1]);
    await end([idle, light]);
  });

  test('a limit holds beside nobody, beside one who computes, and until it is another', async () => {
    const [half] = await counting({ cpu: 0.5 });
    await have([half], [0.5]);
    const [other] = await counting({ weight: 100 });
    await have([half, other], [0.5, 0.5]);
    half.setShare({ cpu: 0.2 });
    assert.equal(half.share?.weight, 100);
    await have([half, other], [0.2, 0.8]);
    await other.destroy();
    await have([half], [0.2]);
    half.setShare({ cpu: Infinity });
    await have([half], [1]);
    await half.destroy();
  });

  test('while it is shared nobody has it alone, and afterwards somebody may', async () => {
    assert.equal(computer.freeHarts, 1);
    const guests = await counting({ weight: 100 });
    assert.equal(computer.freeHarts, 0);
    await assert.rejects(boot(computer, COUNTING, {}), { code: 'no-hart' });
    await assert.rejects(boot(computer, COUNTING, { weight: 100, harts: 2 }), { code: 'no-hart' });
    await end(guests);
    assert.equal(computer.freeHarts, 1);
    const alone = await boot(computer, COUNTING, {});
    assert.equal(alone.share, undefined);
    assert.throws(() => alone.setShare({ weight: 1 }), { code: 'invalid' });
    await assert.rejects(boot(computer, COUNTING, { weight: 100 }), { code: 'no-hart' });
    await alone.destroy();
  });

  test('what is no weight and no limit is refused, and nothing is taken', async () => {
    const { freeMemory } = computer;
    for (const share of [
      { weight: 0 },
      { weight: 1.5 },
      { weight: 10_001 },
      { weight: NaN },
      { cpu: 0 },
      { cpu: NaN },
    ]) {
      await assert.rejects(boot(computer, COUNTING, share), { code: 'invalid' });
    }
    assert.equal(computer.freeMemory, freeMemory);
    assert.equal(computer.freeHarts, 1);
  });
});

describe('two harts', () => {
  let computer: Computer;
  before(() => {
    computer = computerOf(2);
  });
  after(() => computer.close());

  test('three that compute share both; who cannot use its share leaves it to the others', async () => {
    const guests: Instance[] = [];
    for (const weight of [600, 100, 100]) guests.push(await boot(computer, COUNTING, { weight }));
    for (const guest of guests) await counts(guest);
    // Six eighths of two harts are more than one hart.
    await have(guests, [1, 0.5, 0.5], 0.04);
    await Promise.all(guests.map((guest) => guest.destroy()));
  });

  test('an instance has its weight, not each of its harts; one that wants a hart of its own takes it from those who share', async () => {
    const two = await boot(computer, countingHarts(2), { weight: 100, harts: 2 });
    await counts(two, 1);
    await have([two], [2], 0.04);
    assert.equal(computer.freeHarts, 1);
    const alone = await boot(computer, COUNTING, {});
    await counts(alone);
    assert.equal(computer.freeHarts, 0);
    await have([two], [1]);
    const one = await boot(computer, COUNTING, { weight: 100 });
    await counts(one);
    await have([two, one], [0.5, 0.5]);
    await counts(two, 0);
    await counts(two, 1);
    await alone.destroy();
    await have([two, one], [1, 1], 0.04);
    await Promise.all([two.destroy(), one.destroy()]);
    assert.equal(computer.freeHarts, 2);
  });

  /** Of how late a guest ran that wakes from time to time: in the middle, and all but one in a hundred (ms). */
  const late = (guest: Instance): { p50: number; p99: number } => {
    const { space } = guest.os.partition;
    const at = space.offsetOf(BARE_DATA + 8);
    const times = Array.from({ length: WAKES }, (_, i) => space.view.getUint32(at + 4 * i, true) / 10_000);
    times.sort((a, b) => a - b);
    return { p50: times[WAKES / 2], p99: times[Math.floor(WAKES * 0.99)] };
  };

  test('one that sleeps and wakes runs within 2 ms beside one that computes', { timeout: 120_000 }, async (t) => {
    // What the host makes of it is seen at the same guest on a hart of its own, at the same time.
    const alone = await boot(computer, WAKING, {});
    const shared = await boot(computer, WAKING, { weight: 100 });
    const computes = await boot(computer, COUNTING, { weight: 100 });
    for (let attempt = 1; ; attempt++) {
      const start = [counted(alone), counted(shared)];
      await until(() => counted(alone) - start[0] > WAKES && counted(shared) - start[1] > WAKES, 'they wake');
      const [mine, other] = [late(shared), late(alone)];
      const shown = `p50 ${mine.p50.toFixed(2)}, p99 ${mine.p99.toFixed(2)} ms; alone ${other.p50.toFixed(2)}, ${other.p99.toFixed(2)} ms`;
      t.diagnostic(shown);
      if (mine.p50 < other.p50 + 2 && mine.p99 < other.p99 + 2) break;
      assert.ok(attempt < SECONDS, shown);
    }
    await Promise.all([alone, shared, computes].map((guest) => guest.destroy()));
  });
});

describe('a thread that fails while it shares', () => {
  const FAILING = new URL('../guest/testing/failing-worker.js', import.meta.url);
  for (const where of ['translator', 'seats']) {
    for (const how of ['throw', 'exit']) {
      const place = where === 'seats' ? 'in the lock of the seats' : 'with the seat';
      test(`${how === 'throw' ? 'throws' : 'dies'} ${place}: the others have all of it`, async () => {
        let threads = 0;
        const startHartThread = (): HartThread => (threads++ === 1 ? hartThread(FAILING) : hartThread());
        process.env['UNDERSTUDY_TEST_FAILURE'] = '';
        const computer = new Computer(
          { ...nodeSystem, startHartThread },
          { memory: 3 * (BARE_MEMORY + MIB), harts: 1, network: false },
        );
        const honest = await boot(computer, COUNTING, { weight: 100 });
        await counts(honest);
        process.env['UNDERSTUDY_TEST_FAILURE'] = `${how} ${where}`;
        const failing = await boot(computer, COUNTING, { weight: 10_000 });
        process.env['UNDERSTUDY_TEST_FAILURE'] = '';
        assert.equal((await failing.ended).kind, 'hart-failed');
        await have([honest], [1]);
        await counts(honest);
        const next = await boot(computer, COUNTING, { weight: 100 });
        await counts(next);
        await have([honest, next], [0.5, 0.5]);
        await Promise.all([honest.destroy(), next.destroy()]);
        assert.equal(computer.freeHarts, 1);
        await computer.close();
      });
    }
  }
});
