import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Undo } from './undo.js';

test('what is to be taken back last is, however early it was added', async () => {
  const undo = new Undo();
  const done: string[] = [];
  const step = (name: string) => () => {
    done.push(name);
    return Promise.resolve();
  };
  undo.add('first', step('first'));
  undo.addLast('behind', step('behind'));
  undo.add('second', step('second'));
  await undo.run();
  assert.deepEqual(done, ['second', 'first', 'behind']);
});
