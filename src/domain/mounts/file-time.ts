import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';

const CLOCK_REALTIME_COARSE = 5;

/** The real time as files are stamped with it, in nanoseconds. */
export async function fileTime(hands: Hands): Promise<bigint> {
  const b = hands.batch();
  const out = b.out(16);
  b.call(SYS.clock_gettime, CLOCK_REALTIME_COARSE, out);
  const v = (await b.run()).view(out);
  return v.getBigInt64(0, true) * 1_000_000_000n + v.getBigInt64(8, true);
}
