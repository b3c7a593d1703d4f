/**
 * Has the engine compile what a flip does over and over, before it is done for the first time while a domain stands
 * still: interpreted, it takes ten times as long.
 */
import { checkPairs, exchange } from './exchange.js';
import { ownPagesIn, walkRun, type GuestPhysical } from './page-run.js';
import { total, type Range } from '../domain/memory/ranges.js';

/** Pages to have gone over until all of it is compiled. */
const ENOUGH = 200_000;
/** Pages gone over at a time: clients are served between. */
const AT_A_TIME = 10_000;
/** A domain of few pages need not have its pages gone over as quickly. */
const MOST_PIECES = 60;
/** Pages of the exchange that is made for nothing. */
const PAGES = 4096;
const PRESENT = 3;

/**
 * Pieces of work, none longer than a few milliseconds. To be done before each move: the engine throws away what it has
 * compiled when something that it took for granted changes.
 */
export function* warmUp(
  memory: GuestPhysical,
  satp: bigint,
  ranges: readonly Range[],
  tables: number,
): Generator<void> {
  if (ranges.length === 0) return;
  const out = new Int32Array(AT_A_TIME);
  const maps = [0, 1].map((k) => Int32Array.from({ length: 2 * PAGES }, (_, i) => ((2 * i + k) << 8) | PRESENT));
  const sources = Int32Array.from({ length: PAGES }, (_, i) => i);
  const targets = Int32Array.from({ length: PAGES }, (_, i) => 2 * PAGES - 1 - i);
  for (let [warm, turns] = [0, 0]; warm < ENOUGH && turns < MOST_PIECES;) {
    for (const piece of pieces(ranges)) {
      // With what lies between.
      const between = { start: Math.min(...piece.map((r) => r.start)), end: Math.max(...piece.map((r) => r.end)) };
      ownPagesIn(memory, satp, [between], tables);
      for (const own of [false, true])
        for (const { start, end } of piece) walkRun(memory, satp, start, (end - start) / 4096, own, out, 0);
      checkPairs({ sources, targets }, maps[0], maps[1]);
      exchange({ sources, targets }, maps[0], maps[1]);
      warm += total(piece) / 4096;
      yield;
      if (warm >= ENOUGH || ++turns >= MOST_PIECES) return;
    }
  }
}

/** The ranges, in lists of about AT_A_TIME pages. */
function* pieces(ranges: readonly Range[]): Generator<Range[]> {
  let piece: Range[] = [];
  for (const r of ranges) {
    for (let start = r.start; start < r.end; start += AT_A_TIME * 4096) {
      piece.push({ start, end: Math.min(r.end, start + AT_A_TIME * 4096) });
      if (total(piece) < AT_A_TIME * 4096) continue;
      yield piece;
      piece = [];
    }
  }
  if (piece.length > 0) yield piece;
}
