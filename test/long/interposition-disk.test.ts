// Ten thousand switches of a disk whose blocks two harts write and verify, and what they cost.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check, percentile, runLoad, summary, type Load } from '../interposition/workload.js';

const SWITCHES = 10_000;
/** Now and then at once, mostly a moment later. */
const pause = (): number => (Math.random() < 0.5 ? 0 : Math.random() * 3);

/** Loose, for a machine that does much else; what is measured is said. */
function checkTimes(switchMs: readonly number[]): void {
  assert.ok(percentile(switchMs, 0.5) < 1, summary(switchMs));
  assert.ok(percentile(switchMs, 0.99) < 20, summary(switchMs));
}

test('10,000 switches of a disk under verified writes with flushes', { timeout: 900_000 }, async (t) => {
  const load: Load = { harts: 2, rounds: 40_000, mebibytes: 16, kinds: ['disk'], pause, most: SWITCHES };
  const run = await runLoad(load);
  check(run, load);
  assert.equal(run.switches, SWITCHES);
  checkTimes(run.switchMs);
  assert.doesNotMatch(run.text, /i\/o error|reset|timed? ?out/i);
  t.diagnostic(`wait ${summary(run.waitMs)} ms, switch ${summary(run.switchMs)} ms`);
});
