/** A few scenes of the fuzzer (`npm run fuzz`), always the same ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { play } from './fuzz/scene.js';

/** Interpreted, translated as it comes, and with room for eight regions only. */
const SEEDS = [1, 2, 4];
const MILLISECONDS = 2500;

for (const seed of SEEDS) {
  test(`random guests beside honest ones, seed ${seed}`, async () => {
    const { finding, flips, rounds, gadgets } = await play(seed, MILLISECONDS);
    assert.equal(finding, undefined);
    assert.ok(flips > 100 && rounds > 0 && gadgets > 0, `${flips} flips, ${rounds} rounds, ${gadgets} gadgets`);
  });
}
