/** Two Linux kernels on one hart: shares, answers of the one while the other computes, a domain that moves between them. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SYS } from '../src/guest/hands/syscalls.js';
import { Carrier, Computer, Domain } from '../src/index.js';
import { MIB, testImage } from './testing/images.js';
import { percentiles, within, type Percentiles } from './testing/percentiles.js';

/** Counts for ever, and says so from time to time. */
const COUNTS: readonly [string, ...string[]] = [
  'sh',
  '-c',
  'i=0; while :; do i=$((i + 1)); [ $((i % 2000)) = 0 ] && echo $i; done',
];
const CALLS = 400;

const moment = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

describe('two carriers on one hart', () => {
  let computer: Computer;
  let heavy: Carrier;
  let light: Carrier;
  before(async () => {
    computer = await Computer.create({ memory: 448 * MIB, harts: 1, network: false });
    const boot = async (name: string, kernel: 'trixie' | 'backports', weight: number): Promise<Carrier> =>
      Carrier.boot(computer, { name, image: await testImage(kernel), memory: 208 * MIB, weight });
    [heavy, light] = await Promise.all([boot('heavy', 'trixie', 300), boot('light', 'backports', 100)]);
  });
  after(() => computer.close());

  const run = (carrier: Carrier, name: string): Promise<Domain> => Domain.run(carrier, { name, argv: COUNTS });

  /** The last number that a domain said. */
  function last(domain: Domain): number {
    const lines = new TextDecoder().decode(domain.logs()).trim().split('\n');
    return Number(lines[lines.length - 1]);
  }

  /** How long calls took that were answered in a carrier which has nothing else to do (ms). */
  async function answers({ hands }: Carrier): Promise<Percentiles> {
    const times: number[] = [];
    for (let i = 0; i < CALLS; i++) {
      await moment(2);
      const begin = performance.now();
      await hands.syscall(SYS.getpid);
      times.push(performance.now() - begin);
    }
    return percentiles(times);
  }

  test('both compute, and have three quarters of the time and one', { timeout: 120_000 }, async () => {
    const domains = await Promise.all([run(heavy, 'a'), run(light, 'b')]);
    const used = (): number[] => [heavy, light].map(({ instance }) => instance.share?.used ?? 0);
    for (let second = 1; ; second++) {
      const first = used();
      await moment(1000);
      const had = used().map((to, i) => to - first[i]);
      const part = had[0] / (had[0] + had[1]);
      if (Math.abs(part - 0.75) <= 0.02) break;
      assert.ok(second < 5, `${part} of the time`);
    }
    await Promise.all(domains.map((domain) => domain.stop({ timeout: 0 })));
  });

  test('an idle one answers within 2 ms more beside one that computes', { timeout: 120_000 }, async (t) => {
    // Of a host with more to do than cores one of the two feels more than the other: bare guests on harts of both kinds at
    // the same time are compared at the 99 % (src/system/shared-harts.test.ts).
    await within(2, t, { rare: false }, async () => {
      const alone = await answers(light);
      const domain = await run(heavy, 'computes');
      const beside = await answers(light);
      await domain.stop({ timeout: 0 });
      return { alone, beside };
    });
  });

  test(
    'a domain that computes moves between them, while another computes where it goes',
    { timeout: 120_000 },
    async () => {
      const stays = await run(light, 'stays');
      const moves = await run(heavy, 'moves');
      for (const to of [light, heavy]) {
        const before = last(moves);
        await moves.move(to);
        for (let tries = 0; last(moves) <= before; tries++) {
          assert.ok(tries < 2000, 'it counts on');
          await moment(10);
        }
      }
      await Promise.all([stays, moves].map((domain) => domain.stop({ timeout: 0 })));
    },
  );
});
