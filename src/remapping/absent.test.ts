/** Frames are flipped between OS instances whose pages may have none yet. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { MachineMemory } from '../computer/memory.js';
import type { Hands } from '../guest/hands/hands.js';
import type { MailboxTransport } from '../guest/hands/transport.js';
import { LogicalAddressSpace, RAM_START } from '../partition/address-space.js';
import type { Move } from '../domain/memory/mover.js';
import { FrameFlipper, type FlipSide } from './flipper.js';

const MIB = 2 ** 20;
const VA = 0x4000_0000;
const PAGES = 8;
const FIRST = 16;
const VALID = 0b1100_1111n;

/** A space whose tables map PAGES pages at VA to its pages from FIRST on. */
function sideOf(
  machine: MachineMemory,
  guaranteed: number,
): { side: FlipSide; space: LogicalAddressSpace; satp: bigint } {
  const space = new LogicalAddressSpace(machine, 1024, guaranteed);
  const entry = (table: number, index: number, page: number, flags: bigint): void => {
    const bytes = new Uint8Array(8);
    const value = (BigInt(RAM_START / 4096 + page) << 10n) | flags;
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    space.write(RAM_START + table * 4096 + 8 * index, bytes);
  };
  entry(0, Math.floor(VA / 2 ** 30), 1, 1n);
  entry(1, Math.floor(VA / 2 ** 21) % 512, 2, 1n);
  for (let i = 0; i < PAGES; i++) entry(2, (VA / 4096 + i) % 512, FIRST + i, VALID);
  const side = {
    hands: { name: 'a side' } as unknown as Hands,
    transport: { restless: () => undefined } as unknown as MailboxTransport,
    partition: { space, hold: () => () => undefined, pause: () => Promise.resolve(() => undefined) },
  };
  return { side, space, satp: (8n << 60n) | BigInt(RAM_START / 4096) };
}

const write = (space: LogicalAddressSpace, page: number, value: number): void =>
  space.write(RAM_START + (FIRST + page) * 4096, new Uint8Array(4096).fill(value));
const bytesAt = (space: LogicalAddressSpace, page: number): number[] => {
  const at = space.offsetOf(RAM_START + (FIRST + page) * 4096);
  return [...new Set(space.bytes.subarray(at, at + 4096))];
};

void test('a page without a frame is exchanged as what it is, zeros, whichever side it is on', async () => {
  const machine = MachineMemory.create(MachineMemory.limits(16 * MIB));
  const { frames } = machine;
  const all = frames.free;
  const [a, b] = [sideOf(machine, 0), sideOf(machine, 100)];
  for (const page of [0, 1, 4, 5]) write(a.space, page, 10 + page);
  for (const page of [0, 2, 4, 6]) write(b.space, page, 20 + page);
  assert.ok(a.space.isAbsent(FIRST + 2) && b.space.isAbsent(FIRST + 1));
  const flipper = new FrameFlipper([a.side, b.side], () => undefined);
  const move: Move = {
    from: { hands: a.side.hands, pid: 1, satp: a.satp },
    to: { hands: b.side.hands, pid: 1, satp: b.satp },
    fromVa: VA,
    toVa: VA,
    pages: PAGES,
  };
  const receipt = await flipper.flip([move]);
  assert.equal(receipt.framesFlipped, PAGES);
  const contents = (space: LogicalAddressSpace): number[][] =>
    Array.from({ length: PAGES }, (_, page) => bytesAt(space, page));
  const [inA, inB] = [
    [[10], [11], [0], [0], [14], [15], [0], [0]],
    [[20], [0], [22], [0], [24], [0], [26], [0]],
  ];
  assert.deepEqual([contents(a.space), contents(b.space)], [inB, inA]);
  await receipt.undo();
  assert.deepEqual([contents(a.space), contents(b.space)], [inA, inB]);

  // The frames that changed places are given back by whoever has them.
  await flipper.flip([move]);
  a.space.release();
  b.space.release();
  assert.deepEqual([frames.free, frames.available], [all, all]);
});

void test('where there is no frame for one, nothing is exchanged', async () => {
  const machine = MachineMemory.create(MachineMemory.limits(8 * MIB));
  const [a, b] = [sideOf(machine, 0), sideOf(machine, 0)];
  for (let page = 0; page < PAGES; page++) write(a.space, page, 30 + page);
  const eater = new LogicalAddressSpace(machine, 8192, 0);
  b.space.giveBackReserve();
  for (let page = 0; eater.fill(page); page++);
  const flipper = new FrameFlipper([a.side, b.side], () => undefined);
  const move: Move = {
    from: { hands: a.side.hands, pid: 1, satp: a.satp },
    to: { hands: b.side.hands, pid: 1, satp: b.satp },
    fromVa: VA,
    toVa: VA,
    pages: PAGES,
  };
  await assert.rejects(flipper.flip([move]), { name: 'DomainError', code: 'lost' });
  for (let page = 0; page < PAGES; page++) assert.deepEqual(bytesAt(a.space, page), [30 + page]);
  eater.release();
  assert.equal((await flipper.flip([move])).framesFlipped, PAGES);
});
