/** Weights and limits, on a clock that is counted: instances that compute, and such that sleep, on one seat or more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as S from '../hart/state.js';
import { AtomicWords } from './handshake.js';
import { leaveSeat, wantSeat } from './seats.js';
import { BUCKET, CPU, MAX_WEIGHT, SHARE_DOUBLES, Shares, USED, WEIGHT } from './shares.js';

const BLOCK = 0x1000;
const MOST = 8;
const SHARES = 0x100;
const PLACES = SHARES + MOST * 8 * SHARE_DOUBLES;
/** Where the header's words are. */
const HEADER = { seats: 0x10, places: 0x14, clock: 0x18 };
/** How long a step of the clock is (ms): a turn of a hart. */
const STEP = 0.1;

interface Guest {
  readonly weight: number;
  readonly cpu?: number;
  readonly harts?: number;
  /** It computes for so long, and sleeps for so long, over and over (ms); else it never sleeps. */
  readonly works?: number;
  readonly sleeps?: number;
  /** Its harts look whether their time is over only so often (ms). */
  readonly turn?: number;
  /** From when to when it is there (ms). */
  readonly from?: number;
  readonly until?: number;
}

interface Hart {
  readonly h: number;
  readonly guest: Guest;
  /** What is left of its work, and when it wakes if it sleeps (ms). */
  work: number;
  wakes: number;
  /** When it looked last. */
  looked: number;
}

interface Outcome {
  /** Harts' worth of time that each had. */
  readonly had: readonly number[];
  /** The longest that any hart of each waited for a seat after it woke (ms). */
  readonly waited: readonly number[];
}

/** Runs guests on so many seats for a time, and counts from `after` on (ms). */
function run(guests: readonly Guest[], { seats = 1, time = 2000, after = 0 } = {}): Outcome {
  const buffer = new SharedArrayBuffer((1 + 2 * MOST) * BLOCK);
  const all = new Int32Array(buffer);
  const words = new AtomicWords(all);
  const shares = new Shares(buffer, HEADER, SHARES, PLACES);
  all[HEADER.seats >>> 2] = seats;
  const harts: Hart[] = [];
  guests.forEach((guest, index) => {
    shares.set(index, WEIGHT, guest.weight);
    shares.set(index, CPU, guest.cpu ?? Infinity);
    shares.set(index, BUCKET, shares.bucketOf(guest.cpu ?? Infinity));
    for (let n = 0; n < (guest.harts ?? 1); n++) {
      const h = (1 + harts.length) * BLOCK;
      shares.setMember(harts.length, h, index);
      harts.push({ h, guest, work: guest.works ?? Infinity, wakes: guest.from ?? 0, looked: 0 });
      all[HEADER.places >>> 2] = harts.length;
    }
  });
  const rings: number[] = [];
  const seat = ({ h }: Hart): number => words.load(h + S.SEAT);
  const waited = guests.map(() => 0);
  const before: number[] = [];
  let now = 0;
  const want = (hart: Hart): void => {
    shares.account(now, words);
    if (seat(hart) === S.SEAT_NONE) shares.arrive(hart.h, words);
    if (seat(hart) !== S.SEAT_WANTED) shares.queue(hart.h);
    wantSeat(hart.h, shares, words, rings);
  };
  const leave = (hart: Hart): void => {
    shares.account(now, words);
    leaveSeat(hart.h, shares, words, rings);
  };
  for (; now < time; now += STEP) {
    if (now >= after && before.length === 0) guests.forEach((_, i) => before.push(shares.get(i, USED)));
    harts.forEach((hart, place) => {
      const { works = Infinity, sleeps = 0, turn = 0, until = Infinity } = hart.guest;
      const state = seat(hart);
      if (state === S.SEAT_NONE) {
        if (now >= hart.wakes && now < until) want(hart);
        return;
      }
      if (now >= until) return leave(hart);
      if (state === S.SEAT_WANTED) {
        hart.looked = now;
        const index = guests.indexOf(hart.guest);
        if (now >= after && sleeps > 0) waited[index] = Math.max(waited[index], now - hart.wakes);
        // As a thread that waits does when its bucket is half full.
        if (hart.guest.cpu !== undefined) want(hart);
        return;
      }
      hart.work -= STEP;
      if (hart.work <= 0) {
        hart.work = works;
        hart.wakes = now + sleeps;
        leave(hart);
      } else if (now - hart.looked >= turn && (state === S.SEAT_LEAVE || now >= shares.sliceEnd(place))) {
        hart.looked = now;
        want(hart);
      }
    });
  }
  shares.account(now, words);
  return { had: guests.map((_, i) => (shares.get(i, USED) - before[i]) / (time - after)), waited };
}

function near(had: readonly number[], expected: readonly number[], within = 0.02): void {
  had.forEach((n, i) =>
    assert.ok(
      Math.abs(n - expected[i]) <= within,
      `${had.map((x) => x.toFixed(4)).join(', ')} for ${expected.join(', ')}`,
    ),
  );
}

test('those that compute have time as their weights say, from the first second on', () => {
  near(run([{ weight: 300 }, { weight: 100 }], { time: 1000 }).had, [0.75, 0.25]);
  near(run([{ weight: 4 }, { weight: 3 }, { weight: 2 }, { weight: 1 }], { time: 1000 }).had, [0.4, 0.3, 0.2, 0.1]);
  near(run([{ weight: MAX_WEIGHT }, { weight: 1 }]).had, [1, 0], 0.004);
  near(run(Array.from({ length: 8 }, () => ({ weight: 7 }))).had, new Array<number>(8).fill(1 / 8));
});

test('one that comes later has its share from then on, and no more', () => {
  near(run([{ weight: 1 }, { weight: 1, from: 3000 }], { time: 4000, after: 3000 }).had, [0.5, 0.5]);
  // Nor has one that was alone for long, and slept, anything to make up for.
  near(
    run(
      [
        { weight: 1, until: 2900 },
        { weight: 1, from: 2950 },
        { weight: 1, from: 3000 },
      ],
      { time: 4000, after: 3000 },
    ).had,
    [0, 0.5, 0.5],
  );
});

test('what one does not want the others have', () => {
  near(run([{ weight: MAX_WEIGHT, works: 1, sleeps: 9 }, { weight: 1 }]).had, [0.1, 0.9], 0.01);
  near(run([{ weight: 100, works: 1, sleeps: 19 }, { weight: 300 }, { weight: 100 }]).had, [0.05, 0.7125, 0.2375]);
});

test('sleeping earns nothing', () => {
  // It wants more than its half, and sleeps for a moment again and again.
  const { had } = run([{ weight: 1, works: 2, sleeps: 0.2 }, { weight: 1 }]);
  assert.ok(had[0] < 0.52, had.join(' and '));
  const much = run([{ weight: 1, works: 20, sleeps: 0.2 }, { weight: 1 }]).had;
  assert.ok(much[0] < 0.52, much.join(' and '));
});

test('a turn that takes long is paid for, asleep or not', () => {
  // One turn more or less is a hundredth of the time.
  for (const turn of [20, 50, 200]) {
    const [time, after] = [1000 + 100 * turn, 1000];
    const long = { weight: 100, works: turn - 0.1, sleeps: 0.2, turn };
    near(run([{ weight: 100 }, long], { time, after }).had, [0.5, 0.5]);
    near(run([{ weight: 100 }, { weight: 100, turn }], { time, after }).had, [0.5, 0.5]);
    near(run([{ weight: 300 }, { weight: 100 }, long], { time, after }).had, [0.6, 0.2, 0.2]);
  }
});

test('what one had while nobody else wanted it need not be made up for', () => {
  // The second comes while the first sleeps, which is back while the second computes.
  const first = { weight: 1, works: 900, sleeps: 200 };
  near(run([first, { weight: 1, from: 1000 }], { time: 1600, after: 1100 }).had, [0.5, 0.5]);
});

test('one that wakes and wants less than its share has a seat at once, whatever it weighs', () => {
  for (const weight of [20, 100, MAX_WEIGHT]) {
    const { waited } = run([{ weight, works: 0.3, sleeps: 4.7 }, { weight: 100 }, { weight: 100 }], { after: 100 });
    assert.ok(waited[0] <= 3 * STEP, `${waited[0]} ms at a weight of ${weight}`);
  }
});

test('a limit holds, alone and beside others', () => {
  near(run([{ weight: 1, cpu: 0.5 }]).had, [0.5]);
  near(run([{ weight: 1, cpu: 0.05 }]).had, [0.05], 0.005);
  near(run([{ weight: MAX_WEIGHT, cpu: 0.2 }, { weight: 1 }]).had, [0.2, 0.8]);
  // One whose share is less than its limit has its share.
  near(run([{ weight: 1, cpu: 0.5 }, { weight: 3 }]).had, [0.25, 0.75]);
  // One of two harts, on two seats.
  near(run([{ weight: 1, cpu: 1.5, harts: 2 }], { seats: 2 }).had, [1.5], 0.03);
});

test('beside one at its limit those that wake wait no longer', () => {
  const { waited } = run([{ weight: 100, works: 0.3, sleeps: 4.7 }, { weight: 1 }, { weight: 100, cpu: 0.1 }], {
    time: 5000,
    after: 100,
  });
  assert.ok(waited[0] <= 3 * STEP, `${waited[0]} ms`);
});

test('several seats: nobody has more than its harts can use, and the rest is the others’', () => {
  near(run([{ weight: 6 }, { weight: 1 }, { weight: 1 }], { seats: 2 }).had, [1, 0.5, 0.5]);
  near(run([{ weight: 1, harts: 2 }, { weight: 1 }], { seats: 2 }).had, [1, 1], 0.05);
  near(run([{ weight: 3, harts: 2 }, { weight: 1 }, { weight: 1 }], { seats: 2 }).had, [1.2, 0.4, 0.4]);
  const [heavy, three, one] = [1000, 300, 100].map((weight) => ({ weight }));
  near(run([heavy, heavy, three, one], { seats: 3 }).had, [1, 1, 0.75, 0.25]);
  near(run([{ weight: 400 }, { weight: 400 }, three, one], { seats: 3 }).had, [1, 1, 0.75, 0.25]);
  near(run([...new Array<Guest>(5).fill(heavy), three, one], { seats: 6 }).had, [1, 1, 1, 1, 1, 0.75, 0.25]);
  near(run([heavy, { ...three, harts: 2 }, { ...one, harts: 2 }], { seats: 2 }).had, [1, 0.75, 0.25]);
  near(run([{ weight: 1000, harts: 2 }, heavy, three, one], { seats: 4 }).had, [2, 1, 0.75, 0.25], 0.04);
});

test('what one could not use with several seats is not kept for later', () => {
  // For three seconds the first could use less than its share; then there are many.
  const late = Array.from({ length: 4 }, () => ({ weight: 1, from: 3000 }));
  const { had } = run([{ weight: 5 }, { weight: 1 }, ...late], { seats: 2, time: 5000, after: 3100 });
  near(had, [1, 0.2, 0.2, 0.2, 0.2, 0.2]);
});
