/** The monitor steps in between a real operating system and its devices, and away, while they work. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OF_TIME } from '../src/faces/cli/demo/io/result.js';
import { check, runLoad, summary, type Load } from './interposition/workload.js';

/** What a kernel has said since it began to run programs, whatever the numbers in it. */
function shape(lines: readonly string[]): string[] {
  const begin = lines.findIndex((line) => line.startsWith('Run /init'));
  assert.ok(begin >= 0, lines.join('\n'));
  return lines
    .slice(begin)
    .filter((line) => !OF_TIME.test(line))
    .map((line) => line.replace(/[0-9a-f]+/g, '#'))
    .sort();
}

test(
  'a hundred switches of disk, network card, console and entropy at random moments: nothing is lost, nothing is noticed',
  { timeout: 240_000 },
  async (t) => {
    for (const harts of [1, 2]) {
      const still: Load = { harts, rounds: 1500, mebibytes: 12, kinds: [], pause: () => 0 };
      const load: Load = {
        ...still,
        kinds: ['disk', 'nic', 'console', 'entropy'],
        pause: () => 5 + Math.random() * 60,
      };
      const without = await runLoad(still);
      check(without, still);
      const run = await runLoad(load);
      check(run, load);
      assert.ok(run.switches >= 50, `${run.switches} switches`);
      // Status and features, as the drivers have them, and not one line of the log more.
      const states = (text: string): string[] => text.match(/^0x[0-9a-f]{8}\r?$|^[01]{64}\r?$/gm) ?? [];
      assert.deepEqual(states(run.text), states(without.text));
      assert.ok(states(run.text).length >= 8);
      assert.deepEqual(shape(run.log), shape(without.log));
      t.diagnostic(
        `${harts} harts, ${run.switches} switches: wait ${summary(run.waitMs)} ms, switch ${summary(run.switchMs)} ms`,
      );
    }
  },
);
