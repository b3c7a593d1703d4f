/**
 * Finds the code of a region: from its entry along direct jumps, branches and calls, as
 * far as it has been executed before, within limits of size and pages.
 */
import { decode, type Decoded } from '../isa/decoder.js';
import { instructions } from '../isa/table/index.js';
import { REGION_EXTRA_PAGES } from '../tlb.js';
import { effectsOf } from './effects.js';
import { Node, type Call, type CodePage, type Graph, type Step } from './graph.js';
import { placeIndex, PlaceMap, PlaceSet } from './places.js';

const MAX_CALL_DEPTH = 2;
/** A followed callee may bring this much; longer ones are regions of their own. */
const MAX_INLINE_STEPS = 48;

/** Where code comes from. */
export interface CodeSource {
  /** The page at that distance from the entry's page, or undefined if nothing can be executed there. */
  page(distance: number): CodePage | undefined;
  /** The halfword at an offset of a host page. */
  halfword(hostPage: number, offset: number): number;
  /** Whether code at that offset of a page has been executed before. */
  executed(page: CodePage, offset: number): boolean;
  /** Offsets in a page that jumps have often led to; undefined if there are more than `most`. */
  arrivals(page: CodePage, most: number): readonly number[] | undefined;
}

const RA = 1;
const T0 = 5;
/** Calls and returns keep their address in ra or t0 (unprivileged specification 2.5.1). */
const isLink = (register: number): boolean => register === RA || register === T0;

export const isReturn = ({ index, operands }: Decoded): boolean =>
  index >= 0 && instructions[index].name === 'jalr' && operands.rd === 0 && operands.imm === 0 && isLink(operands.rs1);

/** A jump through a table: not a return, not a call. */
const isSwitch = ({ index, operands }: Decoded): boolean =>
  index >= 0 && instructions[index].flow === 'indirect' && operands.rd === 0 && !isLink(operands.rs1);

/** A page with more jump targets than this says nothing about where one jump may lead; and what a dispatch has at most. */
const MAX_TARGETS = 48;

const isCall = ({ index, operands }: Decoded): boolean =>
  index >= 0 && instructions[index].flow === 'jump' && isLink(operands.rd);

/** Places are less than 2^21 bytes from the first page (jal reaches 1 MiB), and even. */
const nodeKey = (at: number, call: Call | undefined): number => (call?.id ?? 0) * 2 ** 23 + at;
/** Nothing is at an odd place. */
const dispatchKey = (call: Call | undefined): number => nodeKey(1, call);

const MOST_PAGES = 1 + REGION_EXTRA_PAGES;
// One discovery at a time: these are cleared and used again.
const known = {
  steps: new PlaceMap<Step | undefined>(MOST_PAGES),
  executed: new PlaceMap<boolean>(MOST_PAGES),
  short: new PlaceMap<boolean>(MOST_PAGES),
  leaders: new PlaceSet(MOST_PAGES),
  visited: new PlaceSet(MOST_PAGES),
  callee: new PlaceSet(MOST_PAGES),
};

class Discovery {
  /** The pages that code lies in, the entry's first. */
  readonly #pages: CodePage[] = [];
  /** Distances of pages that nothing can be taken from. */
  readonly #closed = new Set<number>();
  #arrivals: readonly number[] | undefined;
  /** Nodes by place and call. */
  readonly nodes = new Map<number, Node>();
  steps = 0;
  #calls = 0;
  readonly #pending: Node[] = [];
  readonly #unexplored = new Set<number>();

  constructor(
    readonly source: CodeSource,
    readonly entryAt: number,
    readonly maxSteps: number,
  ) {
    for (const set of Object.values(known)) set.clear();
    const first = source.page(0);
    if (first !== undefined) this.#pages.push(first);
  }

  run(): Graph {
    const pages = this.#pages;
    const entry = this.#node(this.entryAt, undefined);
    this.#findLeaders();
    // Nodes are added while this goes on.
    for (const node of this.#pending) this.#fill(node);
    const { steps } = this;
    const unexplored = [...this.#unexplored];
    const blocks = [...this.nodes.values()]
      .filter(({ call, end }) => call === undefined && end !== 'dispatch')
      .map(({ at }) => at);
    const dispatch = this.nodes.get(dispatchKey(undefined));
    if (dispatch === undefined || dispatch.targets.length === 0) {
      return { entry, entries: entry.steps.length > 0 ? [entry.at] : [], pages, blocks, unexplored, steps };
    }
    // All targets can be entered through the dispatch: an interpreter is one region, not one for each operation.
    if (!dispatch.targets.includes(entry)) dispatch.targets.push(entry);
    const entries = dispatch.targets.filter((target) => target.steps.length > 0).map(({ at }) => at);
    return { entry: dispatch, entries, pages, blocks, unexplored, steps };
  }

  /** Index in `#pages` of the page of a place, -1 if it cannot be had. */
  #pageIndex(at: number): number {
    const pages = this.#pages;
    const distance = at & ~4095;
    for (let i = 0; i < pages.length; i++) if (pages[i].distance === distance) return i;
    if (pages.length === 0 || pages.length === MOST_PAGES || this.#closed.has(distance)) return -1;
    const page = this.source.page(distance);
    if (page === undefined) {
      this.#closed.add(distance);
      return -1;
    }
    return pages.push(page) - 1;
  }

  #page(at: number): CodePage | undefined {
    const index = this.#pageIndex(at);
    return index < 0 ? undefined : this.#pages[index];
  }

  /** Index of a place for `known`, -1 if its page cannot be had. */
  #place(at: number): number {
    const page = this.#pageIndex(at);
    return page < 0 ? -1 : placeIndex(page, at & 4095);
  }

  /** The instruction at `at`, or undefined if it cannot be translated here. */
  #step(at: number): Step | undefined {
    const index = this.#pageIndex(at);
    if (index < 0) return undefined;
    const place = placeIndex(index, at & 4095);
    return known.steps.has(place) ? known.steps.at(place) : known.steps.set(place, this.#read(this.#pages[index], at));
  }

  #read(page: CodePage, at: number): Step | undefined {
    const offset = at & 4095;
    let bits = this.source.halfword(page.hostPage, offset);
    if ((bits & 3) === 3) {
      const high = offset === 4094 ? this.#page(at + 2) : page;
      if (high === undefined) return undefined;
      bits |= this.source.halfword(high.hostPage, (offset + 2) & 4095) << 16;
    }
    const decoded = decode(bits);
    return decoded.index < 0 ? undefined : { at, decoded, effects: effectsOf(decoded) };
  }

  /** Whether code has been executed at a place; undefined if its page cannot be had. */
  #executed(at: number): boolean | undefined {
    const index = this.#pageIndex(at);
    if (index < 0) return undefined;
    const place = placeIndex(index, at & 4095);
    const { executed } = known;
    return executed.has(place)
      ? executed.at(place)
      : executed.set(place, this.source.executed(this.#pages[index], at & 4095));
  }

  /** Whether a jump to `at` stays in the region. */
  #follows(at: number): boolean {
    return this.#executed(at) === true;
  }

  /** Finds places that blocks must start at: targets of jumps and branches in reach of the entry, calls not followed. */
  #findLeaders(): void {
    const { leaders, visited } = known;
    const starts: number[] = [];
    const reach = (at: number): void => {
      if (this.#follows(at) && leaders.add(this.#place(at))) starts.push(at);
    };
    visited.clear();
    const entry = this.#place(this.entryAt);
    if (entry < 0) return;
    leaders.add(entry);
    starts.push(this.entryAt);
    for (let i = 0; i < starts.length && visited.size < this.maxSteps; i++) {
      for (let here = starts[i]; ;) {
        const step = this.#step(here);
        if (step === undefined || !visited.add(this.#place(here))) break;
        const { decoded } = step;
        const after = here + decoded.length;
        const { flow } = instructions[decoded.index];
        if (flow === 'branch' || flow === 'jump') reach(here + decoded.operands.imm);
        if (flow === 'branch' || (isCall(decoded) && this.#isShort(here + decoded.operands.imm))) reach(after);
        if (isSwitch(decoded)) this.#switchTargets(here).forEach(reach);
        if (flow !== 'next') break;
        here = after;
      }
    }
  }

  /**
   * Where a jump through a table may lead: what has often been jumped to in its page. On other pages than
   * the first one it leaves the region: there it is one region for all targets, here it would be one for each entry.
   */
  #switchTargets(at: number): readonly number[] {
    if ((at & ~4095) !== 0) return [];
    this.#arrivals ??= this.source.arrivals(this.#pages[0], MAX_TARGETS) ?? [];
    return this.#arrivals;
  }

  #node(at: number, call: Call | undefined): Node {
    const key = nodeKey(at, call);
    let node = this.nodes.get(key);
    if (node === undefined) {
      node = new Node(at, call);
      this.nodes.set(key, node);
      this.#pending.push(node);
    }
    return node;
  }

  /** Reads a block and finds its successors. */
  #fill(node: Node): void {
    for (let at = node.at; ;) {
      if (at !== node.at && known.leaders.has(this.#place(at))) {
        node.end = 'fall';
        node.nextAt = at;
        node.next = this.#successor(at, node.call);
        return;
      }
      const step = this.steps < 2 * this.maxSteps ? this.#step(at) : undefined;
      if (step === undefined) {
        node.end = node.steps.length === 0 ? 'stop' : 'fall';
        node.nextAt = at;
        return;
      }
      node.steps.push(step);
      this.steps++;
      at += step.decoded.length;
      if (this.#ends(node, step, at)) return;
    }
  }

  /** Sets the end of a block if `step` ends it; `after` is the place behind it. */
  #ends(node: Node, { at, decoded }: Step, after: number): boolean {
    const { flow } = instructions[decoded.index];
    if (flow === 'next') return false;
    node.end = flow;
    node.takenAt = at + decoded.operands.imm;
    node.nextAt = after;
    if (flow === 'branch') {
      node.taken = this.#successor(node.takenAt, node.call);
      node.next = this.#successor(after, node.call);
      // What is beyond the pages of the region may be taken all the time.
      if (this.#executed(node.takenAt) === false) {
        node.rare = 'taken';
        this.#unexplored.add(node.takenAt);
      }
      if (this.#executed(after) === false) {
        node.rare = node.rare === undefined ? 'next' : undefined;
        this.#unexplored.add(after);
      }
    } else if (flow === 'jump') {
      node.taken = isCall(decoded)
        ? this.#callee(node.takenAt, after, node.call)
        : this.#successor(node.takenAt, node.call);
    } else if (flow === 'indirect' && isReturn(decoded) && node.call !== undefined) {
      node.takenAt = node.call.returnsTo;
      node.taken = this.#successor(node.takenAt, node.call.within);
    } else if (isSwitch(decoded)) {
      node.taken = this.#dispatch(this.#switchTargets(at), node.call);
    }
    return true;
  }

  /** The one node through which all jumps through tables within a call go, so that each target has one edge from them. */
  #dispatch(targets: readonly number[], call: Call | undefined): Node | undefined {
    if (targets.length === 0) return undefined;
    const key = dispatchKey(call);
    let dispatch = this.nodes.get(key);
    if (dispatch === undefined) {
      dispatch = new Node(this.entryAt, call);
      dispatch.end = 'dispatch';
      this.nodes.set(key, dispatch);
    }
    for (const target of targets) {
      const to = dispatch.targets.length < MAX_TARGETS ? this.#successor(target, call) : undefined;
      if (to !== undefined && !dispatch.targets.includes(to)) dispatch.targets.push(to);
    }
    return dispatch;
  }

  #successor(at: number, call: Call | undefined): Node | undefined {
    if (this.steps >= this.maxSteps || !this.#follows(at)) return undefined;
    return this.#node(at, call);
  }

  #callee(at: number, returnsTo: number, within: Call | undefined): Node | undefined {
    const depth = (within?.depth ?? 0) + 1;
    if (depth > MAX_CALL_DEPTH || this.steps >= this.maxSteps / 2 || !this.#isShort(at)) return undefined;
    return this.#node(at, { id: ++this.#calls, returnsTo, within, depth });
  }

  /** Whether a call of the code at `at` may be followed: it returns within few instructions, counting what has been executed. */
  #isShort(at: number): boolean {
    if (!this.#follows(at)) return false;
    const place = this.#place(at);
    return known.short.has(place) ? known.short.at(place) : known.short.set(place, this.#returnsSoon(at));
  }

  #returnsSoon(at: number): boolean {
    const visited = known.callee;
    visited.clear();
    const starts = [at];
    for (let start = starts.pop(); start !== undefined; start = starts.pop()) {
      for (let here = start; ;) {
        const step = this.#step(here);
        if (step === undefined) return false;
        if (!visited.add(this.#place(here))) break;
        if (visited.size > MAX_INLINE_STEPS) return false;
        const { flow } = instructions[step.decoded.index];
        const after = here + step.decoded.length;
        const target = here + step.decoded.operands.imm;
        if (flow === 'branch' && this.#follows(target)) starts.push(target);
        if (flow === 'jump' && !isCall(step.decoded) && this.#follows(target)) starts.push(target);
        if (flow === 'system') return false;
        if (flow === 'indirect' || (flow === 'jump' && !isCall(step.decoded))) break;
        here = after;
      }
    }
    return true;
  }
}

/** The graph of the region that starts `entryAt` bytes into its page, of about `maxSteps` instructions at most. */
export function discover(source: CodeSource, entryAt: number, maxSteps: number): Graph {
  return new Discovery(source, entryAt, maxSteps).run();
}
