import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Hands } from '../../../../guest/hands/hands.js';
import { withEmpty } from './empty-messages.js';
import type { Peeked } from './queue.js';

const said = (text: string): Peeked => ({ data: new TextEncoder().encode(text), from: new Uint8Array(2), fds: [] });
const texts = (messages: readonly Peeked[]): string[] => messages.map((m) => new TextDecoder().decode(m.data));
/** Nothing is asked of them: they are what is remembered by. */
const someHands = (): Hands => Object.create(null) as Hands;
const look = (hands: Hands, now: string[], head: string | undefined): string[] =>
  texts(withEmpty(hands, 1, now.map(said), head === undefined ? undefined : said(head)));

test('empty messages that a look has marked are there at the next one', () => {
  const hands = someHands();
  assert.deepEqual(look(hands, ['a', '', 'b', ''], 'a'), ['a', '', 'b', '']);
  assert.deepEqual(look(hands, ['a', 'b'], 'a'), ['a', '', 'b', ''], 'nothing was received');
  assert.deepEqual(look(hands, ['a', 'b', 'c', ''], 'a'), ['a', '', 'b', '', 'c', ''], 'more came');
  assert.deepEqual(look(hands, ['b', 'c'], 'b'), ['b', '', 'c', ''], 'two were received');
});

test('whether the first is an empty one is always known', () => {
  const hands = someHands();
  assert.deepEqual(look(hands, ['a', '', 'b'], 'a'), ['a', '', 'b']);
  assert.deepEqual(look(hands, ['b'], ''), ['', 'b'], 'only the first was received');
  assert.deepEqual(look(hands, ['b'], 'b'), ['b'], 'two were');
  assert.deepEqual(look(hands, [], undefined), [], 'all were');
  assert.deepEqual(look(hands, ['x', 'y'], 'x'), ['x', 'y'], 'and the memory is gone');
});

test('one that the program itself has marked is the first', () => {
  assert.deepEqual(look(someHands(), ['a'], ''), ['', 'a']);
  const hands = someHands();
  assert.deepEqual(look(hands, ['a', ''], 'a'), ['a', '']);
  assert.deepEqual(look(hands, [], ''), [''], 'the last one is left');
});
