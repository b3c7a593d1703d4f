import { test } from 'node:test';
import { kindPrograms, proveKind } from './domain/kind-programs.js';
import { onStages } from './domain/kind-stages.js';

// KINDS=pipe,unix runs those only whose names hold one of these.
const PROGRAMS = kindPrograms(process.env['KINDS']?.split(','));

/** What each program keeps and verifies is said at the top of its source. */
onStages(PROGRAMS, (program, stage) => {
  const what = program.refused === undefined ? 'goes there and back, and is right' : 'is refused by name';
  test(`${program.name} ${what}`, () => proveKind(stage(), program));
});
