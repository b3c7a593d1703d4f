/**
 * The ends of a region: where it is left, registers that may have been written are stored. An end
 * that stores more registers stores its own and goes on in one that stores fewer of the same.
 */
import type { Masks } from './graph.js';

export interface RegionEnd {
  /** What has been stored when the region is left here. */
  readonly whole: Masks;
  /** What is stored here; the next one of the list stores the rest. */
  readonly stored: Masks;
  /** Nothing is left to be stored. */
  readonly isLast: boolean;
}

const bits = (mask: number): number => {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
};
const size = ({ x, f }: Masks): number => bits(x) + bits(f);
const isSubset = (a: Masks, b: Masks): boolean => (a.x & ~b.x) === 0 && (a.f & ~b.f) === 0;

/** The ends for these masks, all different, in their order in the code. */
export function chains(masks: readonly Masks[]): RegionEnd[] {
  const ends: RegionEnd[] = [];
  let rest = [...masks].sort((a, b) => size(b) - size(a));
  while (rest.length > 0) {
    const chain: Masks[] = [];
    rest = rest.filter((mask) => {
      const last = chain.at(-1);
      const fits = last === undefined || isSubset(mask, last);
      if (fits) chain.push(mask);
      return !fits;
    });
    chain.forEach((whole, i) => {
      const next = chain.at(i + 1) ?? { x: 0, f: 0 };
      ends.push({ whole, stored: { x: whole.x & ~next.x, f: whole.f & ~next.f }, isLast: i === chain.length - 1 });
    });
  }
  return ends;
}
