/** Harts that an instance may have and does not have, is given and gives back: real threads, guests of a few instructions. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { nodePlatform } from '../adapters/node/platform.js';
import { BOARD_SIZE } from '../computer/board.js';
import { PLIC_BASE } from '../computer/plic/plic.js';
import { FRAME_SIZE } from '../computer/memory.js';
import type { HartClaim } from '../computer/seat-table.js';
import { MAILBOX_SIZE } from '../guest/hands/mailbox.js';
import { BARE_DATA, BARE_MEMORY, bareKernel } from '../guest/testing/bare-kernel.js';
import { RAM_START } from './address-space.js';
import type { Partition } from './partition.js';
import { Vmm } from './vmm.js';

const HARTS = 2;
const MAX = 3;
let vmm: Vmm;
before(() => {
  vmm = new Vmm(nodePlatform, { memory: 3 * BARE_MEMORY, harts: HARTS });
});
after(() => vmm.close());

const STARTED = 0n;
const STOPPED = 1n;
const INVALID_PARAM = -3n;

/**
 * Hart 0 writes down, round after round: hart_get_status, hart_start and an IPI of hart 1, and what the PLIC's context 1
 * keeps of a threshold. Hart 1 counts, and stops itself when the word at 0x80 says so.
 */
const ASKING = `
  la s0, data
  li s1, ${PLIC_BASE + 0x20_1000}
again:
  li a7, 0x48534d
  li a6, 2
  li a0, 1
  ecall
  bnez a0, says
  mv a0, a1
says:
  sd a0, 8(s0)
  li a7, 0x735049
  li a6, 0
  li a0, 2
  li a1, 0
  ecall
  sd a0, 16(s0)
  li t0, 5
  sw t0, (s1)
  lw t0, (s1)
  sd t0, 24(s0)
  ld t0, 32(s0)
  beqz t0, goon
  sd zero, 32(s0)
  li a7, 0x48534d
  li a6, 0
  li a0, 1
  la a1, counts
  ecall
  sd a0, 40(s0)
goon:
  ld t0, (s0)
  addi t0, t0, 1
  sd t0, (s0)
  j again
counts:
  la s0, data
count:
  ld t0, 0x48(s0)
  addi t0, t0, 1
  sd t0, 0x48(s0)
  ld t0, 0x80(s0)
  beqz t0, count
  li a7, 0x48534d
  li a6, 1
  ecall
  j count`;

const moment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));
async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 60_000; !condition(); await moment()) {
    assert.ok(performance.now() < end, what);
  }
}

const at = ({ space }: Partition, offset: number): number => space.offsetOf(BARE_DATA + offset);
const get = (p: Partition, offset: number): bigint => p.space.view.getBigInt64(at(p, offset), true);
const set = (p: Partition, offset: number, value: bigint): void => p.space.view.setBigInt64(at(p, offset), value, true);

/** Two rounds of questions later. */
async function asked(p: Partition): Promise<void> {
  const before = get(p, 0);
  await until(() => get(p, 0) > before + 1n, 'it goes on asking');
}
async function startsHart1(p: Partition): Promise<bigint> {
  set(p, 40, 77n);
  set(p, 32, 1n);
  await until(() => get(p, 40) !== 77n, 'it has tried to start hart 1');
  return get(p, 40);
}

function begin(share?: HartClaim): Partition {
  const p = vmm.partition(1, BARE_MEMORY, { maxHarts: MAX, share });
  p.space.write(RAM_START, bareKernel(ASKING));
  const [board, mailbox, doorbell] = [BOARD_SIZE, MAILBOX_SIZE, FRAME_SIZE].map((size) => p.allocate(size));
  p.start(RAM_START, 0, { board, mailbox, doorbell });
  return p;
}

describe('an instance that may have three harts and has one', () => {
  test('finds no other, until it is given one; gives it back when it has stopped it, and finds it gone', async () => {
    const p = begin();
    await asked(p);
    const nobody = { status: get(p, 8), ipi: get(p, 16), threshold: get(p, 24) };
    assert.deepEqual(nobody, { status: INVALID_PARAM, ipi: INVALID_PARAM, threshold: 0n });
    assert.equal(await startsHart1(p), INVALID_PARAM);
    assert.equal(vmm.freeHarts, 1);

    for (let round = 0; round < 3; round++) {
      assert.equal(p.giveHart(), 1);
      assert.equal(vmm.freeHarts, 0);
      await asked(p);
      assert.deepEqual([get(p, 8), get(p, 16), get(p, 24)], [STOPPED, 0n, 5n]);
      set(p, 0x80, 0n);
      const counted = get(p, 0x48);
      assert.equal(await startsHart1(p), 0n);
      await until(() => get(p, 0x48) > counted, 'hart 1 counts');
      await asked(p);
      assert.equal(get(p, 8), STARTED);
      assert.equal(await p.takeHart(), false);
      const letGo = await p.pause();
      const still = get(p, 0x48);
      await moment();
      assert.equal(get(p, 0x48), still);
      letGo();

      set(p, 0x80, 1n);
      await until(() => get(p, 8) === STOPPED, 'hart 1 has stopped itself');
      assert.equal(await p.takeHart(), true);
      assert.equal(vmm.freeHarts, 1);
      await asked(p);
      assert.deepEqual([get(p, 8), get(p, 16), get(p, 24)], [INVALID_PARAM, INVALID_PARAM, 0n]);
    }
    assert.equal(await p.takeHart(), false);
    await p.release();
    assert.equal(vmm.freeHarts, HARTS);
    assert.throws(() => p.giveHart(), { code: 'released' });
  });

  test('gets none that the computer does not have, and none beyond what it was made for', async () => {
    const other = vmm.partition(1, BARE_MEMORY);
    const p = begin();
    assert.throws(() => p.giveHart(), { code: 'no-hart' });
    assert.throws(() => other.giveHart(), { code: 'no-hart' });
    await other.release();
    p.giveHart();
    await p.release();
    assert.equal(vmm.freeHarts, HARTS);
  });

  test('what is taken when it ends is given back once', async () => {
    const p = begin();
    p.giveHart();
    const [taken] = await Promise.all([p.takeHart(), p.release()]);
    assert.equal(taken, true);
    assert.equal(vmm.freeHarts, HARTS);
    const next = vmm.partition(HARTS, BARE_MEMORY);
    await next.release();
    assert.equal(vmm.freeHarts, HARTS);
  });
});

test('a hart that is just being taken is not given again', async () => {
  const p = begin();
  p.giveHart();
  const taken = p.takeHart();
  assert.throws(() => p.giveHart(), { code: 'no-hart' });
  assert.equal(await taken, true);
  assert.equal(vmm.freeHarts, HARTS - 1);
  assert.equal(p.giveHart(), 1);
  await p.release();
  assert.equal(vmm.freeHarts, HARTS);
});

describe('instances that share', () => {
  const SHARE = { weight: 100, cpu: Infinity };

  test('are given no more harts than the computer has', async () => {
    const p = begin(SHARE);
    assert.equal(p.giveHart(), 1);
    assert.throws(() => p.giveHart(), { code: 'no-hart' });
    assert.equal(await p.takeHart(), true);
    assert.equal(p.giveHart(), 1);
    await p.release();
    assert.equal(vmm.freeHarts, HARTS);
  });

  test('keep what they had when they have ended, and what is set then is nobody’s', async () => {
    const p = begin(SHARE);
    await asked(p);
    await p.release();
    const had = { ...p.share };
    assert.ok((had.used ?? 0) > 0);
    // As often as a table has records, and more.
    for (let round = 0; round < 4 * MAX; round++) {
      const next = vmm.partition(1, BARE_MEMORY, { share: { weight: 7, cpu: 0.5 } });
      p.share?.set({ weight: 77, cpu: 0.01 });
      assert.deepEqual({ ...p.share }, had);
      assert.deepEqual([next.share?.weight, next.share?.cpu, next.share?.used], [7, 0.5, 0]);
      await next.release();
      next.share?.set({ weight: 77, cpu: 0.01 });
      assert.deepEqual([next.share?.weight, next.share?.cpu], [7, 0.5]);
    }
  });
});

test('logical harts that a computer has no room for are refused, and nothing is taken', async () => {
  const { freeMemory } = vmm;
  assert.throws(() => vmm.partition(1, BARE_MEMORY, { maxHarts: 100 }), { code: 'no-hart' });
  const p = vmm.partition(HARTS, BARE_MEMORY);
  assert.throws(() => vmm.partition(1, BARE_MEMORY), { code: 'no-hart' });
  await p.release();
  assert.equal(vmm.freeMemory, freeMemory);
});
