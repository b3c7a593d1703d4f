import { after, before, test } from 'node:test';
import { kindPrograms, pathOf, proveKind } from './domain/kind-programs.js';
import { Stage } from './domain/stage.js';

// KINDS=pipe,unix runs those only whose names hold one of these.
const PROGRAMS = kindPrograms(process.env['KINDS']?.split(','));

let stage: Stage;
before(async () => {
  stage = await Stage.open(Object.fromEntries(PROGRAMS.map((p) => [pathOf(p), { data: p.executable, mode: 0o755 }])));
});
after(() => stage?.close());

/** What each program keeps and verifies is said at the top of its source. */
for (const program of PROGRAMS) {
  const what = program.refused === undefined ? 'goes there and back, and is right' : 'is refused by name';
  test(`${program.name} ${what}`, () => proveKind(stage, program));
}
