import type { SharedPages } from '../memory/shared-pages.js';
import { identity, type TargetVma } from '../memory/layout.js';
import { intersect, normalize, subtract, total, type Range } from '../memory/ranges.js';
import { ANCHOR, type Birth } from '../tree/tree.js';

/**
 * Pages that processes share since a fork can be shared anew in one way only: one of them, or who begets them, has the pages
 * before the others are born. This is the plan for that.
 *
 *     anchor ── 2 ─┬─ 3        2 and 3 share pages A; 3 and 5 share B, which 2 has written since; 4 shares nothing
 *                  ├─ 4
 *                  └─ 5        2 gets pages for B, begets 3; gets others for A …
 *
 * Whose pages nobody living has begotten (the siblings of one that has ended), they get from the one above who begets them, who
 * does not keep them. A page of a process can be one thing at a time: where two plans for it would meet, the one that saves less
 * is given up, and its pages are copied.
 */
export interface Inheritance {
  /** By the index of a birth: pages that who begets gets before, each a new one. */
  readonly before: ReadonlyMap<number, readonly Range[]>;
  /** By ids of processes: which of the pages that they inherit, or have got for others to inherit, they keep. */
  readonly keeps: ReadonlyMap<number, readonly Range[]>;
  /** Mappings that have these pages; in order, and apart from each other. */
  readonly regions: readonly TargetVma[];
}

export const NOTHING_INHERITED: Inheritance = { before: new Map(), keeps: new Map(), regions: [] };

/** Private mappings of a process, by its id in the domain. */
export interface Layout {
  readonly pid: number;
  readonly vmas: readonly TargetVma[];
}

/** When a process has pages of a set: from before one birth on to another, or for ever. */
interface Holding {
  readonly from: number;
  readonly to: number;
  readonly pages: readonly Range[];
}

export function planInheritance(
  births: readonly Birth[],
  shared: readonly SharedPages[],
  layouts: readonly Layout[],
): Inheritance {
  if (shared.length === 0) return NOTHING_INHERITED;
  const { regions, pagesOf } = findRegions(layouts, shared);
  const line = new Lineage(births);
  const held = new Map<number, Holding[]>();
  const before = new Map<number, readonly Range[]>();
  const keeps = new Map<number, readonly Range[]>();
  for (const set of shared) {
    const holders = line.holders(set.pids);
    if (holders === undefined) continue;
    let pages = pagesOf(set);
    for (const { pid, from, to } of holders.all)
      for (const other of held.get(pid) ?? [])
        if (other.from <= to && from <= other.to) pages = subtract(pages, other.pages);
    if (pages.length === 0) continue;
    for (const { pid, from, to } of holders.all) held.set(pid, [...(held.get(pid) ?? []), { from, to, pages }]);
    before.set(holders.first, normalize([...(before.get(holders.first) ?? []), ...pages]));
    for (const pid of set.pids) keeps.set(pid, normalize([...(keeps.get(pid) ?? []), ...pages]));
  }
  if (before.size === 0) return NOTHING_INHERITED;
  return { before, keeps, regions };
}

/** Who is begotten by whom, and when. */
class Lineage {
  readonly #births = new Map<number, { readonly by: number; readonly at: number; readonly depth: number }>();

  constructor(births: readonly Birth[]) {
    births.forEach((b, at) => {
      if (b.act === 'bear') this.#births.set(b.pid, { by: b.by, at, depth: (this.#births.get(b.by)?.depth ?? 0) + 1 });
    });
  }

  /**
   * Who must have pages, and when, so that all of these have them in common. `first`: the birth before which somebody gets them.
   * Undefined where one of them is not born.
   */
  holders(
    pids: readonly number[],
  ): { readonly first: number; readonly all: readonly { pid: number; from: number; to: number }[] } | undefined {
    const depth = (pid: number): number => this.#births.get(pid)?.depth ?? 0;
    const until = new Map<number, number>();
    const lines = new Set<number>();
    for (const pid of pids) if (!this.#births.has(pid)) return undefined;
    // The deepest climb first, until all have met.
    const climbing = new Set(pids);
    for (const pid of pids) until.set(pid, Infinity);
    let first = Infinity;
    while (climbing.size > 1) {
      const deepest = [...climbing].reduce((a, b) => (depth(b) > depth(a) ? b : a));
      const birth = this.#births.get(deepest);
      if (birth === undefined) return undefined;
      climbing.delete(deepest);
      climbing.add(birth.by);
      lines.add(deepest);
      until.set(birth.by, Math.max(until.get(birth.by) ?? -1, birth.at));
    }
    const [top = ANCHOR] = climbing;
    for (const pid of lines) {
      const birth = this.#births.get(pid);
      if (birth?.by === top) first = Math.min(first, birth.at);
    }
    const all = [...until].map(([pid, to]) => ({
      pid,
      from: pid === top ? first : (this.#births.get(pid)?.at ?? -1),
      to,
    }));
    return first === Infinity ? undefined : { first, all };
  }
}

/** A mapping of one process, or such of several that overlap and are the same in all. */
interface Region extends Range {
  readonly vma: TargetVma;
  readonly id: string;
}

/**
 * The mappings with shared pages, each as long as any process has it: the kernel does not join mappings again that have been
 * inherited apart. `pagesOf`: those pages of a set that all of its processes have in such a mapping.
 */
function findRegions(
  layouts: readonly Layout[],
  shared: readonly SharedPages[],
): { regions: TargetVma[]; pagesOf: (set: SharedPages) => Range[] } {
  const wanted = normalize(shared.flatMap((s) => s.pages));
  const candidates = layouts
    .flatMap(({ vmas }) => vmas.filter(canBeInherited))
    .map((vma): Region => ({ start: vma.start, end: vma.end, vma, id: identity(vma) }))
    .sort((a, b) => a.start - b.start);
  const byId = new Map<string, Region[]>();
  for (const c of candidates) {
    const same = byId.get(c.id) ?? [];
    byId.set(c.id, same);
    const last = same.at(-1);
    if (last !== undefined && c.start < last.end) same[same.length - 1] = { ...last, end: Math.max(last.end, c.end) };
    else same.push(c);
  }
  const gains = [...byId.values()]
    .flat()
    .map((region) => ({ region, gain: total(intersect([region], wanted)) }))
    .filter(({ gain }) => gain > 0)
    .sort((a, b) => b.gain - a.gain);
  const taken: Region[] = [];
  for (const { region } of gains)
    if (!taken.some((t) => t.start < region.end && t.end > region.start)) taken.push(region);
  taken.sort((a, b) => a.start - b.start);

  const own = new Map(layouts.map(({ pid, vmas }) => [pid, within(vmas, taken)]));
  return {
    regions: taken.map(asMapping),
    pagesOf: ({ pids, pages }) => pids.reduce<Range[]>((left, pid) => intersect(left, own.get(pid) ?? []), [...pages]),
  };
}

const canBeInherited = (v: TargetVma): boolean =>
  !v.shared &&
  v.place === undefined &&
  v.made?.droppable !== true &&
  (v.backing.kind === 'anonymous' || v.backing.kind === 'file');

/** Where mappings are parts of regions. Both in order. */
function within(vmas: readonly TargetVma[], regions: readonly Region[]): Range[] {
  const out: Range[] = [];
  let k = 0;
  for (const vma of vmas) {
    for (; k < regions.length && regions[k].end <= vma.start; k++);
    const region = regions[k];
    if (region === undefined) break;
    if (region.start <= vma.start && region.end >= vma.end && canBeInherited(vma) && identity(vma) === region.id)
      out.push(vma);
  }
  return normalize(out);
}

function asMapping({ start, end, vma }: Region): TargetVma {
  return { ...vma, start, end, offset: vma.backing.kind === 'file' ? vma.offset - (vma.start - start) : 0 };
}
