/** The engines against each other, instruction by instruction where they can be stopped. */
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { buildBatch } from './testing/differential/batch.js';
import { makers, randomProgram } from './testing/differential/generate.js';
import { Lockstep } from './testing/lockstep.js';
import { Random } from './testing/random.js';

const PROGRAMS = Number(process.env['HART_LOCKSTEP'] ?? 40);
const SEED = Number(process.env['HART_SEED'] ?? 1);
// The clock is what two harts cannot agree on.
const names = [...makers.keys()];

function batchOf(programs: number): ReturnType<typeof buildBatch> {
  const random = new Random(SEED);
  return buildBatch(Array.from({ length: programs }, () => randomProgram(random, names, 30)));
}

describe('engines in lockstep', () => {
  for (const engine of ['translator', 'stepper', 'mixed', 'crowded']) {
    it(`interpreter and ${engine} agree wherever they meet`, () => {
      const batch = batchOf(PROGRAMS);
      const lockstep = new Lockstep('interpreter', engine);
      for (let i = 0; i < PROGRAMS; i++) assert.equal(lockstep.firstDifference(batch, i), undefined);
    });
  }

  it('a difference is named, with the code that made it', () => {
    const batch = batchOf(1);
    const lockstep = new Lockstep('interpreter', 'stepper', (hart, engine, instructions) => {
      if (engine === 'stepper' && instructions >= 5n) hart.setX(18, 0x1234_5678_9abcn);
    });
    assert.match(lockstep.firstDifference(batch, 0) ?? '', /agreed up to 0x1[^]*differ in[^]*s2: /);
  });
});
