import type { Batch, BatchResult } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';

/** A batch of the hands has room for some more. */
const CALLS = 450;
const BYTES = 0x80000;

/**
 * Has the same done for many, in order, in as few batches as they fit into. `bytes`: of memory that one takes; what a
 * call comes to is given to the function that `ask` answers.
 */
export async function inBatches<A>(
  hands: Hands,
  many: readonly A[],
  bytes: (one: A) => number,
  ask: (b: Batch, one: A) => (r: BatchResult) => void,
): Promise<void> {
  for (let i = 0; i < many.length;) {
    const b = hands.batch();
    const answers: ((r: BatchResult) => void)[] = [];
    for (let used = 0; i < many.length && b.length < CALLS; i++) {
      const one = many[i];
      used += bytes(one);
      if (used > BYTES && answers.length > 0) break;
      answers.push(ask(b, one));
    }
    const r = await b.run();
    for (const answer of answers) answer(r);
  }
}
