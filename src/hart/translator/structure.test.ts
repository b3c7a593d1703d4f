import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { Node } from './graph.js';
import { structure } from './structure.js';

/** Nodes named by their index; edges as [from, next, taken]. */
function graph(size: number, edges: readonly (readonly [from: number, next: number, taken?: number])[]): Node[] {
  const nodes = Array.from({ length: size }, (_, i) => new Node(i, undefined));
  for (const [from, next, taken] of edges) {
    nodes[from].next = nodes[next];
    if (taken !== undefined) nodes[from].taken = nodes[taken];
  }
  return nodes;
}

describe('structured control flow', () => {
  it('gives a diamond one merge, dominated by its head', () => {
    const nodes = graph(4, [
      [0, 1, 2],
      [1, 3],
      [2, 3],
    ]);
    structure(nodes[0]);
    assert.equal(nodes[3].dominator, nodes[0]);
    assert.equal(nodes[3].from.length, 2);
    assert.deepEqual(nodes[0].mergeChildren, [nodes[3]]);
    assert.ok(nodes.every(({ isLoopHeader }) => !isLoopHeader));
  });

  it('finds nested loops', () => {
    // 0 → 1 → 2 → 2, 2 → 1, 1 → 3
    const nodes = graph(5, [
      [0, 1],
      [1, 2, 4],
      [2, 3, 2],
      [3, 1],
    ]);
    structure(nodes[0]);
    assert.deepEqual(
      nodes.map(({ isLoopHeader }) => isLoopHeader),
      [false, true, true, false, false],
    );
    assert.equal(nodes[3].dominator, nodes[2]);
  });

  it('turns an edge into the middle of a loop into an exit, and keeps everything else', () => {
    // A loop 1 ⇄ 2 that is entered at both ends has no header.
    const nodes = graph(3, [
      [0, 1, 2],
      [1, 2],
      [2, 1],
    ]);
    const order = structure(nodes[0]);
    assert.equal(order.length, 3);
    const retreating = nodes.flatMap((from) =>
      [from.next, from.taken].filter((to) => to !== undefined && to.order <= from.order),
    );
    assert.deepEqual(retreating, []);
  });
});
