import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLOCK_BYTES, isInEntry, quietClocks } from './vdso.js';

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

/** An ELF image that exports one function, `size` bytes long, at `at`: its dynamic symbols, and their strings. */
function image(at: number, size: number): Uint8Array {
  const bytes = new Uint8Array(0x1000);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x464c457f, true);
  view.setBigUint64(40, 0x40n, true); // e_shoff
  view.setUint16(58, 64, true); // e_shentsize
  view.setUint16(60, 2, true); // e_shnum
  const [symbols, strings, headers] = [0x100, 0x180, 0x40];
  view.setUint32(headers + 4, 11, true); // SHT_DYNSYM
  view.setBigUint64(headers + 24, BigInt(symbols), true);
  view.setBigUint64(headers + 32, 24n, true);
  view.setUint32(headers + 40, 1, true); // sh_link
  view.setBigUint64(headers + 64 + 24, BigInt(strings), true);
  view.setUint32(symbols, 1, true);
  view.setUint8(symbols + 4, 0x12); // STB_GLOBAL, STT_FUNC
  view.setBigUint64(symbols + 8, BigInt(at), true);
  view.setBigUint64(symbols + 16, BigInt(size), true);
  bytes.set(new TextEncoder().encode('__vdso_x'), strings + 1);
  return bytes;
}

test('whoever is past the first of the instructions that a redirection covers is in the middle of it', () => {
  const code = image(0x800, 0x100);
  assert.deepEqual(
    [0x7fe, 0x800, 0x802, 0x804, 0x806, 0x808, 0x900].map((at) => isInEntry(code, at)),
    [false, false, true, true, true, false, false],
  );
});
