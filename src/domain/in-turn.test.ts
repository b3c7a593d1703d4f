import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inTurn } from './in-turn.js';

const aMoment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

test('work with the same is done in the order in which it was asked for, whatever fails; other work does not wait', async () => {
  const [a, b, c] = [{}, {}, {}];
  const log: string[] = [];
  const work =
    (name: string, fails = false) =>
    async () => {
      log.push(`${name} begins`);
      await aMoment();
      log.push(`${name} ends`);
      if (fails) throw new Error(name);
    };
  const ends = await Promise.allSettled([
    inTurn([a, b], work('first', true)),
    inTurn([b, c], work('second')),
    inTurn([c, a], work('third')),
    inTurn([{}], work('apart')),
  ]);
  assert.deepEqual(
    ends.map((e) => e.status),
    ['rejected', 'fulfilled', 'fulfilled', 'fulfilled'],
  );
  assert.deepEqual(
    log.filter((line) => !line.startsWith('apart')),
    ['first', 'second', 'third'].flatMap((name) => [`${name} begins`, `${name} ends`]),
  );
  assert.ok(log.indexOf('apart begins') < log.indexOf('first ends'));
});
