import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { askAll } from '../linux/ask-all.js';
import type { Range } from './ranges.js';

const PAGE = 4096;

export const wholePages = (bytes: number): number => Math.ceil(bytes / PAGE) * PAGE;

/** Has the pages of memory that the hands have mapped be there. `data`: from where it is mapped; `advice`: MADV_POPULATE_…. */
export async function populate(hands: Hands, at: number, data: readonly Range[], advice: number): Promise<void> {
  const results = await askAll(hands, data, 1, (b, r) => {
    const n = b.call(SYS.madvise, at + r.start, r.end - r.start, advice);
    return (result) => result.value(n);
  });
  for (const result of results)
    if (result < 0) throw new DomainError('guest', `populating a memory object: errno ${-result}`, { errno: -result });
}
