import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DomainError } from '../../src/domain/errors.js';
import { bury, kindPrograms, startKind, verdict } from '../domain/kind-programs.js';
import { onStages } from '../domain/kind-stages.js';

// KINDS=pipe,unix runs those only whose names hold one of these; SEED=7 repeats a run.
const PROGRAMS = kindPrograms(process.env['KINDS']?.split(',')).filter((p) => p.refused === undefined);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
/** Longest time from the start of a program to the beginning of its first move, in milliseconds. */
const LONGEST = 60;
/** Attempts to move a program that is refused in the middle of what it makes. */
const ATTEMPTS = 5;
/** A stream of numbers from 0 to 1 (mulberry32): the same for the same seed and name. */
function stream(name: string): () => number {
  let state = new TextEncoder().encode(name).reduce((h, byte) => Math.imul(h ^ byte, 0x01000193), SEED);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

onStages(PROGRAMS, (program, stage) => {
  test(`${program.name} is right whenever its moves begin (SEED=${SEED})`, async () => {
    const random = stream(program.name);
    let domain = await startKind(stage(), program, false);
    try {
      for (let hop = 0; hop < program.hops; hop++) {
        await new Promise((resolve) => setTimeout(resolve, random() * LONGEST));
        for (let attempt = 1; ; attempt++) {
          try {
            ({ domain } = await stage().move(domain));
            break;
          } catch (e) {
            // In the middle of what it makes it may hold something else for a moment.
            if (!(e instanceof DomainError) || e.code !== 'unsupported' || attempt === ATTEMPTS) throw e;
          }
        }
      }
      assert.equal(await verdict(domain), 'right');
    } finally {
      await bury(domain);
    }
  });
});
