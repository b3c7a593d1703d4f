import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DebugConsole, DebugConsoleOutput } from './debug-console.js';

function setUp() {
  const buffer = new SharedArrayBuffer(0x2000);
  let rings = 0;
  let wakes = 0;
  let got = '';
  const hart = new DebugConsole(buffer, 0x1000, () => rings++);
  const output = new DebugConsoleOutput(buffer, 0x1000, () => wakes++);
  output.onData = (bytes) => (got += new TextDecoder().decode(bytes));
  const print = (text: string): number => hart.write(new TextEncoder().encode(text));
  return { hart, output, print, got: () => got, rings: () => rings, wakes: () => wakes };
}

test('text arrives in order, with one doorbell for what waits', () => {
  const { print, output, got, rings } = setUp();
  for (let i = 0; i < 100; i++) assert.equal(print(`line ${i}\n`), `line ${i}\n`.length);
  assert.equal(rings(), 1);
  output.poll();
  assert.equal(got(), Array.from({ length: 100 }, (_, i) => `line ${i}\n`).join(''));
  print('more');
  assert.equal(rings(), 2);
  output.poll();
  output.poll();
  assert.match(got(), /99\nmore$/);
});

test('what does not fit is not taken; the hart is told when there is room', () => {
  const { hart, print, output, got, wakes } = setUp();
  assert.equal(print('x'.repeat(3000)), 2048);
  assert.equal(hart.full(), true);
  assert.equal(print('y'), 0);
  output.poll();
  assert.equal(got(), 'x'.repeat(2048));
  assert.deepEqual([hart.full(), wakes()], [false, 1]);
  assert.equal(print('y'), 1);
});

test('a reader without room holds the guest, and lets it go on', () => {
  const { hart, print, output, got, wakes } = setUp();
  print('on its way ');
  output.hold();
  assert.deepEqual([print('later'), hart.full()], [0, true]);
  output.poll();
  assert.deepEqual([got(), wakes()], ['on its way ', 0]);
  output.letGo();
  assert.deepEqual([hart.full(), wakes()], [false, 1]);
  assert.equal(print('later'), 5);
  output.poll();
  assert.equal(got(), 'on its way later');
});
