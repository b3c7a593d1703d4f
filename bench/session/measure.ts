/** Measuring side by side, so that a machine that changes its pace changes it for all. */
import type { Contender } from './contenders.js';
import type { ShopState } from './states.js';

/** Seal-and-open pairs per second. */
export interface Rate {
  /** Of the clock on the wall, one after the other. */
  readonly wall: number;
  /** Of processor time, all threads of the process together: per core. */
  readonly cpu: number;
}

/** Runs a contender for about `milliseconds`. */
async function runFor(contender: Contender, state: ShopState, milliseconds: number): Promise<Rate> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  let pairs = 0;
  let elapsed = 0;
  let step = 10;
  while (elapsed < milliseconds) {
    await contender(state, step);
    pairs += step;
    elapsed = performance.now() - start;
    // Few looks at the clock, and yet no step much longer than a tenth of the whole.
    if (elapsed < milliseconds / 10) step *= 2;
  }
  const used = process.cpuUsage(cpu);
  return { wall: (pairs / elapsed) * 1000, cpu: (pairs / (used.user + used.system)) * 1e6 };
}

/** The middle one of some numbers. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/**
 * Runs all contenders in turn, `rounds` times, after one round to warm up.
 *
 * @returns each contender's rate in every round
 */
export async function measure(
  all: Record<string, Contender>,
  state: ShopState,
  rounds: number,
  milliseconds: number,
): Promise<Record<string, Rate[]>> {
  const rates: Record<string, Rate[]> = {};
  for (let round = 0; round <= rounds; round++) {
    for (const [name, contender] of Object.entries(all)) {
      const rate = await runFor(contender, state, milliseconds);
      if (round > 0) (rates[name] ??= []).push(rate);
    }
  }
  return rates;
}
