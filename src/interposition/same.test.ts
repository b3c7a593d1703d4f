// A direct device and one that is interposed, with the same done to both: whatever a driver does, both must look the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { interruptOf, PCI_MEMORY_BASE } from '../computer/pci/host.js';
import { MemoryDisk } from '../computer/virtio/block-backend.js';
import { VirtioBlock } from '../computer/virtio/block.js';
import type { VirtioDevice } from '../computer/virtio/device.js';
import * as s from '../computer/virtio/state.js';
import { MEMORY_BASE } from '../computer/virtio/testing/machine.js';
import type { Driver } from './driver/driver.js';
import { settle } from './testing/bench.js';
import { Rig } from './testing/rig.js';
import type { Subject } from './testing/subject.js';
import { balloon, console, disk, entropy, nic } from './testing/subjects.js';

/** Where chains' buffers lie, and how long they are: headers that make sense, now and then. */
const BUFFERS = MEMORY_BASE + 0x10_0000;
const BUFFER = 0x1000;
/** Nothing lies there. */
const NOWHERE = MEMORY_BASE - 0x1000;
/** Turns of the event loop in which everything that was asked for is done. */
const DONE = 12;

const size = fc.constantFrom(1, 2, 4);
const value = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 4, 8, 0xb, 0xf, 0x40, 0x80, 0xff, 0xffff_ffff),
  fc.nat(16),
  fc.nat(0xffff_ffff),
);
/** The registers that there are, and all others. */
const inBar = fc.oneof(
  { weight: 6, arbitrary: fc.nat(0x3f) },
  { weight: 1, arbitrary: fc.constantFrom(0x100, 0x101, 0x102) },
  { weight: 2, arbitrary: fc.integer({ min: 0x200, max: 0x240 }) },
  { weight: 2, arbitrary: fc.integer({ min: 0x800, max: 0x820 }) },
  { weight: 1, arbitrary: fc.nat(0xfff) },
);
const buffer = fc.record({
  at: fc.oneof({ weight: 20, arbitrary: fc.nat(7) }, { weight: 1, arbitrary: fc.constant(-1) }),
  skip: fc.constantFrom(0, 0, 0, 1, 2048),
  length: fc.oneof(fc.constantFrom(0, 1, 8, 12, 16, 64, 512, 1024), fc.nat(3000)),
});
const operation = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('read' as const), at: inBar, size }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('write' as const), at: inBar, size, value }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('config read' as const), at: fc.nat(0xfff), size }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('config write' as const), at: fc.nat(0xff), size, value }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('chain' as const),
      queue: fc.nat(5),
      out: fc.array(buffer, { maxLength: 3 }),
      room: fc.array(buffer, { maxLength: 3 }),
      header: fc.constantFrom(0, 1, 3, 4, 6, 8, 11, 13, 99),
      indirect: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('garbage' as const), queue: fc.nat(5), head: fc.nat(70_000) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('interrupt' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('switch' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('driver' as const),
      features: fc.constantFrom(-1, 0, ~s.VIRTIO_F_EVENT_IDX),
    }),
  },
);
type Operation = typeof operation extends fc.Arbitrary<infer O> ? O : never;

/** Everything that was asked for is done, and its interrupt is there: a network card may wait a moment with that. */
async function quiet({ subject }: Rig): Promise<void> {
  await settle(DONE);
  if (subject.name === nic.name) await new Promise((resolve) => setTimeout(resolve, 4));
}

/** Does something to one device; what its driver gets to know by it. */
async function apply(rig: Rig, o: Operation): Promise<unknown> {
  const { guest, bench, subject } = rig;
  const { ecam, memory } = bench.machine.pci;
  const bar = PCI_MEMORY_BASE + 0x10_0000 + subject.slot * 0x1_0000 - PCI_MEMORY_BASE;
  const config = subject.slot << 15;
  switch (o.kind) {
    case 'read':
      return memory.read(bar + o.at, o.size);
    case 'write':
      return memory.write(bar + o.at, o.size, o.value);
    case 'config read':
      return ecam.read(config | o.at, o.size);
    case 'config write':
      return ecam.write(config | o.at, o.size, o.value);
    case 'driver':
      guest.bringUp(subject.queues, 16);
      return guest.driver.negotiate(o.features);
    case 'chain': {
      const queue = guest.queues[o.queue % subject.queues];
      if (queue === undefined || o.out.length + o.room.length === 0) return undefined;
      const place = ({ at, skip, length }: { at: number; skip: number; length: number }, write: boolean) => ({
        address: at < 0 ? NOWHERE : BUFFERS + at * BUFFER + skip,
        length,
        write,
      });
      const first = o.out[0];
      if (first !== undefined && first.at >= 0) {
        const header = Uint8Array.of(o.header, 0, 0, 0, 0, 0, 1, 0, o.header % 5, 0, 0, 0, 0, 0, 0, 0);
        bench.machine.poke(BUFFERS + first.at * BUFFER + first.skip, header);
      }
      try {
        queue.addBuffers([...o.out.map((b) => place(b, false)), ...o.room.map((b) => place(b, true))], o.indirect);
      } catch {
        // A driver has no descriptor left.
        return undefined;
      }
      queue.kick();
      return undefined;
    }
    case 'garbage':
      guest.queues[o.queue % subject.queues]?.publish(o.head & 0xffff);
      guest.queues[o.queue % subject.queues]?.kick();
      return undefined;
    case 'interrupt':
      await quiet(rig);
      for (const queue of guest.queues) queue.harvest();
      return guest.interrupt();
    case 'switch':
      return undefined;
  }
}

/** What a driver could find, and its memory. */
function look(rig: Rig): { memory: Buffer; page: Uint8Array; pending: boolean; faults: readonly string[] } {
  const { bytes } = rig.bench.machine;
  const page = bytes.slice(rig.device.statePage, rig.device.statePage + 4096);
  const view = new DataView(page.buffer);
  // Between a device and who polls it.
  for (const at of [s.LOCK, s.KICKED, s.HELD, s.UNDER_WAY, s.UNDER_WAY_GENERATION]) view.setInt32(at, 0, true);
  const memory = Buffer.from(bytes.slice(0x8_0000, 0x8_0000 + 512 * 4096));
  return {
    memory,
    page,
    pending: !rig.bench.board.plic.isIdle(interruptOf(rig.subject.slot)),
    faults: rig.bench.faults.slice(),
  };
}

function same<T extends VirtioDevice, D extends Driver>(subject: Subject<T, D>): void {
  void test(
    `${subject.name}: whatever a driver does, an interposed device is as a direct one`,
    { timeout: 120_000 },
    async () => {
      let switches = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(operation, { minLength: 10, maxLength: 60 }), async (operations) => {
          const manner = { features: -1, indirect: false };
          const direct = new Rig(subject, manner) as unknown as Rig;
          const other = new Rig(subject, manner) as unknown as Rig;
          await other.toggle();
          for (const rig of [direct, other]) rig.guest.bringUp(subject.queues, 16);
          try {
            for (const o of operations) {
              if (o.kind === 'switch') {
                await quiet(other);
                await quiet(direct);
                await other.toggle({ timeout: 0 }).then(
                  () => switches++,
                  (error: unknown) => assert.equal((error as { code: string }).code, 'busy'),
                );
                await settle(2);
              }
              assert.deepEqual(await apply(other, o), await apply(direct, o), JSON.stringify(o));
            }
            await quiet(other);
            await quiet(direct);
            const [a, b] = [look(other), look(direct)];
            assert.deepEqual(a.page, b.page, 'the state');
            assert.equal(Buffer.compare(a.memory, b.memory), 0, 'the memory');
            assert.deepEqual([a.pending, a.faults], [b.pending, b.faults]);
            for (const rig of [direct, other]) assert.deepEqual(rig.bench.failures, []);
          } finally {
            await Promise.all([direct.close(), other.close()]);
          }
        }),
        { numRuns: 150, seed: 12 },
      );
      assert.ok(switches > 50, `${switches} switches`);
    },
  );
}

same({
  ...disk,
  make: () => ({
    ...disk.make(),
    device: (host) => new VirtioBlock(host, new MemoryDisk(Uint8Array.from({ length: 64 * 512 }, (_, i) => i % 251))),
  }),
});
same({ ...nic, make: silent(nic) });
same({ ...console, make: silent(console) });
same(entropy);
same({ ...balloon, make: silent(balloon) });

/** A device whose outside hears and says nothing. */
function silent<T extends VirtioDevice, D extends Driver>(subject: Subject<T, D>): Subject<T, D>['make'] {
  return () => {
    const { device } = subject.make();
    return { device, traffic: () => entropy.make().traffic(undefined as never) };
  };
}
