/** Files in memory as the hands map them, so that their pages can change places. */
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { extentsOf } from '../files/extents.js';
import { askAll } from '../linux/ask-all.js';
import { together } from '../together.js';
import type { Range } from './ranges.js';

const PAGE = 4096;

export const wholePages = (bytes: number): number => Math.ceil(bytes / PAGE) * PAGE;

/** Where a file in memory has pages. `fd`: a descriptor of the hands, whose offset changes. */
export async function pagesOf(hands: Hands, fd: number, size: number, what: string): Promise<Range[]> {
  const extents = await extentsOf(hands, fd, size, what);
  // Not by bits: a file may be larger than they can count.
  return extents.map(({ start, end }) => ({ start: start - (start % PAGE), end: wholePages(end) }));
}

/** Has the pages of memory that the hands have mapped be there. `data`: from where it is mapped; `advice`: MADV_POPULATE_…. */
export async function populate(hands: Hands, at: number, data: readonly Range[], advice: number): Promise<void> {
  const results = await askAll(hands, data, 1, (b, r) => {
    const n = b.call(SYS.madvise, at + r.start, r.end - r.start, advice);
    return (result) => result.value(n);
  });
  for (const result of results)
    if (result < 0) throw new DomainError('guest', `populating a memory object: errno ${-result}`, { errno: -result });
}

/** A file mapped into the hands of one side. */
export interface Mapped {
  readonly hands: Hands;
  readonly at: number;
  readonly bytes: number;
}

/** Takes mappings away. */
export async function unmapAll(mapped: readonly Mapped[]): Promise<void> {
  await together(
    [...new Set(mapped.map((m) => m.hands))].map((hands) =>
      askAll(
        hands,
        mapped.filter((m) => m.hands === hands),
        1,
        (b, { at, bytes }) => {
          b.call(SYS.munmap, at, bytes);
          return () => undefined;
        },
      ),
    ),
  );
}
