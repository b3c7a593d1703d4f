/** Where frames are taken from: whoever has many and gives some back leaves room for what needs them in a row. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Frames } from './frames.js';

const FIRST = 3;

void test('single frames and runs never are anybody else’s; as long as single ones take what is loose, what is kept for runs is in a row', () => {
  const step = fc.record({
    what: fc.constantFrom('take', 'take', 'give', 'thin out', 'run', 'end run', 'add'),
    n: fc.integer({ min: 1, max: 40 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const end = FIRST + 400;
      const frames = new Frames(new Uint8Array(end * 4096), FIRST, end);
      frames.withhold(100);
      const kept = 60;
      frames.keepForRuns(kept);
      let single: number[] = [];
      const runs: [number, number][] = [];
      let inRuns = 0;
      const mine = new Set<number>();
      const take = (frame: number): void => {
        assert.ok(frame >= FIRST && frame < frames.there && !mine.has(frame));
        mine.add(frame);
      };
      const give = (frame: number): void => {
        frames.release(frame);
        mine.delete(frame);
      };
      for (const { what, n } of steps) {
        if (what === 'take') {
          const got = frames.allocate(Math.min(n * 8, frames.loose));
          got.forEach(take);
          single.push(...got);
        } else if (what === 'give') single.splice(0, n).forEach(give);
        else if (what === 'thin out') {
          single.filter((_, i) => i % n !== 0).forEach(give);
          single = single.filter((_, i) => i % n === 0);
        } else if (what === 'run' && inRuns + n <= kept) {
          // Of one length, so that runs leave no holes for each other.
          const length = 10;
          if (inRuns + length > kept) continue;
          const first = frames.allocateRun(length);
          for (let frame = first; frame < first + length; frame++) take(frame);
          runs.push([first, length]);
          inRuns += length;
        } else if (what === 'end run') {
          const [run] = runs.splice(n % Math.max(1, runs.length), 1);
          if (run === undefined) continue;
          frames.releaseRun(...run);
          for (let frame = run[0]; frame < run[0] + run[1]; frame++) mine.delete(frame);
          inRuns -= run[1];
        } else if (what === 'add') {
          const count = Math.min(n, end - frames.there);
          frames.add(count);
        }
        assert.equal(frames.free, frames.total - mine.size);
        assert.ok(frames.loose <= Math.max(0, frames.available - (kept - inRuns)));
      }
    }),
    { numRuns: 500, seed: 11 },
  );
});

void test('who had all that is loose and gives most of it back, leaving holes, has not taken what is kept for runs', () => {
  const frames = new Frames(new Uint8Array(1000 * 4096), 0, 1000);
  frames.keepForRuns(300);
  const all = frames.allocate(frames.loose);
  assert.deepEqual([all.length, frames.loose, frames.available], [700, 0, 300]);
  all.forEach((frame, i) => {
    if (i % 8 !== 0) frames.release(frame);
  });
  const run = frames.allocateRun(256);
  assert.equal(run, 0);
  assert.throws(() => frames.allocateRun(100), { code: 'no-frames' }, 'what lies beyond is full of holes');
  frames.releaseRun(run, 256);
  assert.equal(frames.allocateRun(300), 0);
});
