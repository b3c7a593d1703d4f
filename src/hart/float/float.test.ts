import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { buildFloat } from './index.js';
import { buildSoftFloat } from './soft/index.js';
import { buildInlined } from './testing/inline.js';
import type { Operation } from './testing/operations.js';
import { operations } from './testing/operations.js';
import type { Reference } from './testing/reference.js';
import { ANSWER_SIZE, buildReference, RECORD_SIZE } from './testing/reference.js';
import type { FloatRunner } from './testing/runner.js';
import { buildRunner } from './testing/runner.js';
import { Random, Vectors } from './testing/vectors.js';

/** Vectors for each operation; FLOAT_VECTORS=2000000 makes a long run, FLOAT_SEED another one. */
const COUNT = Number(process.env['FLOAT_VECTORS'] ?? 8000);
const SEED = Number(process.env['FLOAT_SEED'] ?? 1);
const BATCH = 500_000;

const implementations: Readonly<Record<string, FloatRunner>> = {
  soft: buildRunner(buildSoftFloat),
  fast: buildRunner(buildFloat),
  'inline, rounding mode known': buildRunner((module) => buildInlined(module, false)),
  'inline, rounding mode dynamic': buildRunner((module) => buildInlined(module, true)),
};

const hex = (view: DataView, at: number): string => `0x${view.getBigUint64(at, true).toString(16)}`;

function describeFailure(name: string, { operands }: Operation, records: DataView, i: number): string {
  const at = i * RECORD_SIZE;
  const values = operands.map((_, n) => hex(records, at + 8 + 8 * n)).join(', ');
  return `${name}: rm ${records.getUint8(at + 1)}, flags before ${records.getUint8(at + 2)}, operands ${values}`;
}

describe('every operation agrees with qemu in result and flags', () => {
  let reference: Reference;
  before(() => {
    reference = buildReference();
  });
  after(() => reference[Symbol.dispose]());

  operations.forEach((operation, index) => {
    test(operation.name, () => {
      const vectors = new Vectors(new Random(SEED * 1000 + index));
      for (let left = COUNT; left > 0; left -= BATCH) {
        const count = Math.min(left, BATCH);
        const records = new Uint8Array(count * RECORD_SIZE);
        const view = new DataView(records.buffer);
        vectors.write(view, 0, count, index, operation);
        const answer = reference.run(records);
        const expected = new DataView(answer.buffer, answer.byteOffset, answer.length);
        for (const [name, runner] of Object.entries(implementations)) {
          const actual = new DataView(runner.run(index, records).buffer);
          for (let i = 0; i < count * ANSWER_SIZE; i += 8) {
            if (
              actual.getInt32(i, true) === expected.getInt32(i, true) &&
              actual.getInt32(i + 4, true) === expected.getInt32(i + 4, true)
            )
              continue;
            const what = i % ANSWER_SIZE === 0 ? 'result' : 'flags';
            const which = describeFailure(`${name} ${operation.name}`, operation, view, Math.floor(i / ANSWER_SIZE));
            assert.fail(`${which}: ${what} ${hex(actual, i)}, should be ${hex(expected, i)}`);
          }
        }
      }
    });
  });
});
