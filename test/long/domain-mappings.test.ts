/** A domain with very many mappings. Others with very much of something are in test/long. */
import { after, before, test } from 'node:test';
import { assertInProportion, openStage } from '../domain/pause.js';
import type { Stage } from '../domain/stage.js';

let stage: Stage;
before(async () => {
  stage = await openStage();
});
after(() => stage?.close());

test('30,000 mappings stand still for no longer than in proportion', () =>
  assertInProportion(stage, 'mappings', [], 30_000));
