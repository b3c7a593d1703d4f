import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TURN, Turns, type TurnTaker } from './turns.js';

/** Somebody who always has more to do. */
class Greedy implements TurnTaker {
  slices = 0;
  longest = 0;
  constructor(
    readonly turns: Turns,
    public on = true,
  ) {}
  work(): void {
    this.slices++;
    const start = performance.now();
    while (this.turns.credit-- >= 0 || this.turns.renew());
    this.longest = Math.max(this.longest, performance.now() - start);
    if (this.on) this.turns.later(this);
  }
}

const wait = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

test('with nobody waiting, work is done at once', () => {
  const turns = new Turns((run) => setImmediate(run));
  let done = 0;
  turns.want({ work: () => done++ });
  assert.equal(done, 1);
});

test('who always has more leaves the event loop its turns, and others their slices', async () => {
  const turns = new Turns((run) => setImmediate(run));
  const takers = Array.from({ length: 3 }, () => new Greedy(turns));
  for (const taker of takers) turns.want(taker);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  await wait(400);
  clearInterval(timer);
  for (const taker of takers) taker.on = false;
  // Each loop is one turn: on a machine that is shared it takes longer, but then for all of them.
  assert.ok(ticks > 400 / (4 * TURN), `${ticks} ticks of a timer`);
  const slices = takers.map((taker) => taker.slices);
  assert.ok(Math.max(...slices) - Math.min(...slices) <= 2, `slices ${String(slices)}`);
});

test('when the slice is over no credit is given until the event loop has gone round', async () => {
  const turns = new Turns((run) => setImmediate(run));
  let after = true;
  const end = performance.now() + TURN + 1;
  assert.ok(turns.renew());
  while (performance.now() < end);
  after = turns.renew();
  assert.equal(after, false);
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(turns.renew());
});

test('what one taker throws leaves the others their turn', async () => {
  const pending: (() => void)[] = [];
  const turns = new Turns((run) => pending.push(run));
  let done = 0;
  turns.later({
    work: () => {
      throw new Error('broken');
    },
  });
  turns.later({ work: () => done++ });
  assert.throws(() => pending.shift()?.(), /broken/);
  pending.shift()?.();
  assert.equal(done, 1);
  await Promise.resolve();
});
