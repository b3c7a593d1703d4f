/** What whoever probes is answered: on a computer of its own, beside others, interpreted and translated, the same. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { nodePlatform } from '../../adapters/node/platform.js';
import { MemoryDisk } from '../../computer/virtio/block-backend.js';
import { Devices, groundOf } from '../../interposition/inventory.js';
import { RAM_START } from '../../partition/address-space.js';
import type { EngineOptions } from '../../hart/engine.js';
import { Vmm } from '../../partition/vmm.js';
import { OsInstance } from '../os-instance.js';
import { BARE_MEMORY } from '../testing/bare-kernel.js';
import { watcherKernel, watchOf } from '../testing/watcher.js';
import { proberKernel } from './kernel.js';
import { Prober } from './prober.js';
import { answersIn, firstDifference, refusedIn } from './transcript.js';

const MIB = 2 ** 20;
const MEMORY = 32 * MIB;
const ENGINES: Readonly<Record<string, EngineOptions>> = {
  interpreted: { threshold: 0 },
  'translated at the second time': { threshold: 2, batch: 1, eager: true },
  'as it comes': {},
};

function bootProber(vmm: Vmm, harts = 1): { os: OsInstance; prober: Prober } {
  const os = new OsInstance(vmm, { name: 'prober', kernel: proberKernel(), memory: MEMORY, harts });
  os.start();
  return { os, prober: new Prober(os.partition.space) };
}

/** The first two rounds of a prober that has a computer of `harts` for itself. */
async function alone(engine: EngineOptions, harts = 1): Promise<{ rounds: Uint8Array[]; refused: number }> {
  const vmm = new Vmm(nodePlatform, { memory: MEMORY + MIB, harts, engine });
  try {
    const { os, prober } = bootProber(vmm, harts);
    const rounds = [await prober.round(), await prober.round()];
    await os.destroy();
    return { rounds, refused: os.refusedDmas };
  } finally {
    await vmm.close();
  }
}

function assertSame(found: Uint8Array, expected: Uint8Array, where: string): void {
  const difference = firstDifference(found, expected);
  assert.equal(
    difference,
    undefined,
    difference &&
      `${where}, record ${difference.at}: ${difference.one ?? 'over'}, but alone ${difference.other ?? 'over'}`,
  );
}

const digest = (os: OsInstance): string => {
  const hash = createHash('sha256');
  const { space } = os.partition;
  for (let page = 0; page < space.pages; page++) {
    const at = space.frameOf(page) * 4096;
    hash.update(space.bytes.slice(at, at + 4096));
  }
  return hash.digest('hex');
};

const baseline = alone(ENGINES['as it comes']);

test('alone: it finds its share of everything, and each round after the first the same', async () => {
  const { rounds, refused } = await baseline;
  const [first] = rounds;
  const answers = answersIn(first);
  const of = (asked: string): typeof answers => answers.filter((answer) => answer.asked === asked);

  const [atBoot] = of('memoryAtBoot');
  assert.deepEqual([atBoot.where, atBoot.cause, atBoot.value], [BigInt(RAM_START + MEMORY), 5n, 0n], 'memory is clean');
  // An access at this address, or at the last one before it whose answers were told.
  const access = (what: number, at: number): bigint =>
    of('access')
      .filter(({ what: w, where }) => w === what && where <= BigInt(at))
      .reduce((a, b) => (b.where >= a.where ? b : a)).cause;
  const [LOAD, STORE, FETCH] = [3, 7, 8];
  for (const at of [0, 0x2000_0000, 0x0fff_0000, RAM_START + MEMORY, 2 ** 40, 2 ** 55]) {
    assert.deepEqual(
      [LOAD, STORE, FETCH].map((what) => access(what, at)),
      [5n, 7n, 1n],
      `nothing at ${at.toString(16)}`,
    );
  }
  assert.deepEqual(
    [LOAD, STORE, FETCH].map((what) => access(what, RAM_START + 2 * MIB)),
    [-1n, -1n, -1n],
    'memory',
  );

  // No other mode's, hypervisor's or debugger's register is there: 0x280, 0x300 … 0x3ff, 0x680, 0x7a0 … and the like.
  const readable = of('csrRead')
    .filter(({ what, cause }) => what === 1 && cause === -1n)
    .map(({ where }) => where);
  assert.equal(readable.length, 18);
  assert.ok(readable.every((csr) => ((csr >> 8n) & 3n) <= 1n));
  const hsm = of('sbi').filter(({ what, where }) => (what & 1) !== 0 && where > 0n && where < 70n);
  assert.ok(
    hsm.every(({ cause }) => cause === -3n),
    'no hart but its own',
  );

  const dmas = of('dma');
  const foreign = dmas.filter(({ what, where }) => what >> 8 !== 0 || where !== 0x80c0_0000n);
  assert.ok(foreign.length > 200);
  assert.ok(
    foreign.every(({ cause }) => cause === 64n),
    'every device that was sent elsewhere says so',
  );
  assert.ok(refused >= 2 * 100 && refusedIn(first) === foreign.length);

  const tail = first.subarray(first.length - rounds[1].length);
  assert.equal(first.length - tail.length, 3 * 32, 'the first tells three things more');
  assertSame(rounds[1], tail, 'the second round');
});

for (const [name, engine] of Object.entries(ENGINES)) {
  test(`${name}: the transcript is the same, and beside a neighbour too`, async () => {
    const { rounds } = await baseline;
    const vmm = new Vmm(nodePlatform, { memory: 2 * MEMORY + BARE_MEMORY + 4 * MIB, harts: 4, engine });
    try {
      const watcher = new OsInstance(vmm, { name: 'watcher', kernel: watcherKernel(), memory: BARE_MEMORY });
      const still = new OsInstance(vmm, { name: 'still', kernel: watcherKernel(), memory: BARE_MEMORY });
      const before = digest(still);
      watcher.start();
      const { os, prober } = bootProber(vmm);
      assertSame(await prober.round(), rounds[0], 'the first round');
      const letGo = await watcher.partition.pause();
      const paused = digest(watcher);
      assertSame(await prober.round(), rounds[1], 'the second round, the neighbour standing still');
      assert.equal(digest(watcher), paused, 'its memory is bit for bit what it was');
      letGo();
      const { rounds: seen } = watchOf(watcher.partition.space);
      assertSame(await prober.round(), rounds[1], 'the third round');
      assert.equal(digest(still), before, 'nor has that of one who has not begun yet changed');
      while (watchOf(watcher.partition.space).rounds < seen + 3) await new Promise((resolve) => setTimeout(resolve, 5));
      assert.equal(watchOf(watcher.partition.space).faults, 0);
      // What the neighbour leaves behind nobody finds.
      await watcher.destroy();
      await os.destroy();
      const next = bootProber(vmm);
      assertSame(await next.prober.round(), rounds[0], 'in frames that were others’');
      await Promise.all([next.os.destroy(), still.destroy()]);
    } finally {
      await vmm.close();
    }
  });
}

test('on a hart that it shares with a neighbour it finds what it finds on one of its own', async () => {
  const { rounds } = await baseline;
  const vmm = new Vmm(nodePlatform, { memory: MEMORY + BARE_MEMORY + 4 * MIB, harts: 1 });
  try {
    const share = { weight: 1, cpu: Infinity };
    const watcher = new OsInstance(vmm, { name: 'watcher', kernel: watcherKernel(), memory: BARE_MEMORY, share });
    watcher.start();
    const os = new OsInstance(vmm, { name: 'prober', kernel: proberKernel(), memory: MEMORY, share });
    os.start();
    const prober = new Prober(os.partition.space);
    assertSame(await prober.round(), rounds[0], 'the first round');
    assertSame(await prober.round(), rounds[1], 'the second round');
    const { rounds: seen, faults } = watchOf(watcher.partition.space);
    assert.ok(seen > 0 && faults === 0, `${seen} rounds, ${faults} faults`);
    await Promise.all([os.destroy(), watcher.destroy()]);
  } finally {
    await vmm.close();
  }
});

test('a balloon that is sent elsewhere needs a reset', async () => {
  const vmm = new Vmm(nodePlatform, { memory: 2 * MEMORY, harts: 1 });
  try {
    const options = { name: 'prober', kernel: proberKernel(), memory: MEMORY, guaranteed: MEMORY / 2 };
    const os = new OsInstance(vmm, options);
    os.start();
    const answers = answersIn(await new Prober(os.partition.space).round());
    const slots = answers.filter(({ asked }) => asked === 'dma').map(({ what }) => what & 0xff);
    assert.equal(new Set(slots).size, 3);
    const last = answers.filter(({ asked, what }) => asked === 'dma' && (what & 0xff) === Math.max(...slots));
    assert.equal(last[0].cause, 1n, 'its own memory it can read');
    assert.ok(last.slice(1).every(({ cause }) => cause === 64n));
    await os.destroy();
  } finally {
    await vmm.close();
  }
});

test('two harts: both are found, and no third', async () => {
  const { rounds } = await alone({}, 2);
  const answers = answersIn(rounds[0]);
  const started = answers.filter(({ asked, what, where }) => asked === 'sbi' && (what & 1) !== 0 && where > 0n);
  assert.deepEqual(
    started.slice(0, 3).map(({ cause, value }) => [cause, value]),
    [
      [0n, 1n],
      [-3n, 0n],
      [-3n, 0n],
    ],
  );
});

test('harts, memory and devices that are added to the computer are not there until they are given', async () => {
  const vmm = new Vmm(nodePlatform, { memory: MEMORY + 2 * MIB, harts: 1, maxMemory: MEMORY + 40 * MIB, maxHarts: 2 });
  try {
    const inventory = new Devices(groundOf(vmm));
    const os = new OsInstance(vmm, {
      ...{ name: 'prober', kernel: proberKernel(), memory: MEMORY, maxHarts: 2 },
      inventory,
    });
    os.start();
    const prober = new Prober(os.partition.space);
    const startOfHart1 = (transcript: Uint8Array): bigint | undefined =>
      answersIn(transcript).find(({ asked, what, where }) => asked === 'sbi' && what === 1 && where === 1n)?.cause;
    const functions = (transcript: Uint8Array): bigint[] =>
      answersIn(transcript)
        .filter(({ asked, what, value }) => asked === 'pci' && what === 0 && (value & 0xffffn) === 0x1af4n)
        .map(({ where }) => where);
    await prober.round();
    const before = await prober.round();
    assert.equal(startOfHart1(before), -3n);

    vmm.addMemory(32 * MIB);
    vmm.addHarts(1);
    inventory.addDisk(new MemoryDisk(new Uint8Array(MIB)));
    assertSame(await prober.round(), before, 'with more in the computer');

    os.partition.giveHart();
    const { slot } = os.addNic({ mac: Uint8Array.of(0x52, 0x54, 0, 0, 0, 1) });
    const after = await prober.round();
    assert.equal(startOfHart1(after), 0n, 'a hart that can be started');
    const at = BigInt(0x3000_0000 + (slot << 15));
    assert.deepEqual(functions(after), [...functions(before), at], 'a card in its slot');
    await os.destroy();
    await inventory.close();
  } finally {
    await vmm.close();
  }
});
