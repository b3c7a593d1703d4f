/** The reserve of frames: what somebody else does between any two steps of who takes one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PAGE_ABSENT, PAGE_PRESENT } from '../hart/state.js';
import { Reserve, RESERVE_FRAMES } from './reserve.js';

const AT = 4096;
/** Word indices of page map entries. */
const PAGE = 8;
const OTHER_PAGE = 9;
const FRAMES = [70, 71, 72];

type Operation = (...of: unknown[]) => unknown;
const OPERATIONS = ['load', 'store', 'add', 'sub', 'exchange', 'compareExchange'] as const;

/** Runs `work`, and `other` at once before its `step`-th atomic access; whether there were so many. */
function between(step: number, work: () => void, other: () => void): boolean {
  const atomics = Atomics as unknown as Record<string, Operation>;
  const real = OPERATIONS.map((name) => [name, atomics[name]] as const);
  const restore = (): void => real.forEach(([name, operation]) => (atomics[name] = operation));
  let left = step;
  for (const [name, operation] of real) {
    atomics[name] = (...of) => {
      if (left-- === 0) {
        restore();
        other();
      }
      return operation(...of);
    };
  }
  try {
    work();
  } finally {
    restore();
  }
  return left < 0;
}

/** Frames in the reserve, in order; those in the map are counted by the caller. */
function inReserve(reserve: Reserve): number[] {
  return reserve.drain(() => false).sort((a, b) => a - b);
}

function prepare(frames: readonly number[]): { words: Int32Array; reserve: Reserve; fill: (page?: number) => number } {
  const words = new Int32Array(new SharedArrayBuffer(2 * AT));
  words[PAGE] = words[OTHER_PAGE] = PAGE_ABSENT;
  const reserve = new Reserve(words, AT);
  reserve.put(frames);
  return { words, reserve, fill: (page = PAGE) => new Reserve(words, AT).fill(page) };
}

void test('two that fill the same page get the same frame, whatever the order of their steps', () => {
  let step = 0;
  for (let more = true; more; step++) {
    const { words, reserve, fill } = prepare(FRAMES);
    const entries: number[] = [];
    more = between(
      step,
      () => entries.push(fill()),
      () => entries.push(fill()),
    );
    if (!more) break;
    assert.deepEqual(entries, [words[PAGE], words[PAGE]], `step ${step}`);
    assert.equal(reserve.level, FRAMES.length - 1, `step ${step}`);
    assert.deepEqual([words[PAGE] >>> 8, ...inReserve(reserve)].sort(), FRAMES, `step ${step}`);
  }
  assert.ok(step > 5, `${step} steps`);
});

void test('two that fill two pages from the last frame: one gets it', () => {
  for (let step = 0; ; step++) {
    const { words, reserve, fill } = prepare([70]);
    const filled: number[] = [];
    const more = between(
      step,
      () => filled.push(fill(PAGE)),
      () => filled.push(fill(OTHER_PAGE)),
    );
    if (!more) break;
    // One that comes while the other has it in its hand may find nothing, and asks again.
    const got = [words[PAGE], words[OTHER_PAGE]].filter((entry) => (entry & PAGE_PRESENT) !== 0);
    assert.ok(got.length === 1 && got[0] >>> 8 === 70, `step ${step}`);
    assert.deepEqual(filled.sort(), [PAGE_ABSENT, got[0]].sort());
    assert.equal(reserve.level, 0);
  }
});

void test('frames that are taken out meanwhile go to nobody else', () => {
  for (let step = 0; ; step++) {
    const { words, reserve, fill } = prepare(FRAMES);
    const out: number[] = [];
    const more = between(
      step,
      () => fill(),
      () => {
        for (let frame = reserve.take(); frame !== 0; frame = reserve.take()) out.push(frame);
      },
    );
    if (!more) break;
    const mapped = (words[PAGE] & PAGE_PRESENT) === 0 ? [] : [words[PAGE] >>> 8];
    assert.deepEqual([...out, ...mapped, ...inReserve(reserve)].sort(), FRAMES, `step ${step}`);
  }
});

void test('a frame that a dead thread had in its hand is found, once, wherever it died', () => {
  for (let step = 0; ; step++) {
    const { words, reserve, fill } = prepare([70]);
    const dead = new Error('dead');
    let more = true;
    try {
      more = between(step, () => fill(), () => { throw dead; }); // prettier-ignore
    } catch (error) {
      assert.equal(error, dead);
    }
    if (!more) break;
    const mapped = (words[PAGE] & PAGE_PRESENT) === 0 ? [] : [words[PAGE] >>> 8];
    assert.deepEqual([...mapped, ...reserve.drain((frame) => mapped.includes(frame))], [70], `step ${step}`);
  }
});

void test('it asks once until it is looked at, holds so many, and says when there are none', () => {
  const { reserve, fill, words } = prepare([]);
  assert.ok(reserve.ask() && !reserve.ask());
  reserve.looking();
  reserve.looked(true, 4);
  assert.ok(reserve.none && reserve.ask());
  reserve.looking();
  reserve.put(Array.from({ length: 4 }, (_, i) => 100 + i));
  reserve.looked(false, 4);
  assert.ok(!reserve.none && !reserve.ask());
  assert.equal(fill() & 0xff, 3);
  assert.ok(reserve.ask(), 'below its mark');
  assert.ok(!reserve.takeWaits());
  reserve.waits();
  assert.ok(reserve.takeWaits() && !reserve.takeWaits());
  reserve.put(Array.from({ length: RESERVE_FRAMES - 3 }, (_, i) => 1000 + i));
  assert.throws(() => reserve.put([9]), RangeError);
  assert.equal(fill(PAGE), words[PAGE], 'a page that has a frame keeps it');
  assert.equal(reserve.level, RESERVE_FRAMES);
});
