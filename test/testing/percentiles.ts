/** How long answers take: in the middle, and all but one in a hundred. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

export function percentiles(times: readonly number[]): Percentiles {
  const sorted = [...times].sort((a, b) => a - b);
  return { p50: sorted[Math.floor(sorted.length / 2)], p99: sorted[Math.floor(sorted.length * 0.99)] };
}

/** A host that is busy may be late by chance, and not the same way in both measurements: so many attempts. */
const ATTEMPTS = 5;

/**
 * What is measured beside something is no more than so many milliseconds later than alone: in the middle, and `rare`ly more
 * (at the 99 %), if that is looked at. Both are shown.
 */
export async function within(
  milliseconds: number,
  t: TestContext,
  { rare }: { readonly rare: boolean },
  measure: () => Promise<{ alone: Percentiles; beside: Percentiles }>,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const { alone, beside } = await measure();
    const show = ({ p50, p99 }: Percentiles): string => `p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`;
    const shown = `alone ${show(alone)}; beside ${show(beside)}`;
    t.diagnostic(shown);
    const late = beside.p50 > alone.p50 + milliseconds || (rare && beside.p99 > alone.p99 + milliseconds);
    if (!late) return;
    assert.ok(attempt < ATTEMPTS, shown);
  }
}
