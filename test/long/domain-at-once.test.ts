import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, type RunningDomain } from '../../src/domain/tree/launch.js';
import { compilePrograms } from '../domain/programs.js';
import { nextLine, Stage } from '../domain/stage.js';
import { assertLives } from '../domain/undone.js';

const MANY = 10;

let stage: Stage;
before(async () => {
  const { counter } = compilePrograms(['counter']);
  stage = await Stage.open({ '/opt/counter': { data: counter, mode: 0o755 } });
});
after(() => stage?.close());

async function start(name: string): Promise<RunningDomain> {
  const domain = await launch(stage.sides[0].hands, { name }, { argv: ['/opt/counter'], output: `/tmp/${name}.out` });
  await nextLine(domain.hands, `/tmp/${name}.out`);
  return domain;
}

test('domains that are moved at the same time move one after the other, each as if alone, there and back', async () => {
  const names = Array.from({ length: MANY }, (_, i) => `at-once-${i}`);
  let domains = await Promise.all(names.map(start));
  const alone = await stage.move(domains[0]);
  domains[0] = alone.domain;

  const order: string[] = [];
  const moveAll = (): Promise<RunningDomain[]> =>
    Promise.all(
      domains.map(async (domain) => {
        const { domain: moved, report } = await stage.move(
          domain,
          (step) => void order.push(`${domain.spec.name} ${step}`),
        );
        assert.equal(report.attempts, 1 + report.frozenAgain.length);
        // Ten that compute have two harts: they may not all come to stand still in time. Nothing else is a reason.
        for (const why of report.frozenAgain) assert.match(why, /a wait that cannot be interrupted/);
        return moved;
      }),
    );
  // One of them goes the other way meanwhile.
  domains = await moveAll();
  const changes = order.filter((line, i) => line.split(' ')[0] !== order[i - 1]?.split(' ')[0]).length;
  assert.equal(changes, MANY, 'no step of one move comes between those of another');
  domains = await moveAll();
  for (const domain of domains) await assertLives(stage, domain, 'after three moves');
  for (const domain of domains) await domain.anchor.cgroup.kill();
});

test('a move that fails makes room for the next', async () => {
  const [one, other] = await Promise.all([start('fails-first'), start('moves-then')]);
  const [failed, moved] = await Promise.allSettled([
    stage.move(one, (step) => {
      if (step === 'files') throw new Error('injected');
    }),
    stage.move(other),
  ]);
  assert.equal(failed.status, 'rejected');
  assert.equal(moved.status, 'fulfilled');
  await assertLives(stage, one, 'where it was');
  if (moved.status === 'fulfilled') await assertLives(stage, moved.value.domain, 'where it went');
});
