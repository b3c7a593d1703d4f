/** How long a domain with very much of something stands still: in proportion, no more. */
import assert from 'node:assert/strict';
import { launch, type RunningDomain } from '../../src/domain/tree/launch.js';
import { readText } from '../../src/domain/linux/os.js';
import { compilePrograms } from './programs.js';
import { nextLine, Stage } from './stage.js';
import { turnOf } from './undone.js';

/** The shorter of two pauses counts: the machine may be busy. */
const HOPS = 2;
/** What many may cost, and how much more than a tenth of them. The machine may be busy. */
const MOST_MS = 5000;
const MOST_TIMES = 15;

/** Two systems with the domains that have many of something. */
export function openStage(memory: readonly [number, number] = [512, 512]): Promise<Stage> {
  const programs = compilePrograms(['mappings', 'many']);
  return Stage.open(
    Object.fromEntries(Object.entries(programs).map(([n, data]) => [`/opt/${n}`, { data, mode: 0o755 }])),
    memory,
  );
}

/** `count` of something, and a tenth of them. Throws where many cost too much. */
export async function assertInProportion(stage: Stage, program: string, args: string[], count: number): Promise<void> {
  const name = [program, ...args].join('-');
  const few = await shortestPause(stage, `few-${name}`, program, ...args, String(count / 10));
  const many = await shortestPause(stage, `many-${name}`, program, ...args, String(count));
  assert.ok(many < MOST_MS, `it stood still for ${many} ms`);
  assert.ok(many < MOST_TIMES * few, `${many} ms, and ${few} ms with a tenth of them`);
}

/** Moves a new domain there and back a few times; answers how long it stood still at best, in milliseconds. */
export async function shortestPause(stage: Stage, name: string, program: string, ...args: string[]): Promise<number> {
  let domain: RunningDomain = await launch(
    stage.sides[0].hands,
    { name },
    { argv: [`/opt/${program}`, ...args], output: `/tmp/${name}.out` },
  );
  let line = await nextLine(domain.hands, `/tmp/${name}.out`);
  let shortest = Infinity;
  for (let hop = 0; hop < HOPS; hop++) {
    const moved = await stage.move(domain);
    domain = moved.domain;
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
