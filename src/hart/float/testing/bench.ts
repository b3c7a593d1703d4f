/** Nanoseconds per operation, soft and fast: node dist/src/hart/float/testing/bench.js */
import { buildFloat } from '../index.js';
import { buildSoftFloat } from '../soft/index.js';
import { buildInlined } from './inline.js';
import { operations } from './operations.js';
import { buildRunner } from './runner.js';
import { Random, RECORD_SIZE } from './vectors.js';

const COUNT = 1024;
const TIMES = 1000;
const SAMPLES = 7;

const runners = {
  soft: buildRunner(buildSoftFloat),
  fast: buildRunner(buildFloat),
  inline: buildRunner((module) => buildInlined(module, false)),
};

/** Ordinary numbers, 0.5 … 2 and integers in registers, rounding to nearest; `flags` as they are before each operation. */
function records(index: number, flags: number, wholeNumbers: boolean): Uint8Array {
  const random = new Random(index + 1);
  const bytes = new Uint8Array(COUNT * RECORD_SIZE);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += RECORD_SIZE) {
    view.setUint8(at, index);
    view.setUint8(at + 2, flags);
    operations[index].operands.forEach((kind, n) => {
      const real = wholeNumbers
        ? random.below(1000) + 1
        : 0.5 + 1.5 * (random.next() / 2 ** 32 + random.next() / 2 ** 64);
      if (kind === 's') view.setFloat32(at + 8 + 8 * n, real, true);
      else if (kind === 'd') view.setFloat64(at + 8 + 8 * n, real, true);
      else view.setInt32(at + 8 + 8 * n, wholeNumbers ? random.below(1000) : random.next(), true);
    });
  }
  return bytes;
}

function measure(runner: (typeof runners)['soft'], index: number, bytes: Uint8Array): string {
  const samples: number[] = [];
  for (let i = 0; i < SAMPLES + 3; i++) {
    const start = performance.now();
    runner.repeat(index, bytes, TIMES);
    samples.push(((performance.now() - start) * 1e6) / (COUNT * TIMES));
  }
  const median = samples.slice(3).sort((a, b) => a - b)[SAMPLES >> 1];
  return median.toFixed(1).padStart(8);
}

console.log('ns per operation     soft    fast  inline | whole numbers, NX clear: soft    fast  inline');
operations.forEach(({ name }, index) => {
  const usual = records(index, 1, false);
  const whole = records(index, 0, true);
  const columns = (bytes: Uint8Array): string =>
    Object.values(runners)
      .map((runner) => measure(runner, index, bytes))
      .join('');
  console.log(`${name.padEnd(16)}${columns(usual)} | ${columns(whole).padStart(45)}`);
});
