/** Domains with very much of something: the time they stand still grows in proportion, no faster. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, type RunningDomain } from '../src/domain/tree/launch.js';
import { readText } from '../src/domain/linux/os.js';
import { compilePrograms } from './domain/programs.js';
import { nextLine, Stage } from './domain/stage.js';
import { turnOf } from './domain/undone.js';

let stage: Stage;
before(async () => {
  const programs = compilePrograms(['mappings', 'many']);
  stage = await Stage.open(
    Object.fromEntries(Object.entries(programs).map(([n, data]) => [`/opt/${n}`, { data, mode: 0o755 }])),
    [512, 512],
  );
});
after(() => stage?.close());

/** Moves a new domain there and back a few times; answers how long it stood still at best, in milliseconds. */
async function shortestPause(name: string, program: string, ...args: string[]): Promise<number> {
  let domain: RunningDomain = await launch(
    stage.sides[0].hands,
    { name },
    { argv: [`/opt/${program}`, ...args], output: `/tmp/${name}.out` },
  );
  let line = await nextLine(domain.hands, `/tmp/${name}.out`);
  let shortest = Infinity;
  for (let hop = 0; hop < 3; hop++) {
    const moved = await stage.move(domain);
    domain = moved.domain;
    if (process.env['TELL']) console.log(name, moved.report.pauseMs, JSON.stringify(moved.report.pauseParts));
    shortest = Math.min(shortest, moved.report.pauseMs);
    const next = await nextLine(domain.hands, `/tmp/${name}.out`, line);
    assert.ok(turnOf(next) > turnOf(line), `it counts on: ${next}`);
    line = next;
  }
  assert.doesNotMatch((await readText(domain.hands, `/tmp/${name}.out`)) ?? '', /broken/);
  await domain.anchor.cgroup.kill();
  await domain.anchor.cgroup.remove();
  return shortest;
}

/** What many may cost, and how much more than a tenth of them. The machine may be busy. */
const MOST_MS = 5000;
const MOST_TIMES = 15;

test('30,000 mappings', async () => {
  const few = await shortestPause('few', 'mappings', '3000');
  const many = await shortestPause('many', 'mappings', '30000');
  assert.ok(many < MOST_MS, `it stood still for ${many} ms`);
  assert.ok(many < MOST_TIMES * few, `${many} ms, and ${few} ms with a tenth of them`);
});

/** What else there can be many of; all within what one guest of this size holds. */
const THINGS = { eventfds: 2000, watched: 2000, threads: 1000, processes: 100, executable: 1000 };
for (const [what, count] of Object.entries(THINGS)) {
  test(`${count} ${what}`, async () => {
    const few = await shortestPause(`few-${what}`, 'many', what, String(count / 10));
    const many = await shortestPause(`many-${what}`, 'many', what, String(count));
    assert.ok(many < MOST_MS, `it stood still for ${many} ms`);
    assert.ok(many < MOST_TIMES * few, `${many} ms, and ${few} ms with a tenth of them`);
  });
}
