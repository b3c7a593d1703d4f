/** Offsets in the memory of a computer are numbers of 32 bits: a sign must not matter anywhere. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch } from '../src/domain/tree/launch.js';
import { compilePrograms } from './domain/programs.js';
import { nextLine, Stage } from './domain/stage.js';

const PROGRAM = 'counter';
const HALF = 2 ** 31;

test('a computer with more than 2 GiB: instances on both sides of it run, and a domain moves across', async () => {
  const data = compilePrograms([PROGRAM])[PROGRAM];
  // What the second one is given lies beyond what the first one has.
  const stage = await Stage.open({ [`/opt/${PROGRAM}`]: { data, mode: 0o755 } }, [2304, 384]);
  try {
    const maps = stage.sides.map(({ instance }) => instance.os.partition.space.pageMap);
    assert.ok(Math.min(...maps) < HALF && Math.max(...maps) >= HALF, `page maps at ${maps.join(', ')}`);
    const output = '/tmp/counter.out';
    let domain = await launch(stage.sides[0].hands, { name: PROGRAM }, { argv: [`/opt/${PROGRAM}`], output });
    for (let hop = 0; hop < 2; hop++) {
      const before = await nextLine(domain.hands, output);
      const moved = await stage.move(domain);
      assert.ok(moved.report.framesFlipped > 0);
      domain = moved.domain;
      await nextLine(domain.hands, output, before);
    }
  } finally {
    await stage.close();
  }
});
