import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HaltPoll, MOST } from './halt-poll.js';

const quiet = new Int32Array(new SharedArrayBuffer(8));
const signalled = Int32Array.of(0, 7);

void test('who has slept long, or not yet, does not look', () => {
  const poll = new HaltPoll();
  assert.equal(poll.look(signalled, 1, Infinity), false);
  poll.slept(MOST / 2);
  assert.equal(poll.look(signalled, 1, Infinity), true);
  poll.slept(10);
  assert.equal(poll.window, 0);
  assert.equal(poll.look(signalled, 1, Infinity), false);
});

void test('short sleeps make it look longer, up to a bound', () => {
  const poll = new HaltPoll();
  let before = 0;
  for (let i = 0; i < 20; i++) {
    poll.slept(MOST / 2);
    assert.ok(poll.window >= before && poll.window > 0 && poll.window <= MOST);
    before = poll.window;
  }
  assert.equal(poll.window, MOST);
});

void test('it looks as long as it says, and no longer than the timer allows', () => {
  const poll = new HaltPoll();
  for (let i = 0; i < 20; i++) poll.slept(0);
  const looks = (milliseconds: number): number => {
    let best = Infinity;
    for (let i = 0; i < 20; i++) {
      const start = performance.now();
      assert.equal(poll.look(quiet, 0, milliseconds), false);
      best = Math.min(best, performance.now() - start);
    }
    return best;
  };
  const whole = looks(Infinity);
  assert.ok(whole >= MOST && whole < 10 * MOST, `${whole} ms`);
  assert.ok(looks(0.01) < MOST);
  assert.equal(poll.look(signalled, 1, 0), false, 'the timer is due');
});

void test('a guest that wakes up now and then spends next to nothing on looking', () => {
  const poll = new HaltPoll();
  // A pair of wake-ups close to each other, ten times a second.
  let looking = 0;
  for (let i = 0; i < 1000; i++) {
    for (const sleep of [100, 0.1]) {
      if (sleep > poll.window) looking += poll.window;
      poll.slept(sleep);
    }
  }
  assert.ok(looking <= 1000 * MOST * 0.1, `${looking} ms in 100 s`);
});
