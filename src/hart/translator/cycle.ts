/** The cycle that an edge back to a loop's header closes. */
import type { Node } from './graph.js';

/** Blocks of a loop at most: those that copy or fill memory have one or two. */
const MAX_NODES = 4;

/** What one turn of a loop executes, from its header on, if it is always the same. */
export interface Cycle {
  readonly nodes: readonly Node[];
  /** The block with the one branch that may leave, and whether staying is its taken edge. */
  readonly exit: Node;
  readonly staysByTaken: boolean;
}

/** The cycle of the edge from → header; undefined if it has not exactly one branch, or ends in other ways. */
export function cycleOf(from: Node, header: Node): Cycle | undefined {
  const start = straight(header, from);
  const exit = start.at(-1);
  if (exit?.end !== 'branch' || exit.taken === exit.next) return undefined;
  for (const staysByTaken of [true, false]) {
    const stays = staysByTaken ? exit.taken : exit.next;
    if (exit === from) {
      if (stays === header) return { nodes: start, exit, staysByTaken };
    } else if (stays !== undefined && stays !== header) {
      const rest = straight(stays, from);
      const last = rest.at(-1);
      const closes = last === from && successor(last) === header;
      if (closes && start.length + rest.length <= MAX_NODES) return { nodes: [...start, ...rest], exit, staysByTaken };
    }
  }
  return undefined;
}

/** Where a block that does not branch goes on. */
const successor = (node: Node): Node | undefined =>
  node.end === 'fall' ? node.next : node.end === 'jump' ? node.taken : undefined;

/** Blocks from `node` to the first that branches, or to `last`. */
function straight(node: Node, last: Node): Node[] {
  const nodes: Node[] = [];
  for (let at: Node | undefined = node; at !== undefined && nodes.length < MAX_NODES; at = successor(at)) {
    nodes.push(at);
    if (at === last || at.end === 'branch') break;
  }
  return nodes;
}
