import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';

const CLOCK_REALTIME_COARSE = 5;

/** A file that changed at most so long before it was looked at may change again unnoticed: a clock's tick is 4 ms. */
export const TICKS = 50_000_000n;

/** The real time as files are stamped with it, in nanoseconds. */
export async function fileTime(hands: Hands): Promise<bigint> {
  const b = hands.batch();
  const out = b.out(16);
  b.call(SYS.clock_gettime, CLOCK_REALTIME_COARSE, out);
  const v = (await b.run()).view(out);
  return v.getBigInt64(0, true) * 1_000_000_000n + v.getBigInt64(8, true);
}
