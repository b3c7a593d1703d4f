import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STEPS } from '../../src/remapping/migrate.js';
import { bury, kindPrograms, startKind, verdict } from '../domain/kind-programs.js';
import { onStages } from '../domain/kind-stages.js';

// KINDS=pipe,unix runs those only whose names hold one of these.
const PROGRAMS = kindPrograms(process.env['KINDS']?.split(',')).filter((p) => p.refused === undefined);
/** After `resume` nothing fails any more. */
const REVERSIBLE = STEPS.slice(0, STEPS.indexOf('resume') + 1);

onStages(PROGRAMS, (program, stage) => {
  test(`${program.name} is right after a failure at each step of a move, and after the move that then succeeds`, async () => {
    let domain = await startKind(stage(), program);
    try {
      for (const step of REVERSIBLE) {
        await assert.rejects(
          stage().move(domain, (s) => {
            if (s === step) throw new Error('injected');
          }),
          /injected/,
          step,
        );
      }
      ({ domain } = await stage().move(domain));
      assert.equal(await verdict(domain), 'right');
    } finally {
      await bury(domain);
    }
  });
});
