import type { Hands } from '../guest/hands/hands.js';
import { SYS } from '../guest/hands/syscalls.js';
import { CLOCK } from '../domain/linux/flags.js';
import { check } from '../domain/linux/os.js';
import type { ClockOffsets } from '../domain/tree/anchor.js';
import type { RunningDomain } from '../domain/tree/launch.js';

const CLOCK_LOOKS = 4;

/** The domain's clocks in the destination: as if nothing had happened. */
export async function clockOffsets(domain: RunningDomain, to: Hands): Promise<ClockOffsets> {
  const clocks = [CLOCK.MONOTONIC, CLOCK.BOOTTIME] as const;
  const read = async (hands: Hands): Promise<bigint[]> => {
    const b = hands.batch();
    const outs = clocks.map((c) => {
      const buf = b.out(16);
      return { buf, n: b.call(SYS.clock_gettime, c, buf) };
    });
    const r = await b.run();
    return outs.map(({ buf, n }) => {
      check(r.value(n), 'reading a clock');
      const view = r.view(buf);
      return view.getBigInt64(0, true) * 1_000_000_000n + view.getBigInt64(8, true);
    });
  };
  // What passes between the two looks makes the offset too large, never too small, as the destination is looked at
  // first: clocks may step forward by it, never back. The best of a few looks steps least.
  let [monotonic, boottime] = [0n, 0n];
  for (let look = 0; look < CLOCK_LOOKS; look++) {
    const there = await read(to);
    const from = await read(domain.hands);
    const offset = (i: number): bigint => (from[i] ?? 0n) - (there[i] ?? 0n);
    if (look === 0 || offset(0) < monotonic) [monotonic, boottime] = [offset(0), offset(1)];
  }
  return { monotonic: domain.anchor.clocks.monotonic + monotonic, boottime: domain.anchor.clocks.boottime + boottime };
}
