/**
 * The monitor's emulation against the device itself: whatever a driver does at the registers and in its queues, sense or
 * not, both answer the same, and are in the same state. What fails is made smaller by fast-check.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { interruptOf, PCI_MEMORY_BASE } from '../computer/pci/host.js';
import type { VirtioDevice } from '../computer/virtio/device.js';
import * as s from '../computer/virtio/state.js';
import { MEMORY_BASE } from '../computer/virtio/testing/machine.js';
import type { ComputerDevice } from './device.js';
import type { Driver } from './driver/driver.js';
import { InterpositionError } from './errors.js';
import { InterpositionBench, settle } from './testing/bench.js';
import type { Subject } from './testing/subject.js';
import * as subjects from './testing/subjects.js';

/** A buffer of a chain: how long, whether it is the device's to write, and what its first words are. */
interface Part {
  readonly length: number;
  readonly write: boolean;
  readonly words: readonly number[];
}

/** What a driver does. */
type Step =
  | { readonly do: 'config' | 'bar'; readonly at: number; readonly size: 1 | 2 | 4; readonly value: number | undefined }
  | { readonly do: 'memory'; readonly at: number; readonly value: number }
  | { readonly do: 'chain'; readonly queue: number; readonly buffers: readonly Part[] }
  | { readonly do: 'begin' | 'wait' | 'switch' | 'interrupt' };

const size = fc.constantFrom(1, 2, 4);
const value = fc.oneof(
  fc.constantFrom(0, 1, 3, 7, 0xb, 0xf, 0x8000_1000, 0xffff_ffff),
  fc.integer({ min: 0, max: 0xffff_ffff }),
);
/** The places that mean something are met more often. */
const place = fc.oneof(
  fc.integer({ min: 0, max: 0x40 }),
  fc.constantFrom(0x100, 0x200, 0x204, 0x208, 0x800, 0x804, 0x808, 0x80c),
  fc.integer({ min: 0, max: 0xfff }),
);
const access = (kind: 'config' | 'bar'): fc.Arbitrary<Step> =>
  fc.record({ do: fc.constant(kind), at: place, size, value: fc.option(value, { nil: undefined }) });
/** Headers that a disk, or a console's control queue, takes for something are among them. */
const part: fc.Arbitrary<Part> = fc.record({
  length: fc.constantFrom(1, 8, 12, 16, 64, 512, 1500, 4096),
  write: fc.boolean(),
  words: fc.array(fc.oneof(fc.integer({ min: 0, max: 9 }), value), { minLength: 4, maxLength: 4 }),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('chain' as const),
      queue: fc.nat(3),
      // What the device reads comes first in an honest chain.
      buffers: fc.array(part, { minLength: 1, maxLength: 4 }).map((of) => [...of].sort((a, b) => +a.write - +b.write)),
    }),
  },
  { weight: 6, arbitrary: access('bar') },
  { weight: 2, arbitrary: access('config') },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('memory' as const), at: fc.integer({ min: 0, max: 0x400 }), value }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('begin' as const, 'wait', 'switch', 'interrupt') }) },
);

const BAR = PCI_MEMORY_BASE + 0x20_0000;
const RINGS = MEMORY_BASE + 0x8000;

/** One of the two: a device on a board, and a driver's hands. */
class Side<T extends VirtioDevice, D extends Driver> {
  readonly bench = new InterpositionBench();
  readonly device: ComputerDevice<T, D>;

  constructor(
    readonly subject: Subject<T, D>,
    readonly switches: boolean,
  ) {
    const made = subject.make();
    this.device = this.bench.add(subject.kind(), made.device, subject.slot);
    const { ecam } = this.bench.machine.pci;
    ecam.write((subject.slot << 15) | 0x10, 4, BAR);
    ecam.write((subject.slot << 15) | 0x04, 2, 6);
  }

  /** What was read, if anything was. */
  async take(what: Step): Promise<unknown> {
    const { machine, board } = this.bench;
    switch (what.do) {
      case 'config': {
        const at = (this.subject.slot << 15) | what.at;
        if (what.value === undefined) return machine.pci.ecam.read(at, what.size);
        return machine.pci.ecam.write(at, what.size, what.value);
      }
      case 'bar': {
        const at = BAR - PCI_MEMORY_BASE + what.at;
        if (what.value === undefined) return machine.pci.memory.read(at, what.size);
        return machine.pci.memory.write(at, what.size, what.value);
      }
      case 'memory':
        return machine.poke32(RINGS + 4 * what.at, what.value);
      case 'chain':
        this.#chain(what.queue % this.subject.queues, what.buffers);
        return this.#quiet();
      case 'begin':
        return this.#begin();
      case 'wait':
        return settle(6);
      case 'switch':
        await settle(6);
        return this.switches ? this.#switch() : undefined;
      case 'interrupt': {
        const { plic } = board;
        const source = plic.read(0x20_0004, 4);
        const isr = machine.pci.memory.read(BAR - PCI_MEMORY_BASE + 0x100, 1);
        if (source !== 0) plic.write(0x20_0004, 4, source);
        return [source, isr];
      }
    }
  }

  /** A driver comes that does it right, so that there is something to go wrong. */
  #begin(): void {
    const { pci } = this.bench.machine;
    const put = (at: number, bytes: number, to: number): void =>
      pci.memory.write(BAR - PCI_MEMORY_BASE + at, bytes, to);
    for (const status of [0, 1, 3]) put(0x14, 1, status);
    for (const [select, features] of [
      [0, 0x3000_0000],
      [1, 1],
    ] as const) {
      put(0x08, 4, select);
      put(0x0c, 4, features);
    }
    put(0x14, 1, 0xb);
    for (let q = 0; q < this.subject.queues; q++) {
      put(0x16, 2, q);
      put(0x18, 2, 8);
      for (const [at, area] of [
        [0x20, 0],
        [0x28, 0x100],
        [0x30, 0x200],
      ] as const) {
        put(at, 4, RINGS + 0x400 * q + area);
        put(at + 4, 4, 0);
      }
      put(0x1c, 2, 1);
    }
    // The rings begin anew.
    for (let q = 0; q < this.subject.queues; q++) {
      for (const at of [0x100, 0x200]) this.bench.machine.poke32(RINGS + 0x400 * q + at, 0);
    }
    put(0x14, 1, 0xf);
    const { plic } = this.bench.board;
    const source = interruptOf(this.subject.slot);
    plic.write(4 * source, 4, 1);
    plic.write(0x2000 + 4 * (source >> 5), 4, 1 << (source & 31));
  }

  #chain(q: number, buffers: readonly Part[]): void {
    const { machine } = this.bench;
    const rings = RINGS + 0x400 * q;
    buffers.forEach(({ length, write, words }, i) => {
      const at = MEMORY_BASE + 0x1000 * (1 + i);
      if (!write) words.forEach((word, w) => machine.poke32(at + 4 * w, word));
      const more = i < buffers.length - 1 ? 1 : 0;
      machine.poke32(rings + 16 * i, at);
      machine.poke32(rings + 16 * i + 4, 0);
      machine.poke32(rings + 16 * i + 8, length);
      machine.poke32(rings + 16 * i + 12, more | (write ? 2 : 0) | ((i + 1) << 16));
    });
    const next = machine.peek16(rings + 0x102);
    machine.poke16(rings + 0x104 + 2 * (next & 7), 0);
    machine.poke16(rings + 0x102, (next + 1) & 0xffff);
    machine.pci.memory.write(BAR - PCI_MEMORY_BASE + 0x800 + 4 * q, 2, q);
  }

  /** Waits until what was asked for is done, and what is told of it later is told: then nothing is a matter of time. */
  async #quiet(): Promise<void> {
    const { device, bench } = this;
    const underWay = (): number => bench.ground.machine.view.getInt32(device.statePage + s.UNDER_WAY, true);
    for (let i = 0; i < 100; i++) {
      await settle(2);
      const goesOn = device.device.goesOnInside() ?? device.driver?.goesOn;
      if (goesOn === undefined && underWay() === 0) break;
    }
    await new Promise((resolve) => setTimeout(resolve, 3));
  }

  async #switch(): Promise<void> {
    try {
      await (this.device.mode === 'direct'
        ? this.device.interpose({ timeout: 0 })
        : this.device.stepAway({ timeout: 0 }));
    } catch (error) {
      if (!(error instanceof InterpositionError) || error.code !== 'busy') throw error;
    }
  }

  /** State, memory and interrupt, as the driver could find them. */
  look(): { state: number[]; memory: Uint8Array; raised: boolean; broken: number } {
    const { machine, board, faults } = this.bench;
    const own = [s.LOCK, s.BUSY, s.HELD, s.UNDER_WAY, s.UNDER_WAY_GENERATION, s.KICKED];
    const state = Array.from({ length: 1024 }, (_, i) =>
      own.includes(4 * i) ? 0 : this.bench.ground.machine.view.getInt32(this.device.statePage + 4 * i, true),
    );
    return {
      state,
      memory: machine.peek(MEMORY_BASE, 0x1_0000),
      raised: !board.plic.isIdle(interruptOf(this.subject.slot)),
      broken: faults.length,
    };
  }
}

function answersAlike<T extends VirtioDevice, D extends Driver>(subject: Subject<T, D>): void {
  void test(`${subject.name}: the monitor answers as the device does, whatever a driver does`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (any) => {
        const steps: readonly Step[] = [{ do: 'begin' }, ...any];
        const direct = new Side(subject, false);
        const interposed = new Side(subject, true);
        await interposed.device.interpose();
        for (const [i, what] of steps.entries()) {
          const [a, b] = [await direct.take(what), await interposed.take(what)];
          assert.deepEqual(b, a, `step ${i}: ${JSON.stringify(what)}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 3));
        await settle(8);
        assert.deepEqual(interposed.look(), direct.look());
        assert.deepEqual([...direct.bench.failures, ...interposed.bench.failures], []);
      }),
      { numRuns: 40 },
    );
  });
}

answersAlike(subjects.disk);
answersAlike(subjects.nic);
answersAlike(subjects.console);
answersAlike(subjects.entropy);
