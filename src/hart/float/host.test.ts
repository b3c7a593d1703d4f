import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { buildFloat } from './index.js';
import { buildSoftFloat } from './soft/index.js';
import { operations } from './testing/operations.js';
import { buildRunner } from './testing/runner.js';
import { ANSWER_SIZE, Random, RECORD_SIZE, Vectors } from './testing/vectors.js';

const COUNT = 20_000;
const RNE = 0;

/** JavaScript's arithmetic is IEEE 754's with rounding to nearest; Math.fround of it is right for one single-precision operation. */
const host: Readonly<Record<string, (a: number, b: number) => number>> = {
  fadd: (a, b) => a + b,
  fsub: (a, b) => a - b,
  fmul: (a, b) => a * b,
  fdiv: (a, b) => a / b,
  fsqrt: (a) => Math.sqrt(a),
};

describe('rounding to nearest agrees with the host', () => {
  for (const [name, runner] of Object.entries({ soft: buildRunner(buildSoftFloat), fast: buildRunner(buildFloat) })) {
    for (const [operation, compute] of Object.entries(host)) {
      for (const kind of ['s', 'd'] as const) {
        const index = operations.findIndex((o) => o.name === `${operation}.${kind}`);
        test(`${name} ${operation}.${kind}`, () => {
          const records = new Uint8Array(COUNT * RECORD_SIZE);
          const view = new DataView(records.buffer);
          new Vectors(new Random(42 + index)).write(view, 0, COUNT, index, operations[index]);
          for (let i = 0; i < COUNT; i++) view.setUint8(i * RECORD_SIZE + 1, RNE);
          const answers = new DataView(runner.run(index, records).buffer);
          const read = (from: DataView, at: number): number =>
            kind === 's' ? from.getFloat32(at, true) : from.getFloat64(at, true);
          for (let i = 0; i < COUNT; i++) {
            const [a, b] = [read(view, i * RECORD_SIZE + 8), read(view, i * RECORD_SIZE + 16)];
            const expected = kind === 's' ? Math.fround(compute(a, b)) : compute(a, b);
            const actual = read(answers, i * ANSWER_SIZE);
            if (!Object.is(actual, expected)) assert.fail(`${a}, ${b}: ${actual}, should be ${expected}`);
          }
        });
      }
    }
  }
});
