/** Moves in which one call of the hands after the other is refused: the domain lives in one place, and nothing is left. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, type RunningDomain } from '../../src/domain/tree/launch.js';
import { reasonOf } from '../../src/remapping/tidying.js';
import { compilePrograms, programNames } from '../domain/programs.js';
import { nextLine, Stage } from '../domain/stage.js';
import { assertLives, belongings, moveSpoilt, spotsOf } from '../domain/undone.js';

// DOMAIN_PROGRAMS=tcp,unix runs some of them only.
const PROGRAMS = programNames(process.env['DOMAIN_PROGRAMS']?.split(',')).filter(
  (p) => !['refused', 'restless', 'mappings', 'many'].includes(p),
);

/** MOVE_STEPS=bear,finish spoils these steps only. */
const STEPS = process.env['MOVE_STEPS']?.split(',') ?? [];

let stage: Stage;
before(async () => {
  const programs = compilePrograms(PROGRAMS);
  stage = await Stage.open(
    Object.fromEntries(Object.entries(programs).map(([n, data]) => [`/opt/${n}`, { data, mode: 0o755 }])),
  );
});
after(() => stage?.close());

for (const program of PROGRAMS) {
  test(`${program}: whatever call is refused, it lives in one place and nothing is left`, async () => {
    let domain: RunningDomain = await launch(
      stage.sides[0].hands,
      { name: program },
      { argv: [`/opt/${program}`, program], output: `/tmp/${program}.out` },
    );
    await nextLine(domain.hands, `/tmp/${program}.out`);
    const first = await spotsOf(stage, domain);
    domain = first.domain;
    let has = await belongings(stage, domain);
    const faults: string[] = [];
    for (const spot of first.spots.filter(({ step }) => STEPS.length === 0 || STEPS.includes(step))) {
      const when = `after call ${spot.nr} was refused to the ${spot.side} in ${spot.step}`;
      const outcome = await moveSpoilt(stage, domain, spot);
      domain = outcome.domain;
      try {
        await assertLives(stage, domain, when);
        assert.deepEqual(await belongings(stage, domain), has, 'the hands have what they had');
      } catch (e) {
        faults.push(
          `${when}: ${String(e).slice(0, 600)} (the move: ${outcome.error === undefined ? 'done' : reasonOf(outcome.error)})`,
        );
        // What has ended says nothing any more, whatever is tried next.
        if (String(e).includes('nothing new')) break;
        has = await belongings(stage, domain);
      }
    }
    assert.deepEqual(faults, []);
    await domain.anchor.cgroup.kill();
    await domain.anchor.cgroup.remove();
  });
}
