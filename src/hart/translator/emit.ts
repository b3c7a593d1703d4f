/** Emission of a region as one WebAssembly function of the hart block; how it is left, it says there (REGION_* of state.ts). */
import { I32, I64, i32, i64, type Callable, type ExprI64, type Local } from '../../wasm/expr.js';
import type { FunctionBuilder, Label } from '../../wasm/function.js';
import type { ModuleBuilder } from '../../wasm/module.js';
import type { CoreFunctions } from '../core/functions.js';
import { PC, SIGNAL } from '../state.js';
import { instructions } from '../isa/table/index.js';
import { hashOf } from './dispatch-hash.js';
import { floatGuard, keyOf } from './effects.js';
import { chains } from './ends.js';
import { emitIdiom } from './emit-idiom.js';
import type { Graph, Masks, Node } from './graph.js';
import { idiomsOf, type Idioms } from './idiom.js';
import { analyse } from './liveness.js';
import { RegionContext, type RegionFlow } from './region-context.js';
import { reachesOf } from './reach.js';
import { structure } from './structure.js';

export interface EmittedRegion {
  readonly run: Callable;
  /** Places in it where the interpreter has to go on if several accesses cannot be looked up together. */
  readonly leaves: readonly number[];
}

/** `isApart`: accesses from that place on are not to be looked up together. */
export function emitRegion(
  module: ModuleBuilder,
  core: CoreFunctions,
  graph: Graph,
  isApart: (at: number) => boolean,
): EmittedRegion {
  const f = module.function([I32], undefined);
  return { run: f, leaves: new RegionEmitter(f, core, graph, isApart).emit() };
}

class RegionEmitter {
  readonly #nodes: Node[];
  readonly #store: ReadonlyMap<Node, Masks>;
  readonly #c: RegionContext;
  readonly #idioms: Idioms;
  /** Where exits that store the same registers come together. */
  readonly #leave = new Map<string, Label>();
  readonly #merges = new Map<Node, Label>();
  readonly #loops = new Map<Node, Label>();
  /** Where a jump through a table leads. */
  #dispatchTo: Local<typeof I64> | undefined;

  constructor(
    private readonly f: FunctionBuilder,
    core: CoreFunctions,
    private readonly graph: Graph,
    isApart: (at: number) => boolean,
  ) {
    this.#nodes = structure(graph.entry);
    const { load, store, locals } = analyse(this.#nodes);
    this.#store = store;
    // Where a region is entered, it must get on: leaving before the first instruction would lead here again.
    const isEntry = ({ at, call }: Node): boolean => call === undefined && graph.entries.includes(at);
    this.#idioms = idiomsOf(this.#nodes);
    const idioms = [...this.#idioms.values()].flatMap((found) => [...found.values()]);
    const cycles = idioms.map((idiom) => new Set(idiom.nodes));
    // A turn that is left must be left because of what is in it (emit-idiom.ts).
    const leavesCycle = (node: Node): boolean =>
      cycles.some((cycle) => node.dominator !== undefined && cycle.has(node.dominator) && !cycle.has(node));
    const reaches = reachesOf(this.#nodes, isEntry, leavesCycle, isApart);
    this.#c = new RegionContext(
      f,
      core,
      locals,
      load,
      floatGuard(this.#nodes),
      reaches,
      new Set(cycles.flatMap((cycle) => [...cycle])),
    );
  }

  /** Returns the places it may leave for the interpreter to go on at. */
  emit(): readonly number[] {
    const { f } = this;
    const masks = new Map([...this.#store.values()].map((mask) => [keyOf(mask), mask]));
    const ends = chains([...masks.values()]);
    // The blocks close in the reverse order of their opening.
    const out = f.begin('block');
    for (const { whole } of [...ends].reverse()) this.#leave.set(keyOf(whole), f.begin('block'));
    if (this.graph.entry.end === 'dispatch') this.#dispatchTo = f.local(I64, i64.load(this.#c.h, PC));
    this.#tree(this.graph.entry);
    for (const { stored, isLast } of ends) {
      f.end();
      this.#c.spill(stored);
      if (isLast) f.br(out);
    }
    f.end();
    this.#c.leave();
    return this.#c.leaves;
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
      c.enterStep(i);
      f.scope(() => instructions[step.decoded.index].emit(c));
    });
    if (node.end === 'dispatch') this.#dispatch(node);
    else if (node.end === 'stop') this.#exit(node, node.at);
    else if (node.end === 'fall' || node.end === 'branch') this.#go(node, node.next, node.nextAt);
  }

  #flowOf(node: Node): RegionFlow {
    return {
      taken: () => this.#go(node, node.taken, node.takenAt),
      indirect: (target) => this.#indirect(node, target),
      leave: () => this.#leaveFrom(node),
      leaveIf: (cond) => this.f.brIfUnlikely(this.#leaveOf(node), cond),
    };
  }

  /**
   * A return from a followed call goes on behind the call if that is where it leads; a jump
   * through a table goes to the dispatch.
   */
  #indirect(node: Node, target: ExprI64): void {
    const { f } = this;
    const c = this.#c;
    if (node.taken?.end === 'dispatch') {
      this.#dispatchTo ??= f.lasting(I64);
      f.set(this.#dispatchTo, target);
      return this.#go(node, node.taken, node.takenAt);
    }
    const to = f.local(I64, target);
    if (node.taken !== undefined) {
      f.ifLikely(i64.eq(to, c.address(node.takenAt)), () => this.#go(node, node.taken, node.takenAt));
    }
    this.#exitTo(node, to);
  }

  /** Goes on inside the region if the address is that of a target: a hash picks one, a comparison makes sure. */
  #dispatch(node: Node): void {
    const { f } = this;
    const c = this.#c;
    const to = this.#dispatchTo!;
    const hash = hashOf(node.targets.map(({ at }) => at));
    f.block((unknown) => {
      const distance = f.local(I32, i32.wrap(i64.sub(to, c.page)));
      const cases = node.targets.map(() => f.begin('block'));
      const labels = hash.places.map((i) => (i === undefined ? unknown : cases[i]));
      f.brTable(i32.shrU(i32.mul(distance, i32.const(hash.factor)), i32.const(hash.shift)), labels, unknown);
      for (const target of [...node.targets].reverse()) {
        f.end();
        f.brIf(unknown, i64.ne(to, c.address(target.at)));
        this.#go(node, target, target.at);
      }
    });
    this.#exitTo(node, to);
  }

  #go(from: Node, to: Node | undefined, at: number): void {
    const { f } = this;
    if (to === undefined) return this.#exit(from, at);
    if (to.order <= from.order) {
      const c = this.#c;
      f.ifUnlikely(i32.leS(c.budget, i32.load(c.h, SIGNAL)), () =>
        to.end === 'dispatch' ? this.#exitTo(from, this.#dispatchTo!) : this.#exit(from, at),
      );
      const idiom = this.#idioms.get(from)?.get(to);
      if (idiom !== undefined) emitIdiom(c, idiom);
      return f.br(this.#loops.get(to)!);
    }
    if (to.from.length > 1) return f.br(this.#merges.get(to)!);
    this.#tree(to);
  }

  #exit(node: Node, at: number): void {
    this.#c.endAt(at);
    this.#leaveFrom(node);
  }

  #exitTo(node: Node, pc: ExprI64): void {
    this.f.store64(this.#c.h, pc, PC);
    this.#leaveFrom(node);
  }

  #leaveFrom(node: Node): void {
    this.f.br(this.#leaveOf(node));
  }

  #leaveOf(node: Node): Label {
    return this.#leave.get(keyOf(this.#store.get(node)!))!;
  }
}
