/** Domains whose processes come and go while they are moved. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { readText } from '../../src/domain/linux/os.js';
import { launch, type RunningDomain } from '../../src/domain/tree/launch.js';
import { compile } from '../testing/compile.js';
import { nextLine, Stage } from '../domain/stage.js';
import { assertLives, belongings, turnOf } from '../domain/undone.js';

const FILES = 600;
const HOPS = 4;
/** How much longer than at rest: the machine may be busy. */
const MOST_TIMES = 3;
/** What may be added to that, in milliseconds; where there is no moment without children, their making too. */
const MORE_MS = 300;
const BIRTHS_MS = 1000;

let stage: Stage;
before(async () => {
  const { forks } = compile('test/programs/changing', ['forks']);
  assert.ok(forks);
  stage = await Stage.open({ '/opt/forks': { data: forks, mode: 0o755 } });
});
after(() => stage?.close());

async function start(name: string, begetting: number, rest: number): Promise<RunningDomain> {
  const argv = ['/opt/forks', `${FILES}`, `${begetting}`, `${rest}`] as const;
  const domain = await launch(stage.sides[0].hands, { name }, { argv, output: `/tmp/${name}.out` });
  await nextLine(domain.hands, `/tmp/${name}.out`);
  return domain;
}

async function end(domain: RunningDomain): Promise<void> {
  await domain.anchor.cgroup.kill();
  await domain.anchor.cgroup.remove();
}

/** Moves a domain a few times; how long it stood still at the median, in milliseconds. */
async function pauseOf(name: string, begetting: number, rest: number): Promise<number> {
  let domain = await start(name, begetting, rest);
  const output = `/tmp/${name}.out`;
  const pauses: number[] = [];
  const attempts: number[] = [];
  for (let hop = 0; hop < HOPS; hop++) {
    const line = await nextLine(domain.hands, output);
    const moved = await stage.move(domain);
    ({ domain } = moved);
    pauses.push(Math.round(moved.report.pauseMs));
    attempts.push(moved.report.attempts);
    const next = await nextLine(domain.hands, output, line);
    assert.ok(turnOf(await nextLine(domain.hands, output, next)) > turnOf(line), 'it counts on');
  }
  assert.doesNotMatch((await readText(domain.hands, output)) ?? '', /broken/, 'no process of it found fault');
  await end(domain);
  console.log(`${name}: ${pauses.join(', ')} ms at attempt ${attempts.join(', ')}`);
  return pauses.sort((a, b) => a - b)[Math.floor((HOPS - 1) / 2)] ?? Infinity;
}

test('a domain with many files in which children come and go stands still about as long as at rest', async () => {
  const still = await pauseOf('still', 0, 0);
  for (const [name, begetting, rest, more] of [
    ['now-and-then', 1, 30, MORE_MS],
    ['always', 4, 0, BIRTHS_MS],
  ] as const) {
    const pause = await pauseOf(name, begetting, rest);
    assert.ok(pause <= MOST_TIMES * still + more, `${name}: ${pause} ms, at rest ${still} ms`);
  }
});

test('a failure at any step of a move, also after others that were tried, leaves nothing', async () => {
  const domain = await start('undone', 4, 0);
  await stage.move(domain, (s) => assert.notEqual(s, 'resume', 'injected')).catch(() => undefined);
  const has = await belongings(stage, domain);
  // Some are done again each time that others have come or gone.
  for (const [step, time] of [
    ['bear', 1],
    ['bear', 2],
    ['freeze', 2],
    ['describe', 1],
    ['files', 1],
    ['resume', 1],
  ] as const) {
    let left: number = time;
    const failing = stage.move(domain, (s) => {
      if ((s === step && --left === 0) || s === 'resume') throw new Error('injected');
    });
    await assert.rejects(failing, /injected/);
    await assertLives(stage, domain, `after a failure at ${step}`);
    assert.deepEqual(await belongings(stage, domain), has, `nothing is left after ${step}`);
  }
  await end(domain);
});
