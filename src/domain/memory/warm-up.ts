/**
 * Has the engine compile what a flip does over and over, before it is done for the first time while a domain stands
 * still: interpreted, it takes ten times as long.
 */
import { RAM_BASE } from '../../vmm/address-space.js';
import { checkPairs, exchange } from './exchange.js';
import { ownPagesIn, walkRun } from './page-run.js';

const PAGES = 2048;
const ROUNDS = 60;
/** V, R, W, U, A, D. */
const LEAF = 0b1101_0111;
const POINTER = 1;
const SATP_SV39 = 8n << 60n;

let warm = false;

/** Takes some milliseconds the first time, in small pieces, and nothing afterwards. */
export async function warmUp(): Promise<void> {
  if (warm) return;
  warm = true;
  // Two memories with page tables in their first pages that map the pages behind them.
  const [from, to] = [tables(), tables()];
  const maps = [0, 1].map((k) => Int32Array.from({ length: 2 * PAGES }, (_, i) => ((2 * i + k) << 8) | 3));
  const sources = new Int32Array(PAGES);
  const targets = new Int32Array(PAGES);
  for (let round = 0; round < ROUNDS; round++) {
    // Clients are served meanwhile.
    await new Promise<void>((resolve) => setTimeout(resolve, 0));
    ownPagesIn(from, SATP_SV39 | BigInt(RAM_BASE / 4096), [{ start: 0, end: PAGES * 4096 }], PAGES);
    walkRun(from, SATP_SV39 | BigInt(RAM_BASE / 4096), 0, PAGES, false, sources, 0);
    walkRun(to, SATP_SV39 | BigInt(RAM_BASE / 4096), 0, PAGES, true, targets, 0);
    checkPairs({ sources, targets }, maps[0], maps[1]);
    exchange({ sources, targets }, maps[0], maps[1]);
  }
}

/**
 *     page 0   root        one entry
 *          1   middle      PAGES / 512 entries
 *          2 … leaf tables
 */
function tables(): { words: Int32Array; offsetOf(address: number): number } {
  const leafTables = PAGES / 512;
  const size = (2 + leafTables) * 4096;
  const words = new Int32Array(new SharedArrayBuffer(size));
  const put = (at: number, page: number, flags: number): void => {
    words[at >> 2] = ((RAM_BASE / 4096 + page) << 10) | flags;
    words[(at >> 2) + 1] = Math.floor((RAM_BASE / 4096 + page) / 0x40_0000);
  };
  put(0, 1, POINTER);
  for (let t = 0; t < leafTables; t++) put(4096 + 8 * t, 2 + t, POINTER);
  for (let i = 0; i < PAGES; i++) put(2 * 4096 + 8 * i, i, LEAF);
  return {
    words,
    offsetOf: (address) => (address >= RAM_BASE && address < RAM_BASE + size ? address - RAM_BASE : -1),
  };
}
