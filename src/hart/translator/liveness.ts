/**
 * Which registers a region must load when it is entered and store when it is left.
 *
 * A register that is used often lives in a local; the others stay where they are, in the hart's
 * state. A node's exits store what may have been written on the way there; what is stored but not
 * surely written, and what is read before it is written, is loaded on entry.
 */
import type { Masks, Node } from './graph.js';
import { successors } from './structure.js';

export interface Liveness {
  /** Registers to load on entry. */
  readonly load: Masks;
  /** Per node: what its exits and traps store. */
  readonly store: ReadonlyMap<Node, Masks>;
  /** Registers that live in locals. */
  readonly locals: Masks;
}

interface Flow {
  /** Written in the node; read before written in it. */
  readonly writes: Masks;
  readonly exposed: Masks;
  maybeIn: Masks;
  mustIn: Masks;
}

const ALL = -1;

/** Uses that make a register worth a local, which costs a load, and a store at each exit. */
const OFTEN = 4;
/** Uses that one in a loop counts for, in each loop around it. */
const IN_LOOP = 8;

export function analyse(nodes: readonly Node[]): Liveness {
  const flows = new Map<Node, Flow>();
  for (const node of nodes) {
    const writes: Masks = { x: 0, f: 0 };
    const exposed: Masks = { x: 0, f: 0 };
    for (const { effects: e } of node.steps) {
      exposed.x |= e.reads.x & ~writes.x;
      exposed.f |= e.reads.f & ~writes.f;
      writes.x |= e.writes.x;
      writes.f |= e.writes.f;
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

  const locals = usedOften(nodes);
  const load: Masks = { x: 0, f: 0 };
  const store = new Map<Node, Masks>();
  for (const node of nodes) {
    const { writes, exposed, maybeIn, mustIn } = flows.get(node)!;
    const stored = { x: (maybeIn.x | writes.x) & locals.x, f: (maybeIn.f | writes.f) & locals.f };
    store.set(node, stored);
    load.x |= (exposed.x | stored.x) & ~mustIn.x & locals.x;
    load.f |= (exposed.f | stored.f) & ~mustIn.f & locals.f;
  }
  return { load, store, locals };
}

function usedOften(nodes: readonly Node[]): Masks {
  const uses = { x: new Float64Array(32), f: new Float64Array(32) };
  const count = (times: Float64Array, mask: number, by: number): void => {
    for (let rest = mask; rest !== 0; rest &= rest - 1) times[31 - Math.clz32(rest & -rest)] += by;
  };
  for (const node of nodes) {
    const by = IN_LOOP ** node.loops;
    for (const { effects: e } of node.steps) {
      count(uses.x, e.reads.x, by);
      count(uses.x, e.writes.x, by);
      count(uses.f, e.reads.f, by);
      count(uses.f, e.writes.f, by);
    }
  }
  const often = (times: Float64Array): number => times.reduce((mask, n, r) => (n < OFTEN ? mask : mask | (1 << r)), 0);
  return { x: often(uses.x), f: often(uses.f) };
}
