import { below, type Mount } from './mountinfo.js';

/** How many names a path has. */
const depth = (path: string): number => path.split('/').filter((name) => name !== '').length;

/** The mount that is at the root of all others; undefined where that is not clear. */
export function rootMount(mounts: readonly Mount[]): Mount | undefined {
  const ids = new Set(mounts.map((m) => m.id));
  const tops = mounts.filter((m) => !ids.has(m.parent) || m.parent === m.id);
  return tops.length === 1 && tops[0]?.point === '/' ? tops[0] : undefined;
}

/** Whether another mount lies over all of a mount. */
export const isCovered = (m: Mount, mounts: readonly Mount[]): boolean =>
  mounts.some((x) => x !== m && x.parent === m.id && x.point === m.point);

/**
 * Mounts in an order in which each can be mounted: parents before children, and of the children of one mount those first
 * whose place lies deeper, for a later one may cover it. In the reverse order each is uncovered when its turn comes.
 */
export function mountOrder(mounts: readonly Mount[]): Mount[] {
  const children = new Map<number, Mount[]>();
  for (const m of mounts) {
    const own = children.get(m.parent);
    if (own === undefined) children.set(m.parent, [m]);
    else own.push(m);
  }
  const out: Mount[] = [];
  const seen = new Set<number>();
  const root = rootMount(mounts);
  // Mounts may lie in each other deeper than calls in calls can go; the next is last.
  const waiting = root === undefined ? [] : [root];
  for (let m = waiting.pop(); m !== undefined; m = waiting.pop()) {
    if (seen.has(m.id)) continue;
    seen.add(m.id);
    out.push(m);
    const own = children.get(m.id) ?? [];
    own.sort((a, b) => depth(a.point) - depth(b.point) || b.id - a.id);
    for (const c of own) waiting.push(c);
  }
  return out;
}

/** Of several parts of a file system, those that hold all others. */
export function widest(mounts: readonly Mount[]): Mount[] {
  const sorted = [...mounts].sort((a, b) => a.root.length - b.root.length);
  const out: Mount[] = [];
  for (const m of sorted) if (!out.some((w) => below(m.root, w.root) !== undefined)) out.push(m);
  return out;
}
