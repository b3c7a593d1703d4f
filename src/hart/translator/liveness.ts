/**
 * Which registers a region must load when it is entered and store when it is left.
 *
 * A register that is written anywhere lives in a local. A node's exits store what may
 * have been written on the way there; what is stored but not surely written, and what
 * is read before it is written, is loaded on entry.
 */
import type { Masks } from './effects.js';
import type { Node } from './graph.js';
import { successors } from './structure.js';

export interface Liveness {
  /** Registers to load on entry. */
  readonly load: Masks;
  /** Per node: what its exits and traps store. */
  readonly store: ReadonlyMap<Node, Masks>;
  /** All registers that need a local. */
  readonly used: Masks;
}

interface Flow {
  /** Written in the node; read before written in it. */
  readonly writes: Masks;
  readonly exposed: Masks;
  maybeIn: Masks;
  mustIn: Masks;
}

const ALL = -1;

export function analyse(nodes: readonly Node[]): Liveness {
  const flows = new Map<Node, Flow>();
  const used: Masks = { x: 0, f: 0 };
  for (const node of nodes) {
    const writes: Masks = { x: 0, f: 0 };
    const exposed: Masks = { x: 0, f: 0 };
    for (const { effects: e } of node.steps) {
      exposed.x |= e.reads.x & ~writes.x;
      exposed.f |= e.reads.f & ~writes.f;
      writes.x |= e.writes.x;
      writes.f |= e.writes.f;
      used.x |= e.reads.x | e.writes.x;
      used.f |= e.reads.f | e.writes.f;
    }
    flows.set(node, { writes, exposed, maybeIn: { x: 0, f: 0 }, mustIn: { x: ALL, f: ALL } });
  }
  flows.get(nodes[0])!.mustIn = { x: 0, f: 0 };

  for (let changed = true; changed;) {
    changed = false;
    for (const node of nodes) {
      const from = flows.get(node)!;
      for (const successor of successors(node)) {
        const to = flows.get(successor)!;
        const maybe = {
          x: to.maybeIn.x | from.maybeIn.x | from.writes.x,
          f: to.maybeIn.f | from.maybeIn.f | from.writes.f,
        };
        const must = {
          x: to.mustIn.x & (from.mustIn.x | from.writes.x),
          f: to.mustIn.f & (from.mustIn.f | from.writes.f),
        };
        if (successor === nodes[0]) must.x = must.f = 0;
        if (maybe.x !== to.maybeIn.x || maybe.f !== to.maybeIn.f || must.x !== to.mustIn.x || must.f !== to.mustIn.f) {
          to.maybeIn = maybe;
          to.mustIn = must;
          changed = true;
        }
      }
    }
  }

  const load: Masks = { x: 0, f: 0 };
  const store = new Map<Node, Masks>();
  for (const node of nodes) {
    const { writes, exposed, maybeIn, mustIn } = flows.get(node)!;
    const stored = { x: maybeIn.x | writes.x, f: maybeIn.f | writes.f };
    store.set(node, stored);
    load.x |= (exposed.x | stored.x) & ~mustIn.x;
    load.f |= (exposed.f | stored.f) & ~mustIn.f;
  }
  return { load, store, used };
}
