/**
 * The control-flow graph of a region. Nodes are basic blocks; a block reached through a
 * call that has been followed is a node of its own for each call site, so that its return
 * leads back to the right place.
 */
import type { Decoded } from '../isa/decoder.js';

/** One bit per register; x0 is never set. */
export interface Masks {
  x: number;
  f: number;
}

/** The registers that an instruction reads and writes. */
export interface Effects {
  readonly reads: Readonly<Masks>;
  readonly writes: Readonly<Masks>;
}

/** An instruction in its place. */
export interface Step {
  /** Distance in bytes from the start of the page the region starts in. */
  readonly at: number;
  readonly decoded: Decoded;
  readonly effects: Effects;
}

/** A followed call: where it returns to, and inside which other call it is. */
export interface Call {
  readonly id: number;
  readonly returnsTo: number;
  readonly within: Call | undefined;
  readonly depth: number;
}

/** How a block ends. */
export type End =
  /** Goes on in the next block, without an instruction of its own. */
  | 'fall'
  | 'branch'
  | 'jump'
  | 'indirect'
  /** No instructions: goes on at the address that a jump through a table has left. */
  | 'dispatch'
  /** Leaves the region after its last instruction. */
  | 'system'
  /** The first instruction cannot be translated: leaves the region before it. */
  | 'stop';

export class Node {
  readonly steps: Step[] = [];
  end: End = 'stop';
  /** Successors inside the region; an edge that is missing leaves it. */
  taken: Node | undefined;
  next: Node | undefined;
  /** Of a dispatch: places inside the region that it may lead to, seen as targets of jumps before. */
  targets: Node[] = [];
  /** Of a branch: the edge that has never been taken. */
  rare: 'taken' | 'next' | undefined;
  /** Where the edges lead, whether inside or not. */
  takenAt = 0;
  nextAt = 0;

  /** Reverse postorder number, immediate dominator; see structure.ts. */
  order = -1;
  dominator: Node | undefined;
  /** Where edges lead here from, those back to a loop's header left out; a node for each edge. */
  readonly from: Node[] = [];
  /** Of a loop's header: the number of the last node that leads back to it; the loop lies between. Else -1. */
  loopEnd = -1;
  /** Loops that it is in. */
  loops = 0;
  readonly mergeChildren: Node[] = [];

  constructor(
    readonly at: number,
    readonly call: Call | undefined,
  ) {}

  get isLoopHeader(): boolean {
    return this.loopEnd >= 0;
  }
}

/** A page that the code of a region lies in. */
export interface CodePage {
  /** Distance in bytes from the page the region starts in. */
  readonly distance: number;
  readonly hostPage: number;
  /** The frame's word when the page was read. */
  readonly word: number;
}

export interface Graph {
  /** Where the region begins: the block of the hot place, or the dispatch that leads to it. */
  readonly entry: Node;
  /** Places in the first page that the region can be entered at. */
  readonly entries: readonly number[];
  readonly pages: readonly CodePage[];
  /** Where its blocks begin, those of followed calls left out. */
  readonly blocks: readonly number[];
  /** Where it is left because nothing had been executed there. */
  readonly unexplored: readonly number[];
  /** Instructions in all nodes. */
  readonly steps: number;
}
