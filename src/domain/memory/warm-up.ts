/**
 * Has the engine compile what a flip does over and over, before it is done for the first time while a domain stands
 * still: interpreted, it takes ten times as long.
 */
import { checkPairs, exchange } from './exchange.js';
import { ownPagesIn, walkRun, type GuestPhysical } from './page-run.js';
import { total, type Range } from './ranges.js';

/** Pages to have gone over until all of it is compiled. */
const ENOUGH = 400_000;
/** Pages gone over at a time: clients are served between. */
const AT_A_TIME = 10_000;
/** Pages of the exchange that is made for nothing. */
const PAGES = 4096;
const PRESENT = 3;

let warm = 0;

/** Pieces of work, none longer than a few milliseconds the first time; after a while there are none left. */
export function* warmUp(
  memory: GuestPhysical,
  satp: bigint,
  ranges: readonly Range[],
  tables: number,
): Generator<void> {
  const pages = total(ranges) / 4096;
  if (pages === 0) return;
  const out = new Int32Array(AT_A_TIME);
  const maps = [0, 1].map((k) => Int32Array.from({ length: 2 * PAGES }, (_, i) => ((2 * i + k) << 8) | PRESENT));
  const sources = Int32Array.from({ length: PAGES }, (_, i) => i);
  const targets = Int32Array.from({ length: PAGES }, (_, i) => 2 * PAGES - 1 - i);
  while (warm < ENOUGH) {
    for (const r of ranges) {
      for (let start = r.start; start < r.end && warm < ENOUGH; start += AT_A_TIME * 4096) {
        const end = Math.min(r.end, start + AT_A_TIME * 4096);
        ownPagesIn(memory, satp, [{ start, end }], tables);
        walkRun(memory, satp, start, (end - start) / 4096, true, out, 0);
        checkPairs({ sources, targets }, maps[0], maps[1]);
        exchange({ sources, targets }, maps[0], maps[1]);
        warm += PAGES + (end - start) / 4096;
        yield;
      }
    }
  }
}
