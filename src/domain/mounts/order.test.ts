import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMountinfo } from './mountinfo.js';
import { mountOrder } from './order.js';

const line = (id: number, parent: number, point: string): string =>
  `${id} ${parent} 0:${id} / ${point} rw,relatime - tmpfs mine rw\n`;
const order = (text: string): number[] => mountOrder(parseMountinfo(text)).map((m) => m.id);

test('parents come before children, and deeper places before those that may cover them', () => {
  const text = line(1, 0, '/') + line(5, 1, '/a') + line(3, 1, '/a/b') + line(4, 3, '/a/b/c') + line(2, 1, '/d');
  assert.deepEqual(order(text), [1, 3, 4, 2, 5]);
});

test('mounts may lie in each other as deep as they like', () => {
  const deep = Array.from({ length: 30_000 }, (_, i) => line(i + 1, i, '/'));
  assert.equal(order(deep.join('')).length, deep.length);
});
