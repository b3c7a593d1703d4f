import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PAGE_ABSENT, PAGE_MAP, PAGE_PRESENT, PAGE_WRITABLE, RAM_BASE, RAM_PAGES } from '../hart/state.js';
import { GuestMemoryView } from './guest-memory-view.js';

const RAM = 0x8000_0000;
const MAP = 0x4000;
const ZEROS = 0x6000;

void test('whether a page may be written is known without a frame for it; to write into it there has to be one', () => {
  const buffer = new SharedArrayBuffer(0x8000);
  const words = new Int32Array(buffer);
  words[RAM_BASE >>> 2] = RAM | 0;
  words[RAM_PAGES >>> 2] = 3;
  words[PAGE_MAP >>> 2] = MAP;
  words.set([(5 << 8) | PAGE_PRESENT | PAGE_WRITABLE, (5 << 8) | PAGE_PRESENT, PAGE_ABSENT], MAP >>> 2);
  let asked = 0;
  const view = new GuestMemoryView(buffer, 0, () => (asked++, PAGE_ABSENT), ZEROS);
  const pages = [-1, 0, 1, 2, 3].map((page) => RAM + page * 4096 + 8);
  assert.deepEqual(
    pages.map((address) => view.mayWrite(address)),
    [false, true, false, true, false],
  );
  assert.equal(asked, 0);
  assert.deepEqual(
    pages.map((address) => view.offsetOf(address, true)),
    [-1, 0x5008, -1, -1, -1],
  );
  assert.equal(asked, 1);
  assert.deepEqual(
    pages.map((address) => view.offsetOf(address)),
    [-1, 0x5008, 0x5008, ZEROS + 8, -1],
  );
});
