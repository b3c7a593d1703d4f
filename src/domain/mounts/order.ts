import { below, type Mount } from './mountinfo.js';

/** How many names a path has. */
const depth = (path: string): number => path.split('/').filter((name) => name !== '').length;

/** The mount that is at the root of all others; undefined where that is not clear. */
export function rootMount(mounts: readonly Mount[]): Mount | undefined {
  const ids = new Set(mounts.map((m) => m.id));
  const tops = mounts.filter((m) => !ids.has(m.parent) || m.parent === m.id);
  return tops.length === 1 && tops[0]?.point === '/' ? tops[0] : undefined;
}

/**
 * Mounts in an order in which each can be mounted: parents before children, and of the children of one mount those first
 * whose place lies deeper, for a later one may cover it. In the reverse order each is uncovered when its turn comes.
 */
export function mountOrder(mounts: readonly Mount[]): Mount[] {
  const children = new Map<number, Mount[]>();
  for (const m of mounts) children.set(m.parent, [...(children.get(m.parent) ?? []), m]);
  const out: Mount[] = [];
  const seen = new Set<number>();
  const visit = (m: Mount): void => {
    if (seen.has(m.id)) return;
    seen.add(m.id);
    out.push(m);
    const own = (children.get(m.id) ?? []).filter((c) => c !== m);
    own.sort((a, b) => depth(b.point) - depth(a.point) || a.id - b.id);
    for (const c of own) visit(c);
  };
  const root = rootMount(mounts);
  if (root !== undefined) visit(root);
  return out;
}

/** Of several parts of a file system, those that hold all others. */
export function widest(mounts: readonly Mount[]): Mount[] {
  const sorted = [...mounts].sort((a, b) => a.root.length - b.root.length);
  const out: Mount[] = [];
  for (const m of sorted) if (!out.some((w) => below(m.root, w.root) !== undefined)) out.push(m);
  return out;
}
