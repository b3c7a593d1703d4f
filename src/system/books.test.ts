/**
 * The books of a computer: whatever is added, booted, given, moved, killed and closed, in any order, each frame, hart and
 * device has one owner or none, and what comes to somebody new is clean. Real threads, guests of a few instructions.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeSystem } from '../adapters/node/system.js';
import { FRAME_SIZE } from '../computer/memory.js';
import { MemoryDisk } from '../computer/virtio/block-backend.js';
import { BARE_MEMORY, bareKernel, COUNTING } from '../guest/testing/bare-kernel.js';
import type { ComputerDevice } from '../interposition/device.js';
import { RAM_START } from '../partition/address-space.js';
import { countsOf, FREE, makeBooks, ownerOf, runsOf } from '../partition/books.js';
import { Computer } from './computer.js';
import type { Instance } from './instance.js';

const MIB = 2 ** 20;
const MOST_HARTS = 4;
const MOST_MEMORY = 160 * MIB;
const STEPS = 120;
/** Pages that a bare kernel has nothing in: from here on. */
const BEHIND = 4096;

/** Numbers of 0 to below 1, the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Refusals for want of something are part of it. */
const REFUSALS = ['no-hart', 'no-frames', 'too-large', 'no-room', 'mode', 'too-many-devices', 'no-network'];

class Chaos {
  readonly computer = new Computer(nodeSystem, {
    memory: 64 * MIB,
    maxMemory: MOST_MEMORY,
    harts: 2,
    maxHarts: MOST_HARTS,
  });
  readonly disks: ComputerDevice[] = [];
  readonly holds: (() => void)[] = [];
  refused = 0;
  readonly done = new Map<string, number>();
  #count = 0;

  constructor(readonly random: () => number) {}

  below(n: number): number {
    return Math.floor(this.random() * n);
  }

  any<T>(of: readonly T[]): T | undefined {
    return of[this.below(of.length)];
  }

  readonly steps: Record<string, () => unknown> = {
    boot: () => this.boot(),
    bootAgain: () => this.boot(),
    destroy: () => this.any(this.computer.instances)?.destroy(),
    addMemory: () => this.computer.addMemory(1 + this.below(20 * MIB)),
    addHarts: () => this.computer.addHarts(1),
    giveHart: () => this.any(this.computer.instances)?.os.partition.giveHart(),
    takeHart: () => this.any(this.computer.instances)?.os.partition.takeHart(),
    addDisk: async () => this.disks.push(await this.computer.addDisk(new MemoryDisk(new Uint8Array(4096)))),
    addNic: () => this.disks.push(this.computer.addNic()),
    plug: () => {
      const [os, device] = [this.any(this.computer.instances)?.os, this.any(this.disks)];
      if (device !== undefined) os?.plug(device);
    },
    unplug: () => {
      const device = this.any(this.disks);
      const has = this.computer.instances.find(({ os }) => device?.isOn(os.board));
      return device && has?.os.unplug(device);
    },
    interpose: () => {
      const device = this.any(this.disks);
      return device?.mode === 'direct' ? device.interpose() : undefined;
    },
    remove: () => {
      const at = this.below(this.disks.length);
      const [device] = this.disks.splice(at, 1);
      return device && this.computer.devices.remove(device);
    },
    flip: () => this.flip(),
    flipMore: () => this.flip(),
    giveBack: async () => {
      const space = this.any(this.computer.instances)?.os.partition.space;
      for (let n = 0; n < 50; n++) space?.giveBack(BEHIND + this.below(1000));
      if (this.random() < 0.7) await space?.settled();
    },
    touch: () => {
      const space = this.any(this.computer.instances)?.os.partition.space;
      for (let n = 0; n < 50; n++) space?.fill(BEHIND + this.below(1000));
    },
    guarantee: () => {
      const space = this.any(this.computer.instances)?.os.partition.space;
      space?.guarantee(this.below(space.pages));
    },
    hold: () => {
      const partition = this.any(this.computer.instances)?.os.partition;
      if (partition !== undefined) this.holds.push(partition.hold());
    },
    letGo: () => this.holds.splice(this.below(this.holds.length), 1)[0]?.(),
  };

  async boot(): Promise<void> {
    const harts = 1 + this.below(2);
    const guaranteed = this.random() < 0.5 ? { guaranteed: FRAME_SIZE * this.below(BARE_MEMORY / FRAME_SIZE) } : {};
    const guest = await this.computer.boot({
      name: `guest${this.#count++}`,
      kernel: bareKernel(COUNTING),
      memory: BARE_MEMORY,
      harts,
      maxHarts: harts + this.below(2),
      network: this.random() < 0.5,
      ...guaranteed,
    });
    const { space } = guest.os.partition;
    for (let n = 0; n < 100; n++) {
      const at = space.offsetOf(RAM_START + (BEHIND + this.below(1000)) * FRAME_SIZE);
      const page = space.bytes.subarray(at, at + FRAME_SIZE);
      assert.ok(
        page.every((byte) => byte === 0),
        `what ${guest.name} gets is clean`,
      );
    }
    // For whoever has it next.
    for (let n = 0; n < 300; n++) {
      const page = BEHIND + this.below(1000);
      if (space.fill(page)) space.write(RAM_START + page * FRAME_SIZE, new Uint8Array(FRAME_SIZE).fill(0xa5));
    }
  }

  /** Two instances exchange frames, as a domain that moves makes them do. */
  async flip(): Promise<void> {
    const [a, b] = [this.any(this.computer.instances), this.any(this.computer.instances)];
    if (a === undefined || b === undefined || a === b) return;
    const [one, two] = [a.os.partition, b.os.partition];
    const goOn = await Promise.all([one.pause(), two.pause()]);
    for (let n = 0; n < 100; n++) {
      const [p, q] = [BEHIND + this.below(1000), BEHIND + this.below(1000)];
      const [f, g] = [one.space.frameOf(p), two.space.frameOf(q)];
      if (f < 0 || g < 0) continue;
      one.space.setFrame(p, g);
      two.space.setFrame(q, f);
    }
    goOn.forEach((release) => release());
  }

  async step(): Promise<string> {
    const name = this.any(Object.keys(this.steps)) ?? '';
    try {
      await this.steps[name]?.();
      this.done.set(name, (this.done.get(name) ?? 0) + 1);
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === undefined || !REFUSALS.includes(code)) throw error;
      this.refused++;
    }
    return name;
  }

  /** Everything has exactly one owner, or none. */
  async check(): Promise<void> {
    const { computer } = this;
    const { vmm, instances } = computer;
    const goOn = await Promise.all(instances.map(({ os }) => os.partition.pause()));
    try {
      const { owners, partitions, problems } = makeBooks(vmm);
      assert.deepEqual(problems, []);
      const counts = countsOf(owners);
      const { frames } = vmm.machine;
      assert.equal(counts[FREE], frames.free);
      const runs = runsOf(owners);
      assert.equal(
        runs.filter((_, i) => i % 2 === 1).reduce((a, b) => a + b, 0),
        frames.end,
      );
      let promised = 0;
      partitions.forEach(({ space }, n) => {
        const present = space.map.filter((entry) => entry >>> 8 !== 0).length;
        assert.ok(counts[ownerOf(n)] >= space.taken);
        assert.equal(space.resident, present);
        promised += Math.max(0, space.guaranteed - space.taken);
      });
      assert.equal(computer.freeMemory, (frames.free - promised) * FRAME_SIZE);
      const given = partitions.reduce((sum, partition) => sum + partition.given, 0);
      assert.equal(computer.freeHarts, vmm.harts - given);
      const blocks = partitions.flatMap((partition) => partition.blocks);
      assert.equal(new Set(blocks).size, blocks.length, 'no logical hart is anybody else’s');
    } finally {
      goOn.forEach((release) => release());
    }
    this.checkDevices(instances);
  }

  checkDevices(instances: readonly Instance[]): void {
    const users = new Map<ComputerDevice, string>();
    for (const { os, name } of instances) {
      const slots = new Set<number | undefined>();
      for (const device of os.devices) {
        if (!device.isOn(os.board)) continue;
        assert.ok(!users.has(device), `${device.id} is one instance's`);
        users.set(device, name);
        assert.equal(device.user, name);
        assert.equal(os.board.slots.at(device.slot ?? -1), device.statePage);
        slots.add(device.slot);
      }
      assert.equal(slots.size, os.devices.filter((device) => device.isOn(os.board)).length);
    }
    for (const device of this.computer.devices) assert.equal(device.user, users.get(device), device.id);
  }
}

for (const seed of [1, Date.now() % 2 ** 31]) {
  void test('whatever is done, everything has one owner or none', async (t) => {
    t.diagnostic(`seed ${seed}`);
    const chaos = new Chaos(randomFrom(seed));
    const { computer } = chaos;
    const { vmm } = computer;
    const monitor = vmm.monitorFrames.free;
    try {
      for (let n = 0; n < STEPS; n++) {
        const step = await chaos.step();
        await chaos.check().catch((error: unknown) => {
          throw new Error(`step ${n}, ${step}, of seed ${seed}`, { cause: error });
        });
      }
      await Promise.all(computer.instances.map((instance) => instance.destroy()));
      chaos.holds.splice(0).forEach((letGo) => letGo());
      await Promise.all(chaos.disks.map((device) => computer.devices.remove(device)));
      await chaos.check();
      assert.equal(computer.freeHarts, vmm.harts);
      assert.equal(vmm.monitorFrames.free, monitor, 'the monitor has all of its memory again');
      assert.equal([...vmm.partitions].length, 0);
      const own = vmm.own.reduce((sum, { count }) => sum + count, 0);
      assert.equal(vmm.machine.frames.free, vmm.machine.frames.total - own);
      t.diagnostic(`${[...chaos.done].map(([name, n]) => `${name} ${n}`).join(', ')}; ${chaos.refused} refused`);
      const boots = (chaos.done.get('boot') ?? 0) + (chaos.done.get('bootAgain') ?? 0);
      assert.ok(boots > 2 && chaos.refused > 0);
    } finally {
      await computer.close();
    }
  });
}

void test('the books tell of a frame that is lost, of one that two have, and of one that is free and somebody’s', async () => {
  const computer = new Computer(nodeSystem, { memory: 64 * MIB, harts: 2, network: false });
  try {
    const { vmm } = computer;
    const boot = async (): Promise<Instance> =>
      computer.boot({ kernel: bareKernel(COUNTING), memory: BARE_MEMORY, guaranteed: 0 });
    const [a, b] = [await boot(), await boot()].map(({ os }) => os.partition);
    for (const { space } of [a, b]) space.fill(BEHIND);
    await Promise.all([a.pause(), b.pause()]);
    assert.deepEqual(makeBooks(vmm).problems, []);
    const [frame, other] = [a.space.frameOf(BEHIND), b.space.frameOf(BEHIND)];
    b.space.setFrame(BEHIND, frame);
    const [twice, lost] = makeBooks(vmm).problems;
    assert.match(twice ?? '', new RegExp(`^frame ${frame} is .*'s, and .* has it too`));
    assert.match(lost ?? '', new RegExp(`^frame ${other} is nobody's, and not free`));
    b.space.setFrame(BEHIND, other);
    vmm.machine.frames.release(other);
    assert.match(makeBooks(vmm).problems.join(), new RegExp(`^frame ${other} is free, and .* has it$`));
  } finally {
    await computer.close().catch(() => undefined);
  }
});
