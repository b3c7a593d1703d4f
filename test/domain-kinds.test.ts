import { test } from 'node:test';
import { kindPrograms, proveKind } from './domain/kind-programs.js';
import { onStages } from './domain/kind-stages.js';

// KINDS=pipe,unix runs those only whose names hold one of these, and has moves fail first where the programs say so.
const CHOSEN = process.env['KINDS']?.split(',');
/** All but those that never rest: these, and failures at each step, are for test/long. */
const PROGRAMS = kindPrograms(CHOSEN).filter((p) => CHOSEN !== undefined || !p.name.startsWith('busy-'));

/** What each program keeps and verifies is said at the top of its source. */
onStages(PROGRAMS, (program, stage) => {
  const what = program.refused === undefined ? 'goes there and back, and is right' : 'is refused by name';
  test(`${program.name} ${what}`, () => proveKind(stage(), program, CHOSEN !== undefined));
});
