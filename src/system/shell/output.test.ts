import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Output } from './output.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (b: Uint8Array | undefined): string | undefined => b && new TextDecoder().decode(b);
const MARK = '0011001100110012';

void test('everything before the mark, wherever it is cut', () => {
  const whole = `what 001100110011001 0011001100110011 was written${MARK}and what came later`;
  for (let size = 1; size <= whole.length; size++) {
    const output = new Output();
    let found: string | undefined;
    for (let at = 0; at < whole.length && found === undefined; at += size) {
      output.add(bytes(whole.slice(at, at + size)));
      found = text(output.before(bytes(MARK)));
    }
    assert.equal(found, 'what 001100110011001 0011001100110011 was written', `in pieces of ${size}`);
  }
});

void test('its end', () => {
  const output = new Output();
  for (const piece of ['one ', 'two ', 'three']) output.add(bytes(piece));
  assert.equal(text(output.end(7)), 'o three');
  assert.equal(text(output.end(100)), 'one two three');
  assert.equal(output.length, 13);
});

void test('64 MiB in pieces of 1 KiB, asked after each', () => {
  const output = new Output();
  const piece = new Uint8Array(1024).fill(0x30);
  for (let i = 0; i < 65_536; i++) {
    output.add(piece);
    assert.equal(output.before(bytes(MARK)), undefined);
  }
  output.add(bytes(MARK));
  assert.equal(output.before(bytes(MARK))?.length, 65_536 * 1024);
});
