import type { Batch, BatchResult } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { together } from '../together.js';

/** Calls in one batch: the mailbox has room for some more. */
const CALLS = 500;

/**
 * Asks the same of many, in as few batches as they fit into; answers what each came to, in order. `calls`: of the hands,
 * for each of the many.
 *
 *     const masks = await askAll(hands, tids, 1, (b, tid) => {
 *       const mask = b.out(8);
 *       b.call(SYS.ptrace, PTRACE.GETSIGMASK, tid, 8, mask);
 *       return (r) => r.view(mask).getBigUint64(0, true);
 *     });
 */
export async function askAll<A, T>(
  hands: Hands,
  many: readonly A[],
  calls: number,
  ask: (b: Batch, one: A) => (r: BatchResult) => T,
): Promise<T[]> {
  const atOnce = Math.max(1, Math.floor(CALLS / calls));
  const parts: Promise<T[]>[] = [];
  for (let start = 0; start < many.length; start += atOnce) {
    const b = hands.batch();
    const answers = many.slice(start, start + atOnce).map((one) => ask(b, one));
    parts.push(b.run().then((r) => answers.map((answer) => answer(r))));
  }
  return (await together(parts)).flat();
}
