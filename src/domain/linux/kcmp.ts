import type { Batch, Ref } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { together } from '../together.js';
import { askAll } from './ask-all.js';

/** Answers of kcmp(2): the kernel tells an order too, by which many can be sorted. */
const SAME = 0;
const BEFORE = 1;

/**
 * Many in groups of what is the same to the kernel, each in the order in which they came: all are compared with one of
 * them, and those before and after it among themselves, which takes some n log n comparisons where each with each were
 * n²/2. `compare` adds the call. `failed` takes `-errno`, and may throw; what it lets pass is in no group.
 */
export async function sameOnes<T>(
  hands: Hands,
  many: readonly T[],
  compare: (b: Batch, one: T, other: T) => Ref,
  failed: (result: number) => void,
): Promise<T[][]> {
  const pivot = many[many.length >> 1];
  if (pivot === undefined) return [];
  if (many.length === 1) return [[pivot]];
  const others = many.filter((one) => one !== pivot);
  const order = await askAll(hands, others, 1, (b, one) => {
    const n = compare(b, one, pivot);
    return (r) => r.value(n);
  });
  for (const result of order) if (result < 0) failed(result);
  const answering = (is: (o: number) => boolean): T[] => others.filter((_, i) => is(order[i] ?? -1));
  const apart = (is: (o: number) => boolean): Promise<T[][]> => sameOnes(hands, answering(is), compare, failed);
  const [before, after] = await together([apart((o) => o === BEFORE), apart((o) => o > BEFORE)]);
  const same = new Set([pivot, ...answering((o) => o === SAME)]);
  return [...before, many.filter((one) => same.has(one)), ...after];
}
