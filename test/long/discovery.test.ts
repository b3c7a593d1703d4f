/** Somebody who asks for everything sees nothing of what happens beside him. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proberKernel } from '../../src/guest/prober/kernel.js';
import { Prober } from '../../src/guest/prober/prober.js';
import { firstDifference } from '../../src/guest/prober/transcript.js';
import { Carrier, Computer, launch, Maintenance } from '../../src/index.js';
import { MIB, testImage } from '../testing/images.js';

const MEMORY = 32 * MIB;
const LINUX = 200 * MIB;

async function bootProber(computer: Computer): Promise<{ prober: Prober; end: () => Promise<unknown> }> {
  const options = { memory: MEMORY, network: false, console: 'ttyS0' } as const;
  const instance = await computer.boot({ kernel: proberKernel(), ...options });
  return { prober: new Prober(instance.os.partition.space), end: () => instance.destroy() };
}

/** The first two rounds where there is nothing else; those that follow are like the second. */
async function alone(): Promise<readonly [first: Uint8Array, later: Uint8Array]> {
  const computer = await Computer.create({ memory: MEMORY + 2 * MIB, harts: 1, network: false });
  try {
    const { prober } = await bootProber(computer);
    return [await prober.round(), await prober.round()];
  } finally {
    await computer.close();
  }
}

test('a neighbour boots, is given a hart, moves a domain, has a device interposed, and ends: the prober sees none of it', async () => {
  const [first, later] = await alone();
  const computer = await Computer.create({ memory: MEMORY + 2 * LINUX + 16 * MIB, harts: 3, maxHarts: 4 });
  try {
    const { prober } = await bootProber(computer);
    const same = (found: Uint8Array, expected: Uint8Array, when: string): void => {
      const difference = firstDifference(found, expected);
      assert.equal(difference, undefined, `${when}: ${JSON.stringify(difference)}`);
    };
    same(await prober.round(), first, 'at the beginning');
    /** Probes until it is over, and once more. */
    const during = async <T>(what: string, happens: Promise<T>): Promise<T> => {
      let over = false;
      const done = happens.finally(() => (over = true));
      // Heard of below, after the round in which it failed.
      done.catch(() => undefined);
      while (!over) same(await prober.round(), later, `while a neighbour ${what}`);
      same(await prober.round(), later, `after a neighbour ${what}`);
      return done;
    };

    const image = await testImage('trixie', 'redis');
    const active = await during('boots', Carrier.boot(computer, { name: 'a', image, memory: LINUX, maxHarts: 2 }));
    computer.addHarts(1);
    await during('is given a hart', active.instance.setHarts(2));
    await during('gives it back', active.instance.setHarts(1));
    const domain = await launch(
      active.hands,
      { name: 'work' },
      { argv: ['/bin/sh', '-c', 'while :; do sleep 0.01; done'] },
    );

    const console = active.instance.devices.find(({ kind }) => kind === 'console');
    assert.ok(console);
    await during('has a device interposed', console.interpose());
    await during('has it back', console.stepAway());

    const maintenance = new Maintenance({ computer, active, domains: [domain] });
    await during(
      'has an understudy',
      maintenance.bootUnderstudy({ name: 'b', image: await testImage('backports', 'redis'), memory: LINUX }),
    );
    const [report] = await during('moves a domain', maintenance.takeOver());
    assert.ok(report.framesFlipped > 0);
    await during('ends', maintenance.retire());

    // Frames that were Linux's, and a hart.
    const next = await bootProber(computer);
    same(await next.prober.round(), first, 'in what it has left');
    await next.end();
  } finally {
    await computer.close();
  }
});
