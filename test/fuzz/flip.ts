/** Frames of two OS instances change places as those of a domain that moves, and what is in them too: neither can tell. */
import type { Random } from '../../src/hart/testing/random.js';
import type { LogicalAddressSpace } from '../../src/partition/address-space.js';
import type { Partition } from '../../src/partition/partition.js';
import { checkPairs, exchange } from '../../src/remapping/exchange.js';

const FRAME = 4096;
const MOST_PAIRS = 256;

/** Flips random pages of two instances, or of one; how many. */
export async function flipUnseen(one: Partition, other: Partition, random: Random): Promise<number> {
  const count = random.between(1, MOST_PAIRS);
  const [a, b] =
    one === other
      ? halves(neighbours(2 * count, one.space.pages, random))
      : [distinct(count, one.space.pages, random), distinct(count, other.space.pages, random)];
  const pauses = await Promise.all([one.pause(), other.pause()]);
  try {
    const held = a.map((page, i) => filled(one.space, page) && filled(other.space, b[i]));
    const pairs = {
      sources: Int32Array.from(a.filter((_, i) => held[i])),
      targets: Int32Array.from(b.filter((_, i) => held[i])),
    };
    checkPairs(pairs, one.space.map, other.space.map);
    const { framesFlipped } = exchange(pairs, one.space.map, other.space.map);
    pairs.sources.forEach((page, i) =>
      swapContents(one.space, one.space.frameOf(page), other.space.frameOf(pairs.targets[i])),
    );
    return framesFlipped;
  } finally {
    for (const letGo of pauses) letGo();
  }
}

/** Of a stretch that is not much longer: what lies together is of one kind. */
function neighbours(count: number, below: number, random: Random): number[] {
  const length = Math.min(below, count + 32);
  const first = random.below(below - length + 1);
  return distinct(count, length, random).map((page) => first + page);
}

const halves = (pages: readonly number[]): [number[], number[]] => [
  pages.slice(0, pages.length / 2),
  pages.slice(pages.length / 2),
];

function distinct(count: number, below: number, random: Random): number[] {
  const pages = new Set<number>();
  while (pages.size < count) pages.add(random.below(below));
  return [...pages];
}

const filled = (space: LogicalAddressSpace, page: number): boolean => space.frameOf(page) >= 0 || space.fill(page);

function swapContents(space: LogicalAddressSpace, one: number, other: number): void {
  const { bytes } = space;
  const kept = bytes.slice(one * FRAME, (one + 1) * FRAME);
  bytes.copyWithin(one * FRAME, other * FRAME, (other + 1) * FRAME);
  bytes.set(kept, other * FRAME);
  for (const frame of [one, other]) space.written(frame * FRAME, FRAME);
}
