import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLOCK_BYTES, quietClocks } from './vdso.js';

/** Data pages with clocks at these places, as a process in a time namespace sees them. */
function pages(clocks: readonly number[], seq = 8): Uint8Array {
  const bytes = new Uint8Array(CLOCK_BYTES);
  const view = new DataView(bytes.buffer);
  for (const at of clocks) {
    view.setUint32(at, 1, true);
    view.setUint32(at + 4, 0x7fffffff, true);
    view.setUint32(4096 + at, seq, true);
    view.setUint32(4096 + at + 4, 1, true);
    view.setBigUint64(4096 + at + 40, 1234n, true);
  }
  return bytes;
}

test('of every clock it is said that there is none, and what coarse clocks read stays', () => {
  const view = new DataView(quietClocks(pages([0, 240])).buffer);
  for (const at of [0, 240]) {
    assert.equal(view.getUint32(at + 4, true), 0x7fffffff, 'the way through the time namespace stays');
    assert.equal(view.getUint32(4096 + at, true), 8);
    assert.equal(view.getUint32(4096 + at + 4, true), 0);
    assert.equal(view.getBigUint64(4096 + at + 40, true), 1234n);
  }
});

test('pages that the kernel was just writing, or of another layout, are not kept', () => {
  assert.equal(quietClocks(pages([0], 7)).length, 0);
  assert.equal(quietClocks(new Uint8Array(CLOCK_BYTES)).length, 0);
  assert.equal(quietClocks(new Uint8Array(4096)).length, 0);
});
