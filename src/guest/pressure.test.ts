import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ease, press, STEP, type Holder } from './pressure.js';

const holder = fc
  .record({
    size: fc.integer({ min: 0, max: 200_000 }),
    guaranteed: fc.integer({ min: 0, max: 250_000 }),
    resident: fc.integer({ min: 0, max: 200_000 }),
    ceiling: fc.integer({ min: 0, max: 200_000 }),
    reclaimable: fc.option(fc.integer({ min: -100, max: 250_000 }), { nil: undefined }),
  })
  .map(({ size, guaranteed, resident, ceiling, reclaimable }): Holder => {
    // A ceiling lies between guarantee and size.
    const least = Math.min(guaranteed, size);
    return {
      size,
      guaranteed,
      resident: Math.min(resident, size),
      ceiling: least + (ceiling % (size - least + 1)),
      reclaimable,
    };
  });
const holders = fc.array(holder, { maxLength: 8 });
const wanted = fc.integer({ min: -1000, max: 300_000 });
const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);

void test('pressing: nobody below the guarantee, no step too large, not more than is wanted, and something if anybody has it', () => {
  fc.assert(
    fc.property(wanted, fc.boolean(), holders, (frames, isUrgent, list) => {
      const after = press(frames, isUrgent, list);
      list.forEach((h, i) => {
        const asked = h.ceiling - (after[i] ?? NaN);
        assert.ok(asked >= 0, 'a ceiling only comes down');
        assert.ok((after[i] ?? NaN) >= Math.min(h.guaranteed, h.size), 'the guarantee');
        if (asked > 0) assert.ok(h.resident - (after[i] ?? NaN) <= STEP, 'what it owes is at most a step');
      });
      const owed = sum(list.map((h) => Math.max(0, h.resident - h.ceiling)));
      const owes = sum(list.map((h, i) => Math.max(0, h.resident - (after[i] ?? NaN))));
      // Rounded up for each.
      assert.ok(owes <= Math.max(owed, frames + list.length));
      const able = list.some((h) => Math.min(h.resident, h.ceiling) > h.guaranteed && h.resident - h.ceiling < STEP);
      if (frames > owed && able && isUrgent && list.every((h) => (h.reclaimable ?? 0) < STEP)) {
        assert.ok(owes > owed, 'somebody is asked');
      }
    }),
    { numRuns: 2000, seed: 3 },
  );
});

void test('whatever those who do not follow say, have and owe, the others are asked as if there were none of them', () => {
  const mixed = fc.array(fc.tuple(holder, fc.boolean()), { maxLength: 8 });
  fc.assert(
    fc.property(wanted, fc.boolean(), mixed, (frames, isUrgent, list) => {
      const all = list.map(([h, heedless]) => ({ ...h, heedless }));
      const after = press(frames, isUrgent, all);
      const others = all.filter(({ heedless }) => !heedless);
      assert.deepEqual(
        after.filter((_, i) => !all[i]?.heedless),
        press(frames, isUrgent, others),
      );
      all.forEach((h, i) => h.heedless && assert.equal(after[i], h.ceiling));
    }),
    { numRuns: 2000, seed: 12 },
  );
});

void test('as long as somebody who follows could free some, nobody who uses what he has is asked, urgent as it may be', () => {
  const one = { resident: 60_000, guaranteed: 1000, size: 60_000, ceiling: 60_000 };
  const gives = { ...one, ceiling: 60_000 - STEP, reclaimable: 60_000 };
  assert.deepEqual(press(3 * STEP, true, [gives, one]), [gives.ceiling, 60_000]);
  assert.deepEqual(press(3 * STEP, true, [{ ...gives, heedless: true }, one]), [gives.ceiling, 60_000 - STEP]);
});

void test('who could free some is asked first; who uses all of it only where it is urgent, and nobody else could', () => {
  const one = { resident: 60_000, guaranteed: 10_000, size: 80_000, ceiling: 80_000 };
  const [keeps, uses, silent] = [{ ...one, reclaimable: STEP }, { ...one, reclaimable: STEP - 1 }, one];
  for (const isUrgent of [false, true]) {
    assert.deepEqual(press(30_000, isUrgent, [keeps, uses, silent]), [60_000 - STEP, 80_000, 80_000]);
  }
  assert.deepEqual(press(30_000, false, [uses, silent]), [80_000, 80_000]);
  assert.deepEqual(press(30_000, true, [uses, silent]), [60_000 - STEP, 60_000 - STEP]);
  // What it was asked for already it has not freed yet.
  assert.deepEqual(press(30_000, false, [{ ...keeps, ceiling: 60_000 - STEP }]), [60_000 - STEP]);
});

void test('easing: never above the size, never more than there is, all of it where there is enough', () => {
  fc.assert(
    fc.property(wanted, holders, (frames, list) => {
      const after = ease(frames, list);
      const given = list.map((h, i) => (after[i] ?? NaN) - h.ceiling);
      given.forEach((count, i) => assert.ok(count >= 0 && (after[i] ?? NaN) <= (list[i]?.size ?? 0)));
      assert.ok(sum(given) <= Math.max(0, frames));
      const missing = sum(list.map((h) => h.size - h.ceiling));
      if (frames >= missing) list.forEach((h, i) => assert.equal(after[i], h.size));
    }),
    { numRuns: 2000, seed: 4 },
  );
});

void test('guests that follow: what is wanted comes free in the end, each gives by what it has beyond its guarantee, and gets it back', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100_000 }),
      fc.array(holder, { minLength: 1, maxLength: 6 }),
      (frames, list) => {
        const now = list.map((h) => ({ ...h, ceiling: h.size }));
        const most = sum(now.map((h) => Math.max(0, h.resident - h.guaranteed)));
        let free = 0;
        for (let round = 0; round < 2000 && free < Math.min(frames, most); round++) {
          press(frames - free, true, now).forEach((ceiling, i) => {
            const h = now[i];
            if (h === undefined) return;
            const resident = Math.min(h.resident, ceiling);
            free += h.resident - resident;
            const reclaimable = h.reclaimable && h.reclaimable - (h.resident - resident);
            now[i] = { ...h, ceiling, resident, reclaimable };
          });
        }
        assert.ok(free >= Math.min(frames, most), `${free} of ${Math.min(frames, most)}`);
        assert.ok(free <= frames + list.length, 'and no more');
        const back = ease(Infinity, now);
        assert.deepEqual(
          back,
          now.map((h) => h.size),
        );
      },
    ),
    { numRuns: 300, seed: 6 },
  );
});
