/**
 * A hart's worker thread that fails once, as UNDERSTUDY_TEST_FAILURE said when it was started, by two words:
 *
 *   throw | exit | hang                       an exception, the thread's end, an endless loop
 *   start | translator | uart | rtc | plic | pci | seats
 *                                             before it runs at all, when it translates, or in the lock of that device, or
 *                                             of the table of seats
 *
 * Empty: it is sound, as the thread that replaces one that has died is to be.
 *
 * The failure is real, and so is the lock: what is put in its place is the atomic access that takes it.
 */
import { parentPort } from 'node:worker_threads';
import { monotonicMilliseconds } from '../../adapters/node/monotonic.js';
import { shareHostClock } from '../../computer/clock.js';
import type { HartAssignment } from '../../partition/assignment.js';
import { runHart } from '../hart-main.js';

/** Byte offsets of lock words in a board's pages. */
const LOCKS: Readonly<Record<string, number>> = { plic: 0, uart: 0x2000, rtc: 0x3000 };
/** Where a board's page of PCI slots names the console's page, and where that has its lock. */
const CONSOLE_SLOT = 0x1000 + 4;
const FUNCTION_LOCK = 0x100;

function lockOf({ board, memory, seatTable = 0 }: HartAssignment): number {
  if (where === 'seats') return seatTable >>> 2;
  if (where !== 'pci') return (board + LOCKS[where]) >>> 2;
  const page = Atomics.load(new Int32Array(memory.buffer), (board + CONSOLE_SLOT) >>> 2) >>> 0;
  return (page + FUNCTION_LOCK) >>> 2;
}

const [how = '', where = ''] = (process.env['UNDERSTUDY_TEST_FAILURE'] ?? '').split(' ');
let armed = how !== '';

function fail(): void {
  armed = false;
  switch (how) {
    case 'exit':
      process.exit(7);
      break;
    case 'hang':
      for (;;);
    default:
      throw new Error('injected failure');
  }
}

shareHostClock(monotonicMilliseconds);
const { compareExchange } = Atomics;

parentPort?.on('message', (assignment: HartAssignment) => {
  const lock = lockOf(assignment);
  // Every lock is taken by this.
  Atomics.compareExchange = ((words: Int32Array, index: number, expected: number, value: number): number => {
    const old = compareExchange(words, index, expected, value);
    if (armed && index === lock && old === 0 && value !== 0) fail();
    return old;
  }) as typeof Atomics.compareExchange;
  if (armed && where === 'start') fail();
  runHart(assignment, (message) => parentPort?.postMessage(message), {
    optimizeAfter: () => {
      if (armed && where === 'translator') fail();
    },
  });
});
