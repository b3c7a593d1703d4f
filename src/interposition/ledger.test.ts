import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDisk } from '../computer/virtio/block-backend.js';
import { Ledger, type LedgerCounts } from './ledger.js';
import { BLOCK_MAGIC, BLOCK_SIZE, LedgerDisk, stampOf } from './ledger-disk.js';

const faults = ({ lost, doubled, reordered }: LedgerCounts): readonly number[] => [lost, doubled, reordered];

/** Writes 1 … n of lane 0 with a flush after every second, each answered before the next. */
function inOrder(ledger: Ledger, n: number): { writes: number; reads: number; flushes: number } {
  let epoch = 0;
  for (let number = 1; number <= n; number++) {
    ledger.write({ lane: 0, number, epoch }).complete();
    if (number % 2 === 0) {
      ledger.flush().complete();
      epoch++;
    }
  }
  return { writes: n, reads: 0, flushes: epoch };
}

test('what comes as it was asked for is neither lost nor doubled nor reordered', () => {
  const ledger = new Ledger();
  ledger.settle(0, inOrder(ledger, 9));
  assert.deepEqual(faults(ledger.counts), [0, 0, 0]);
  assert.deepEqual([ledger.counts.requests, ledger.counts.completed], [13, 13]);
});

test('a write that never comes is lost, in the middle or at the end', () => {
  const middle = new Ledger();
  middle.write({ lane: 0, number: 1, epoch: 0 }).complete();
  middle.write({ lane: 0, number: 3, epoch: 0 }).complete();
  middle.settle(0, { writes: 3, reads: 0, flushes: 0 });
  assert.deepEqual(faults(middle.counts), [1, 0, 0]);

  const end = new Ledger();
  end.settle(0, { ...inOrder(end, 4), writes: 6 });
  assert.deepEqual(faults(end.counts), [2, 0, 0]);

  const all = new Ledger();
  all.settle(0, { writes: 2, reads: 3, flushes: 0 });
  assert.deepEqual(faults(all.counts), [5, 0, 0]);
});

test('a request that is never answered is lost', () => {
  const ledger = new Ledger();
  ledger.write({ lane: 0, number: 1, epoch: 0 });
  ledger.settle(0, { writes: 1, reads: 0, flushes: 0 });
  assert.deepEqual(faults(ledger.counts), [1, 0, 0]);
});

test('what comes or is answered twice is doubled', () => {
  const ledger = new Ledger();
  const token = ledger.write({ lane: 0, number: 1, epoch: 0 });
  token.complete();
  token.giveUp();
  assert.deepEqual(faults(ledger.counts), [0, 1, 0]);
  ledger.write({ lane: 0, number: 1, epoch: 0 }).complete();
  assert.deepEqual(faults(ledger.counts), [0, 2, 0]);
  ledger.read().complete();
  ledger.flush().complete();
  ledger.settle(0, { writes: 1, reads: 0, flushes: 0 });
  assert.deepEqual(faults(ledger.counts), [0, 4, 0]);
});

test('a write that comes behind a later one of its lane is reordered, not lost', () => {
  const ledger = new Ledger();
  for (const number of [1, 3, 2]) ledger.write({ lane: 0, number, epoch: 0 }).complete();
  ledger.settle(0, { writes: 3, reads: 0, flushes: 0 });
  assert.deepEqual(faults(ledger.counts), [0, 0, 1]);
});

for (const [name, flush] of [
  ['without a flush', () => undefined],
  ['while the flush is not done', (ledger: Ledger) => void ledger.flush()],
  ['when the flush failed', (ledger: Ledger) => ledger.flush().giveUp()],
] as const) {
  test(`a write of a new epoch ${name} is reordered`, () => {
    const ledger = new Ledger();
    ledger.write({ lane: 0, number: 1, epoch: 0 }).complete();
    flush(ledger);
    ledger.write({ lane: 0, number: 2, epoch: 1 }).complete();
    assert.equal(ledger.counts.reordered, 1);
  });
}

test('a flush does not cover a write that was not done when it began', () => {
  const ledger = new Ledger();
  const slow = ledger.write({ lane: 0, number: 1, epoch: 0 });
  const flush = ledger.flush();
  slow.complete();
  flush.complete();
  ledger.write({ lane: 0, number: 2, epoch: 1 }).complete();
  assert.equal(ledger.counts.reordered, 1);
});

test('lanes are apart, and one flush may serve several', () => {
  const ledger = new Ledger();
  ledger.write({ lane: 0, number: 1, epoch: 0 }).complete();
  ledger.write({ lane: 1, number: 1, epoch: 0 }).complete();
  ledger.flush().complete();
  ledger.write({ lane: 0, number: 2, epoch: 1 }).complete();
  ledger.write({ lane: 1, number: 2, epoch: 1 }).complete();
  for (const lane of [0, 1]) ledger.settle(lane, { writes: 2, reads: 0, flushes: 1 });
  assert.deepEqual(faults(ledger.counts), [0, 0, 0]);
});

function block(lane: number, index: number, number: number, epoch = 0): Uint8Array {
  const bytes = new Uint8Array(BLOCK_SIZE);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BLOCK_MAGIC, true);
  view.setUint32(8, lane, true);
  view.setUint32(12, index, true);
  view.setBigUint64(16, BigInt(number), true);
  view.setBigUint64(24, BigInt(epoch), true);
  return bytes;
}

test('a disk with a ledger takes a request of several blocks as so many, and what is outside of its range as none', async () => {
  const ledger = new Ledger();
  const memory = new MemoryDisk(new Uint8Array(16 * BLOCK_SIZE));
  const disk = new LedgerDisk(memory, ledger, { first: 4, count: 8 });
  const both = new Uint8Array(2 * BLOCK_SIZE);
  both.set(block(0, 4, 1));
  both.set(block(0, 5, 2), BLOCK_SIZE);
  await disk.write(32, both);
  await disk.read(24, new Uint8Array(2 * BLOCK_SIZE));
  await disk.write(0, new Uint8Array(BLOCK_SIZE));
  await disk.flush();
  assert.equal(disk.strange, 0);
  ledger.settle(0, { writes: 2, reads: 1, flushes: 1 });
  assert.deepEqual(faults(ledger.counts), [0, 0, 0]);
  assert.equal(ledger.counts.requests, 4);
  assert.deepEqual(stampOf(memory.bytes.subarray(5 * BLOCK_SIZE, 6 * BLOCK_SIZE), 5), { lane: 0, number: 2, epoch: 0 });
  // Where its stamp does not say that it lies, and without a stamp.
  await disk.write(8 * 6, block(0, 7, 3));
  await disk.write(8 * 6, new Uint8Array(BLOCK_SIZE));
  assert.equal(disk.strange, 2);
});
