/** Domains with very much of something: the time they stand still grows in proportion, no faster. */
import { after, before, test } from 'node:test';
import { assertInProportion, openStage } from '../domain/pause.js';
import type { Stage } from '../domain/stage.js';

let stage: Stage;
before(async () => {
  stage = await openStage();
});
after(() => stage?.close());

/** All within what one guest of this size holds. */
const THINGS = { eventfds: 2000, watched: 2000, threads: 1000, processes: 100, executable: 1000 };
for (const [what, count] of Object.entries(THINGS))
  test(`${count} ${what}`, () => assertInProportion(stage, 'many', [what], count));
