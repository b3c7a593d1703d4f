/** A computer that grows while instances run: nobody has what is added, and nobody got it before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodePlatform } from '../adapters/node/platform.js';
import { Frames } from '../computer/frames.js';
import { FRAME_SIZE } from '../computer/memory.js';
import { Vmm } from './vmm.js';

const MIB = 2 ** 20;

void test('frames that are not there yet are given to nobody, and are clean when they come', () => {
  const bytes = new Uint8Array(16 * FRAME_SIZE);
  const frames = new Frames(bytes, 2, 16);
  frames.withhold(6);
  assert.deepEqual([frames.free, frames.total], [8, 8]);
  const first = frames.allocate(8);
  assert.ok(first.every((frame) => frame < 10));
  assert.throws(() => frames.allocate(1), { code: 'no-frames' });
  assert.throws(() => frames.allocateRun(1), { code: 'no-frames' });
  assert.throws(() => frames.release(12), { code: 'no-frames' }, 'and given back by nobody');
  assert.throws(() => frames.add(7), { code: 'too-large' });
  frames.add(2);
  frames.add(4);
  assert.deepEqual([frames.free, frames.total], [6, 14]);
  assert.equal(frames.allocateRun(6), 10);
  for (const frame of first) frames.release(frame);
  assert.equal(frames.allocateRun(8), 2);
});

void test('memory and harts are added up to what was said, and partitions are made of them', async () => {
  const memory = { memory: 8 * MIB, maxMemory: 24 * MIB + 1000 };
  const vmm = new Vmm(nodePlatform, { ...memory, harts: 1, maxHarts: 3 });
  try {
    const { freeMemory } = vmm;
    assert.throws(() => vmm.partition(2, MIB), { code: 'no-hart' });
    assert.throws(() => vmm.partition(1, 20 * MIB), { code: 'no-frames' });
    const one = vmm.partition(1, 8 * MIB);
    vmm.addMemory(1000);
    for (let added = 0; added < 16; added += 4) vmm.addMemory(4 * MIB);
    assert.throws(() => vmm.addMemory(1), { code: 'too-large' });
    assert.throws(() => vmm.addHarts(3), { code: 'too-large' });
    vmm.addHarts(2);
    assert.deepEqual([vmm.harts, vmm.freeHarts, vmm.memory], [3, 2, 24 * MIB + 1000]);
    const two = vmm.partition(2, 16 * MIB);
    await Promise.all([one.release(), two.release()]);
    const control = 2 * 4 * MIB;
    assert.equal(vmm.freeMemory - freeMemory, 16 * MIB + FRAME_SIZE + control);
    assert.equal(vmm.freeHarts, 3);
  } finally {
    await vmm.close();
  }
});

void test('a computer has no more than the most that it can be brought to', () => {
  assert.throws(() => new Vmm(nodePlatform, { memory: 2 * MIB, maxMemory: MIB, harts: 1 }), { code: 'too-large' });
  assert.throws(() => new Vmm(nodePlatform, { memory: MIB, harts: 2, maxHarts: 1 }), { code: 'too-large' });
});

void test('an OS instance that touches all it can get and gives most of it back leaves room for what others need in a row', async () => {
  const vmm = new Vmm(nodePlatform, { memory: 16 * MIB, harts: 2 });
  try {
    const { frames } = vmm.machine;
    const pages = (64 * MIB) / FRAME_SIZE;
    const greedy = vmm.partition(1, pages * FRAME_SIZE, { guaranteed: MIB });
    let touched = 0;
    while (touched < pages && greedy.space.fill(touched)) touched++;
    assert.ok(touched >= (16 * MIB) / FRAME_SIZE && touched < pages, `${touched} pages`);
    assert.ok(frames.available > 0, 'what it got of the computer is not all');
    for (let page = 0; page < touched; page++) if (page % 64 !== 0) greedy.space.giveBack(page);
    await greedy.space.settled();
    const late = vmm.partition(1, 8 * MIB);
    // As a mailbox, and all that is kept for the devices of an OS instance.
    for (let n = 0; n < 3; n++) late.allocate(MIB);
    await Promise.all([late.release(), greedy.release()]);
  } finally {
    await vmm.close();
  }
});
