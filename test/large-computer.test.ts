/** Offsets in the memory of a computer are numbers of 32 bits: a sign must not matter anywhere. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FRAME_SIZE } from '../src/computer/memory.js';
import { launch } from '../src/domain/tree/launch.js';
import type { LogicalAddressSpace } from '../src/partition/address-space.js';
import { compilePrograms } from './domain/programs.js';
import { nextLine, Stage } from './domain/stage.js';

const PROGRAM = 'counter';
const HALF = 2 ** 31;

/** Byte offset of the lowest frame that an OS instance has. */
function lowestOf(space: LogicalAddressSpace): number {
  let lowest = Infinity;
  for (let page = 0; page < space.pages; page++) lowest = Math.min(lowest, space.frameOf(page));
  return lowest * FRAME_SIZE;
}

test('a computer with more than 2 GiB: instances on both sides of it run, and a domain moves across', async () => {
  const data = compilePrograms([PROGRAM])[PROGRAM];
  // Frames are given from the end: the first one's lie beyond the second one's, which has too many to have none below.
  const stage = await Stage.open({ [`/opt/${PROGRAM}`]: { data, mode: 0o755 } }, [384, 2304]);
  try {
    const [beyond, other] = stage.sides.map(({ instance }) => lowestOf(instance.os.partition.space));
    assert.ok(beyond >= HALF && other < HALF, `frames from ${beyond} and ${other} on`);
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
