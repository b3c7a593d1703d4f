import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Protections } from './protections.js';

test('a later protection takes its part out of an earlier one', () => {
  const p = new Protections();
  p.set({ start: 0, end: 0x5000 }, 1);
  p.set({ start: 0x1000, end: 0x2000 }, 3);
  const byStart = p.within({ start: 0, end: 0x10000 }).sort((a, b) => a.start - b.start);
  assert.deepEqual(byStart, [
    { start: 0, end: 0x1000, prot: 1 },
    { start: 0x1000, end: 0x2000, prot: 3 },
    { start: 0x2000, end: 0x5000, prot: 1 },
  ]);
});

test('what is not mapped has none', () => {
  const p = new Protections();
  p.set({ start: 0x1000, end: 0x4000 }, 7);
  p.clear({ start: 0x2000, end: 0x3000 });
  assert.deepEqual(p.within({ start: 0x2000, end: 0x3000 }), []);
  assert.deepEqual(p.within({ start: 0x1800, end: 0x2800 }), [{ start: 0x1800, end: 0x2000, prot: 7 }]);
});
