/**
 * A Redis server and a shell answer beside an instance that computes, on the same hart. What they take in the middle is
 * looked at; the 99 % are shown, for a host with nothing else to do: on one that keeps threads from their cores for longer
 * than an answer takes they tell about the host, alone as well as beside.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Computer } from '../../src/index.js';
import { MIB, testImage } from '../testing/images.js';
import { percentiles, within, type Percentiles } from '../testing/percentiles.js';
import { connectSoon } from '../testing/redis.js';

const REQUESTS = 1000;
const COMMANDS = 200;

async function times(count: number, ask: () => Promise<unknown>): Promise<Percentiles> {
  const took: number[] = [];
  for (let i = 0; i < count; i++) {
    await new Promise((resolve) => setTimeout(resolve, 3));
    const begin = performance.now();
    await ask();
    took.push(performance.now() - begin);
  }
  return percentiles(took);
}

test('Redis and a shell answer within 2 ms more beside one that computes', { timeout: 300_000 }, async (t) => {
  const computer = await Computer.create({ memory: 640 * MIB, harts: 1 });
  try {
    const image = await testImage('trixie', 'redis');
    const boot = (name: string) => computer.boot({ name, image, memory: 288 * MIB, weight: 100 });
    const [serves, computes] = await Promise.all([boot('serves'), boot('computes')]);
    const { port } = await serves.forward({ guestPort: 6379 });
    const shell = await serves.shell();
    await shell.check('redis-server --save "" --protected-mode no --bind 0.0.0.0 --daemonize yes >/dev/null');
    const broken: Error[] = [];
    const redis = await connectSoon(port, (error) => broken.push(error));
    const worker = await computes.shell();
    /** What `ask` takes while the other has nothing to do, and while it computes. */
    const compare = (count: number, ask: () => Promise<unknown>) => async () => {
      const alone = await times(count, ask);
      await worker.check('(while :; do :; done) & echo $! > /tmp/worker; sleep 1');
      const before = computes.share?.used ?? 0;
      const begin = performance.now();
      const beside = await times(count, ask);
      const part = ((computes.share?.used ?? 0) - before) / (performance.now() - begin);
      assert.ok(part > 0.3, `it computes, with ${part} of the hart`);
      await worker.check('kill $(cat /tmp/worker)');
      return { alone, beside };
    };
    let count = 0;
    await within(
      2,
      t,
      { rare: false },
      compare(REQUESTS, async () => assert.equal(await redis.incr('n'), ++count)),
    );
    await within(
      2,
      t,
      { rare: false },
      compare(COMMANDS, () => shell.check(':')),
    );
    assert.deepEqual(broken, []);
    await redis.close();
  } finally {
    await computer.close();
  }
});
