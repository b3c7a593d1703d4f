/** A network card changes hands under Redis and a bulk transfer, and nobody notices. */
import { test } from 'node:test';
import { redisUnderSwitches } from './interposition/redis-switches.js';

for (const [kernel, harts] of [
  ['trixie', 2],
  ['backports', 1],
] as const) {
  test(
    `100 switches of a network card on ${kernel}, ${harts} harts: no answer of Redis is lost or comes twice`,
    { timeout: 120_000 },
    async () => {
      await redisUnderSwitches(kernel, harts, 100);
    },
  );
}
