/**
 * Structured control flow for a graph, after N. Ramsey, "Beyond Relooper" (ICFP 2022):
 * every node is emitted once, where its immediate dominator stands; a loop around each
 * loop header, a block for each node that several forward edges lead to. An edge that
 * would make the graph irreducible leaves the region instead.
 */
import type { Node } from './graph.js';

/** Numbers the nodes, finds dominators, loops and merges. Returns the nodes in reverse postorder. */
export function structure(entry: Node): Node[] {
  for (;;) {
    const nodes = reversePostorder(entry);
    findDominators(nodes);
    if (!cutIrreducible(nodes)) {
      classify(nodes);
      return nodes;
    }
  }
}

export const successors = (node: Node): Node[] => {
  const list: Node[] = [...node.targets];
  if (node.next !== undefined) list.push(node.next);
  if (node.taken !== undefined) list.push(node.taken);
  return list;
};

function reversePostorder(entry: Node): Node[] {
  const postorder: Node[] = [];
  const seen = new Set<Node>([entry]);
  const stack: { node: Node; rest: Node[] }[] = [{ node: entry, rest: successors(entry) }];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const child = top.rest.pop();
    if (child === undefined) {
      postorder.push(top.node);
      stack.pop();
    } else if (!seen.has(child)) {
      seen.add(child);
      stack.push({ node: child, rest: successors(child) });
    }
  }
  const nodes = postorder.reverse();
  nodes.forEach((node, order) => {
    node.order = order;
    node.dominator = undefined;
  });
  return nodes;
}

/** K. Cooper, T. Harvey, K. Kennedy, "A Simple, Fast Dominance Algorithm". */
function findDominators(nodes: readonly Node[]): void {
  const predecessors = new Map<Node, Node[]>(nodes.map((node) => [node, []]));
  for (const node of nodes) for (const s of successors(node)) predecessors.get(s)?.push(node);
  const [entry] = nodes;
  entry.dominator = entry;
  const intersect = (a: Node, b: Node): Node => {
    let [x, y] = [a, b];
    while (x !== y) {
      while (x.order > y.order) x = x.dominator!;
      while (y.order > x.order) y = y.dominator!;
    }
    return x;
  };
  for (let changed = true; changed;) {
    changed = false;
    for (const node of nodes) {
      if (node === entry) continue;
      let dominator: Node | undefined;
      for (const p of predecessors.get(node)!) {
        if (p.dominator === undefined) continue;
        dominator = dominator === undefined ? p : intersect(p, dominator);
      }
      if (node.dominator !== dominator) {
        node.dominator = dominator;
        changed = true;
      }
    }
  }
}

function dominates(a: Node, b: Node): boolean {
  let node = b;
  while (node.order > a.order) node = node.dominator!;
  return node === a;
}

/** Turns retreating edges that are no loops into exits. */
function cutIrreducible(nodes: readonly Node[]): boolean {
  let cut = false;
  const bad = (from: Node, to: Node | undefined): boolean =>
    to !== undefined && to.order <= from.order && !dominates(to, from);
  for (const node of nodes) {
    if (bad(node, node.taken)) {
      node.taken = undefined;
      cut = true;
    }
    if (bad(node, node.next)) {
      node.next = undefined;
      cut = true;
    }
    const kept = node.targets.filter((to) => !bad(node, to));
    if (kept.length < node.targets.length) {
      node.targets = kept;
      cut = true;
    }
  }
  return cut;
}

function classify(nodes: readonly Node[]): void {
  for (const node of nodes) {
    for (const to of successors(node)) {
      if (to.order <= node.order) to.loopEnd = node.order;
      else to.from.push(node);
    }
  }
  for (const node of nodes) {
    if (node.from.length > 1) node.dominator?.mergeChildren.push(node);
    for (let order = node.order; order <= node.loopEnd; order++) {
      if (dominates(node, nodes[order])) nodes[order].loops++;
    }
  }
}
