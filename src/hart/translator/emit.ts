/** Emission of a region as one WebAssembly function: (h) → 0, 1 + an EXIT_* reason, or REGION_REFUSES. */
import { I32, I64, i32, i64, type Callable, type ExprI64 } from '../../wasm/expr.js';
import type { FunctionBuilder, Label } from '../../wasm/function.js';
import type { ModuleBuilder } from '../../wasm/module.js';
import type { CoreFunctions } from '../core/functions.js';
import { PC, SIGNAL } from '../state.js';
import { instructions } from '../table/index.js';
import { floatGuard } from './effects.js';
import type { Masks } from './effects.js';
import type { Graph, Node } from './graph.js';
import { analyse } from './liveness.js';
import { RegionContext, type RegionFlow } from './region-context.js';
import { structure } from './structure.js';

export function emitRegion(module: ModuleBuilder, core: CoreFunctions, graph: Graph): Callable {
  const f = module.function([I32], I32);
  new RegionEmitter(f, core, graph).emit();
  return f;
}

const keyOf = ({ x, f }: Masks): string => `${x}:${f}`;

class RegionEmitter {
  readonly #nodes: Node[];
  readonly #store: ReadonlyMap<Node, Masks>;
  readonly #c: RegionContext;
  /** Where exits that store the same registers come together. */
  readonly #leave = new Map<string, Label>();
  readonly #merges = new Map<Node, Label>();
  readonly #loops = new Map<Node, Label>();

  constructor(
    private readonly f: FunctionBuilder,
    core: CoreFunctions,
    private readonly graph: Graph,
  ) {
    this.#nodes = structure(graph.entry);
    const { load, store, used } = analyse(this.#nodes);
    this.#store = store;
    this.#c = new RegionContext(f, core, used, load, floatGuard(this.#nodes));
  }

  emit(): void {
    const { f } = this;
    const masks = new Map([...this.#store.values()].map((mask) => [keyOf(mask), mask]));
    for (const key of masks.keys()) this.#leave.set(key, f.begin('block'));
    this.#tree(this.graph.entry);
    // The blocks close in the reverse order of their opening.
    for (const mask of [...masks.values()].reverse()) {
      f.end();
      this.#c.spill(mask);
      f.return(this.#c.reason);
    }
  }

  #tree(node: Node): void {
    const children = [...node.mergeChildren].sort((a, b) => b.order - a.order);
    if (!node.isLoopHeader) return this.#within(node, children);
    this.f.loop((again) => {
      this.#loops.set(node, again);
      this.#within(node, children);
    });
  }

  /** The node inside one block for each merge it dominates; the one that comes last in the code is outermost. */
  #within(node: Node, merges: readonly Node[]): void {
    if (merges.length === 0) return this.#node(node);
    const [outermost, ...rest] = merges;
    this.f.block((end) => {
      this.#merges.set(outermost, end);
      this.#within(node, rest);
    });
    this.#tree(outermost);
  }

  #node(node: Node): void {
    const { f } = this;
    const c = this.#c;
    const flow = this.#flowOf(node);
    c.enterNode(node);
    node.steps.forEach((step, i) => {
      c.flow = flow;
      c.enterStep(step, node.steps.length - 1 - i);
      f.scope(() => instructions[step.decoded.index].emit(c));
    });
    if (node.end === 'stop') this.#exit(node, node.at);
    else if (node.end === 'fall' || node.end === 'branch') this.#go(node, node.next, node.nextAt);
  }

  #flowOf(node: Node): RegionFlow {
    return {
      taken: () => this.#go(node, node.taken, node.takenAt),
      indirect: (target) => this.#indirect(node, target),
      leave: () => this.#leaveFrom(node),
    };
  }

  /** A return from a followed call goes on behind the call if that is where it leads. */
  #indirect(node: Node, target: ExprI64): void {
    const { f } = this;
    const c = this.#c;
    const to = f.local(I64, target);
    if (node.taken !== undefined) {
      f.if(i64.eq(to, c.address(node.takenAt)), () => this.#go(node, node.taken, node.takenAt));
    }
    this.#switch(node, to);
    f.store64(c.h, to, PC);
    this.#leaveFrom(node);
  }

  /** Goes on inside the region if `to` is a place it knows. */
  #switch(node: Node, to: ExprI64): void {
    const { f } = this;
    const targets = node.targets.filter(({ order }) => order > node.order);
    if (targets.length === 0) return;
    const first = Math.min(...targets.map(({ at }) => at));
    const places = (Math.max(...targets.map(({ at }) => at)) - first) / 2 + 1;
    f.block((unknown) => {
      const distance = f.local(I64, i64.sub(to, this.#c.address(first)));
      f.brIf(unknown, i64.geU(distance, i64.const(2 * places)));
      const labels = new Array<Label>(places).fill(unknown);
      for (const target of targets) labels[(target.at - first) / 2] = this.#merges.get(target)!;
      f.brTable(i32.shrU(i32.wrap(distance), i32.const(1)), labels, unknown);
    });
  }

  #go(from: Node, to: Node | undefined, at: number): void {
    const { f } = this;
    if (to === undefined) return this.#exit(from, at);
    if (to.order <= from.order) {
      const c = this.#c;
      f.if(i32.leS(c.budget, i32.load(c.h, SIGNAL)), () => this.#exit(from, at));
      return f.br(this.#loops.get(to)!);
    }
    if (to.forwardEdges > 1) return f.br(this.#merges.get(to)!);
    this.#tree(to);
  }

  #exit(node: Node, at: number): void {
    this.f.store64(this.#c.h, this.#c.address(at), PC);
    this.#leaveFrom(node);
  }

  #leaveFrom(node: Node): void {
    this.f.br(this.#leave.get(keyOf(this.#store.get(node)!))!);
  }
}
