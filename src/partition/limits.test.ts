import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FRAME_SIZE } from '../computer/memory.js';
import { PREDECODE_PAGES } from '../hart/tlb.js';
import { mostMemory, shareMachine } from './limits.js';

const MIB = 2 ** 20;

void test('with any number of harts there is memory for guests, and what is said to be the most of it is', () => {
  for (let harts = 1; harts <= 64; harts++) {
    const most = mostMemory(harts);
    assert.ok(most >= 2048 * MIB, `${harts} harts leave ${most / MIB} MiB`);
    const { logicalHarts, limits, hartFrames, predecodePages } = shareMachine(most, harts);
    assert.ok(limits.maximum * 65_536 < 2 ** 32);
    assert.ok(limits.maximum * 65_536 >= most + logicalHarts * hartFrames * FRAME_SIZE);
    assert.ok(logicalHarts >= harts + 3, `${logicalHarts} logical harts`);
    assert.equal(Math.log2(predecodePages) % 1, 0);
    assert.throws(() => shareMachine(most + MIB, harts), { code: 'too-large' });
  }
});

void test('a few harts have all the room for code that there can be', () => {
  for (const harts of [1, 4, 8]) assert.equal(shareMachine(1024 * MIB, harts).predecodePages, PREDECODE_PAGES);
});
