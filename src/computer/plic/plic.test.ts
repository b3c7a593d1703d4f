import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { SEIP, SIP } from '../../hart/state.js';
import { Plic } from './plic.js';

const PAGE = 0x2000;
const HARTS = [0x4000, 0x8000];
const CLAIM = (c: number): number => 0x20_0000 + 0x1000 * c + 4;
const THRESHOLD = (c: number): number => 0x20_0000 + 0x1000 * c;
const ENABLE = (c: number, w = 0): number => 0x2000 + 0x80 * c + 4 * w;

function setUp(): { plic: Plic; buffer: SharedArrayBuffer; pending: (c: number) => boolean } {
  const buffer = new SharedArrayBuffer(0x10000);
  const words = new Int32Array(buffer);
  return {
    plic: new Plic(buffer, PAGE, HARTS),
    buffer,
    pending: (c) => (words[(HARTS[c] + SIP) >>> 2] & SEIP) !== 0,
  };
}

void test('a level becomes one request, and another one if it is still high at completion', () => {
  const { plic, pending } = setUp();
  plic.write(4 * 40, 4, 1);
  plic.write(ENABLE(1, 1), 4, 1 << 8);
  const line = plic.line(40);
  line.set(true);
  assert.equal(pending(0), false, 'context 0 has not enabled it');
  assert.equal(pending(1), true);
  assert.equal(plic.read(0x1004, 4), 1 << 8);
  assert.equal(plic.read(CLAIM(0), 4), 0);
  assert.equal(plic.read(CLAIM(1), 4), 40);
  assert.equal(pending(1), false);
  assert.equal(plic.read(CLAIM(1), 4), 0, 'not twice');
  plic.write(CLAIM(0), 4, 40);
  assert.equal(pending(1), false, 'a completion by a context that has it not enabled is ignored');
  plic.write(CLAIM(1), 4, 40);
  assert.equal(pending(1), true, 'still high');
  assert.equal(plic.read(CLAIM(1), 4), 40);
  line.set(false);
  plic.write(CLAIM(1), 4, 40);
  assert.equal(pending(1), false);
});

void test('a request stays when the line drops before the claim', () => {
  const { plic } = setUp();
  plic.write(4 * 3, 4, 1);
  plic.write(ENABLE(0), 4, -1);
  plic.setLevel(3, true);
  plic.setLevel(3, false);
  assert.equal(plic.read(CLAIM(0), 4), 3);
  plic.write(CLAIM(0), 4, 3);
  assert.equal(plic.read(CLAIM(0), 4), 0);
});

void test('the highest priority wins, then the lowest number; the threshold masks but does not hinder a claim', () => {
  const { plic, pending } = setUp();
  plic.write(ENABLE(0), 4, -1);
  plic.write(ENABLE(0, 2), 4, -1);
  for (const [source, priority] of [
    [5, 2],
    [70, 7],
    [71, 7],
    [6, 0],
  ]) {
    plic.write(4 * source, 4, priority);
    plic.setLevel(source, true);
  }
  assert.equal(pending(0), true);
  plic.write(THRESHOLD(0), 4, 7);
  assert.equal(pending(0), false);
  assert.deepEqual(
    [0, 0, 0, 0].map(() => plic.read(CLAIM(0), 4)),
    [70, 71, 5, 0],
  );
  plic.write(THRESHOLD(0), 4, 0);
  plic.write(4 * 6, 4, 1);
  assert.equal(pending(0), true, 'a priority that rises raises the interrupt');
});

void test('registers that do not exist read as zero and ignore writes', () => {
  const { plic, buffer } = setUp();
  const before = new Uint8Array(buffer).slice();
  for (const at of [
    0,
    4 * 96,
    0x0ffc,
    0x1000,
    0x100c,
    0x200c,
    ENABLE(2),
    THRESHOLD(2),
    CLAIM(2),
    0x5f_fffc,
    0x20_0ffc,
  ]) {
    plic.write(at, 4, -1);
    assert.equal(plic.read(at, 4), 0, at.toString(16));
  }
  plic.write(4, 1, 7);
  plic.write(CLAIM(0), 4, 0xffff_ffff);
  assert.deepEqual(new Uint8Array(buffer), before);
  assert.equal(plic.read(ENABLE(0), 4), 0);
  plic.write(ENABLE(0), 4, 1);
  assert.equal(plic.read(ENABLE(0), 4), 0, 'source 0 cannot be enabled');
  assert.throws(() => plic.line(0), RangeError);
  assert.throws(() => plic.line(96), RangeError);
});

void test('exchanged harts are told the present level', () => {
  const { plic, buffer } = setUp();
  plic.write(4 * 3, 4, 1);
  plic.write(ENABLE(0), 4, -1);
  plic.setLevel(3, true);
  const words = new Int32Array(buffer);
  new Plic(buffer, PAGE, [0xc000]).refresh();
  assert.equal(words[(0xc000 + SIP) >>> 2] & SEIP, SEIP);
});

void test('no interrupt is lost between two threads', { timeout: 60_000 }, async () => {
  const { plic, buffer } = setUp();
  const words = new Int32Array(buffer);
  plic.write(4 * 9, 4, 1);
  plic.write(ENABLE(0), 4, -1);
  const TURNS = 3000;
  // The other thread is the device: raises, waits until the handler has lowered it (word 0), raises again.
  const worker = new Worker(
    `const { workerData: w } = require('node:worker_threads');
     import(w.module).then(({ Plic }) => {
       const plic = new Plic(w.buffer, ${PAGE}, [${HARTS.join(',')}]);
       const words = new Int32Array(w.buffer);
       for (let i = 1; i <= ${TURNS}; i++) {
         plic.setLevel(9, true);
         while (Atomics.load(words, 0) !== i);
       }
     });`,
    { eval: true, workerData: { buffer, module: new URL('./plic.js', import.meta.url).href } },
  );
  let handled = 0;
  const end = Date.now() + 50_000;
  while (handled < TURNS && Date.now() < end) {
    if ((Atomics.load(words, (HARTS[0] + SIP) >>> 2) & SEIP) === 0) continue;
    assert.equal(plic.read(CLAIM(0), 4), 9);
    plic.setLevel(9, false);
    handled++;
    // Told before the completion: the line may rise while the source is in service.
    Atomics.store(words, 0, handled);
    plic.write(CLAIM(0), 4, 9);
  }
  await worker.terminate();
  assert.equal(handled, TURNS);
});
