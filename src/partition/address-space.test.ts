/** A logical address space whose pages have no frames until they are touched, and the books of who has which. */
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { ComputerError } from '../computer/errors.js';
import { FRAME_SIZE, MachineMemory } from '../computer/memory.js';
import { Reserve } from '../computer/reserve.js';
import { FRAME_CODE, PAGE_PRESENT } from '../hart/state.js';
import { Random } from '../hart/testing/random.js';
import { cushion, LogicalAddressSpace, RAM_START } from './address-space.js';

const MIB = 2 ** 20;
const machineOf = (bytes: number): MachineMemory => MachineMemory.create(MachineMemory.limits(bytes));
const at = (page: number, offset = 0): number => RAM_START + page * FRAME_SIZE + offset;
const bytesOf = (machine: MachineMemory, frame: number): Uint8Array =>
  machine.bytes.subarray(frame * FRAME_SIZE, (frame + 1) * FRAME_SIZE);

/** As a hart touches a page. */
function touch(machine: MachineMemory, space: LogicalAddressSpace, page: number): boolean {
  return (new Reserve(machine.words, space.reserve).fill((space.pageMap >>> 2) + page) & PAGE_PRESENT) !== 0;
}

describe('a space with absent pages', () => {
  it('has frames for what is written to it, reads as zeros elsewhere, and is not filled by reading', () => {
    const machine = machineOf(8 * MIB);
    const space = new LogicalAddressSpace(machine, 1024, 0);
    assert.deepEqual([space.resident, space.frameOf(3), space.isAbsent(3)], [0, -1, true]);
    const offset = space.offsetOf(at(3, 100));
    assert.equal(machine.bytes[offset], 0);
    assert.equal(offset % FRAME_SIZE, 100);
    assert.deepEqual([space.resident, space.isAbsent(3)], [0, true]);

    space.write(at(3, FRAME_SIZE - 2), Uint8Array.of(1, 2, 3, 4));
    assert.equal(space.resident, 2);
    assert.deepEqual([machine.bytes[space.offsetOf(at(4, 1))], space.isAbsent(5)], [4, true]);
    assert.ok(space.offsetOf(at(5), true) >= 0);
    assert.equal(space.resident, 3);
    assert.deepEqual([space.offsetOf(at(1024)), space.offsetOf(at(-1)), space.fill(1024)], [-1, -1, false]);
    space.release();
    assert.deepEqual([space.offsetOf(at(3)), space.offsetOf(at(7), true), space.fill(7)], [-1, -1, false]);
    assert.ok(bytesOf(machine, machine.zeros / FRAME_SIZE).every((byte) => byte === 0));
  });

  it('has no more frames than its limit, whatever is free and whatever is promised', () => {
    const machine = machineOf(8 * MIB);
    const space = new LogicalAddressSpace(machine, 1024, 20);
    space.limit = 30;
    let had = 0;
    for (let page = 0; page < 100; page++) {
      space.replenish();
      if (page % 2 === 0 ? touch(machine, space, page) : space.fill(page)) had++;
    }
    assert.deepEqual([had, space.taken, space.resident, space.limit], [30, 30, 30, 30]);
    assert.equal(space.offsetOf(at(200), true), -1);
    space.limit = 40;
    assert.ok(touch(machine, space, 200), 'what it may have more it has at once');
    // What it has beyond a new limit it keeps; what waits for it in its reserve it does not.
    space.limit = 10;
    assert.deepEqual([space.taken, space.resident, touch(machine, space, 201)], [31, 31, false]);
    space.limit = 5000;
    assert.equal(space.limit, 1024);
    assert.ok(touch(machine, space, 201));
    const { frames } = machine;
    const { free, available } = frames;
    space.release();
    assert.ok(frames.free > free + 31 && frames.available > available);
  });

  it('gives a page back clean, when the harts have forgotten it and not before', async () => {
    const machine = machineOf(8 * MIB);
    const { frames } = machine;
    let forgotten = (): void => undefined;
    const waits: number[] = [];
    const space = new LogicalAddressSpace(machine, 1024, 1024, {
      starved: () => undefined,
      refilled: () => undefined,
      tookOthers: () => undefined,
      forget: () => {
        waits.push(frames.free);
        return new Promise((resolve) => (forgotten = resolve));
      },
    });
    const free = frames.free;
    space.write(at(10), new Uint8Array(8 * FRAME_SIZE).fill(7));
    const had = Array.from({ length: 11 }, (_, n) => space.frameOf(10 + n));
    for (const frame of had) machine.words[(machine.frameWords >>> 2) + frame] |= FRAME_CODE;
    for (let page = 10; page < 18; page++) assert.ok(space.giveBack(page));
    assert.ok(!space.giveBack(10), 'it has gone already');
    assert.deepEqual([space.isAbsent(10), space.resident, space.taken, frames.free], [true, 1016, 1024, free]);
    assert.equal(machine.bytes[space.offsetOf(at(10))], 0);
    await Promise.resolve();
    await Promise.resolve();
    assert.ok(space.giveBack(20));
    assert.deepEqual(waits, [free], 'eight pages are waited for together');
    forgotten();
    await new Promise((resolve) => setTimeout(resolve, 0));
    assert.equal(frames.free, free + 8);
    forgotten();
    await space.settled();
    assert.deepEqual([frames.free, space.taken], [free + 9, 1015]);

    // All of its memory is guaranteed to it, so nobody else has got those.
    assert.equal(frames.available, free);
    assert.ok(space.fill(10));
    const frame = space.frameOf(10);
    assert.ok(bytesOf(machine, frame).every((byte) => byte === 0));
    assert.ok(had.includes(frame));
    assert.equal(machine.words[(machine.frameWords >>> 2) + frame] & FRAME_CODE, 0, 'what was translated is stale');
    space.release();
  });

  it('has what is guaranteed, whatever others take; the rest is who comes first', () => {
    const machine = machineOf(8 * MIB);
    const { frames } = machine;
    const pressed: number[] = [];
    const host = {
      forget: () => Promise.resolve(),
      refilled: () => undefined,
      starved: () => pressed.push(-1),
      tookOthers: () => pressed.push(frames.available),
    };
    const modest = new LogicalAddressSpace(machine, 1024, 500);
    const greedy = new LogicalAddressSpace(machine, 4096, 0, host);
    const got = Array.from({ length: 4096 }, (_, page) => greedy.fill(page)).filter((ok) => ok).length;
    assert.equal(frames.available, 0);
    assert.equal(frames.free, 500 - modest.taken);
    assert.ok(got < 4096 && pressed.length > 0 && !pressed.includes(-1));
    assert.equal(greedy.offsetOf(at(4095), true), -1);
    assert.equal(pressed.at(-1), -1, 'a device was starved');
    assert.throws(() => greedy.write(at(4095), Uint8Array.of(1)), { code: 'no-frames' });
    assert.throws(() => new LogicalAddressSpace(machine, 4, 4), ComputerError);
    for (let page = 0; page < 500; page++) assert.ok(modest.fill(page), `page ${page} of 500 that are guaranteed`);
    assert.ok(!modest.fill(500));
    assert.deepEqual([frames.free, modest.resident], [0, 500]);
    greedy.release();
    assert.ok(modest.fill(500));
    modest.release();
  });

  it('refills what harts take from, leaves the last frames to devices, and says when there are none', () => {
    const machine = machineOf(8 * MIB);
    const { frames } = machine;
    const space = new LogicalAddressSpace(machine, 4096, 0);
    const reserve = new Reserve(machine.words, space.reserve);
    let page = 0;
    const asked: number[] = [];
    while (touch(machine, space, page)) {
      page++;
      if (reserve.ask()) {
        assert.ok(!reserve.ask(), 'once');
        asked.push(reserve.level);
        space.replenish();
      }
    }
    assert.equal(space.resident, page);
    assert.ok(asked[0] > 0, 'it asks before it is empty');
    assert.ok(reserve.none && reserve.level === 0);
    assert.equal(frames.available, cushion(frames));
    for (let n = frames.available; n > 0; n--) assert.ok(space.offsetOf(at(page++), true) >= 0);
    assert.ok(!space.fill(page));
    space.release();
  });

  it('wakes harts that wait when there are frames again, and nobody else', () => {
    const machine = machineOf(8 * MIB);
    let woken = 0;
    const space = new LogicalAddressSpace(machine, 4096, 0, {
      forget: () => Promise.resolve(),
      refilled: () => woken++,
      starved: () => undefined,
      tookOthers: () => undefined,
    });
    const reserve = new Reserve(machine.words, space.reserve);
    const eat = (from: number): number => {
      let page = from;
      while (touch(machine, space, page)) page++;
      return page;
    };
    const first = eat(0);
    space.replenish();
    assert.equal(woken, 0, 'none waits');
    const second = eat(first);
    reserve.waits();
    space.replenish();
    space.replenish();
    assert.equal(woken, 1);
    // Where there is nothing they sleep on.
    const all = new LogicalAddressSpace(machine, 4096, 0);
    for (let page = 0; all.fill(page); page++);
    eat(second);
    reserve.waits();
    space.replenish();
    assert.deepEqual([woken, space.starving], [1, true]);
    all.release();
    space.replenish();
    assert.deepEqual([woken, space.starving], [2, false]);
    space.release();
  });

  it('keeps books that are right after anything', async () => {
    const random = new Random(Number(process.env['HART_SEED'] ?? 14));
    for (let round = 0; round < 20; round++) {
      const machine = machineOf(4 * MIB);
      const { frames } = machine;
      const all = frames.free;
      const spaces: LogicalAddressSpace[] = [];
      for (let step = 0; step < 300; step++) {
        const space = spaces[random.between(0, Math.max(0, spaces.length - 1))];
        const page = random.between(0, 400);
        try {
          switch (random.between(0, 9)) {
            case 0: {
              const pages = random.between(1, 500);
              spaces.push(new LogicalAddressSpace(machine, pages, random.between(0, pages)));
              break;
            }
            case 1:
              space?.release();
              if (space !== undefined) spaces.splice(spaces.indexOf(space), 1);
              break;
            case 2:
              space?.replenish();
              break;
            case 3:
              for (let n = page; n < page + 50; n++) space?.giveBack(n);
              break;
            case 4:
              await space?.settled();
              break;
            case 5:
              space?.guarantee(random.between(0, space.pages));
              break;
            case 6:
              space?.giveBackReserve();
              break;
            case 7:
              for (let n = page; n < Math.min(space?.pages ?? 0, page + 50); n++) touch(machine, space, n);
              break;
            default:
              for (let n = page; n < page + 20; n++) space?.fill(n);
          }
        } catch (error) {
          assert.ok(error instanceof ComputerError && error.code === 'no-frames', String(error));
        }
        check(machine, all, spaces);
      }
      for (const space of spaces) space.release();
      assert.deepEqual([frames.free, frames.available], [all, all]);
    }
  });
});

/** Every frame is in one place, and what is promised is there. */
function check(machine: MachineMemory, all: number, spaces: readonly LogicalAddressSpace[]): void {
  const { frames } = machine;
  const mapped = new Set<number>();
  let taken = 0;
  let promised = 0;
  for (const space of spaces) {
    let resident = 0;
    for (let page = 0; page < space.pages; page++) {
      const frame = space.frameOf(page);
      if (frame < 0) continue;
      assert.ok(!mapped.has(frame), `frame ${frame} is mapped twice`);
      mapped.add(frame);
      resident++;
    }
    assert.equal(space.resident, resident);
    taken += space.taken + Math.ceil((space.pages * 4) / FRAME_SIZE) + 1;
    promised += Math.max(0, space.guaranteed - space.taken);
  }
  assert.equal(frames.free, all - taken);
  assert.equal(frames.available, frames.free - promised);
  assert.ok(frames.available >= 0);
}
