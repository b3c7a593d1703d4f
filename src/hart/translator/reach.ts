/**
 * Accesses that one look at the TLB is enough for: several near each other, whose addresses
 * differ by what is known, in a block and in those that only it leads to. Stack frames are
 * saved and restored like that, and memory is copied by loops that compilers have unrolled.
 */
import { instructions } from '../isa/table/index.js';
import type { Access } from '../isa/table/instruction.js';
import type { Node, Step } from './graph.js';

/** Bytes from the first to the last: the more, the more often they lie in two pages. */
const MAX_SPAN = 512;

/** Accesses that are looked up together, at distances from one value. */
export class Reach {
  low: number;
  high: number;
  accesses = 0;
  writes = false;

  constructor(
    /** How many others are in use beside it when it begins. */
    readonly depth: number,
    /** The value that its accesses go by; see `Places`. */
    readonly root: number,
    /** What the first access, of this kind, goes through: the register, and its distance from the value. */
    readonly base: number,
    readonly baseDistance: number,
    readonly first: 'load' | 'store',
    at: number,
    /** The block of the first access. */
    readonly home: Node,
    /** Whether its accesses are looked up one by one after all. */
    readonly isApart: boolean,
  ) {
    this.low = at;
    this.high = at;
  }

  get span(): number {
    return this.high - this.low;
  }

  /** Takes in `size` bytes at a distance; false if that would make the look-up fail where it need not. */
  add(node: Node, at: number, size: number, writes: boolean): boolean {
    // Memory that may only be read is written to on no way, or on another.
    if (writes && !this.writes && node !== this.home) return false;
    const low = Math.min(this.low, at);
    const high = Math.max(this.high, at + size);
    if (high - low > MAX_SPAN) return false;
    this.low = low;
    this.high = high;
    this.accesses++;
    this.writes ||= writes;
    return true;
  }
}

/** An access in a reach, at a distance from the reach's value. */
export interface Reached {
  readonly reach: Reach;
  readonly at: number;
}

/** What is known at the end of a block. */
interface State {
  readonly places: Places;
  /** Reaches that all ways here have looked up; of several for a value the last one counts. */
  readonly open: readonly Reach[];
  /** Reaches begun on the way here. */
  readonly depth: number;
}

/**
 * For each step of each block, the reach it shares with others. `nodes` are numbered and in
 * reverse postorder; of blocks that `isEntry` names the first step has none; those that `isAlone`
 * names share nothing with blocks before them; where a reach would begin at a place that `isApart`
 * names there is none.
 */
export function reachesOf(
  nodes: readonly Node[],
  isEntry: (node: Node) => boolean,
  isAlone: (node: Node) => boolean,
  isApart: (at: number) => boolean,
): ReadonlyMap<Node, readonly (Reached | undefined)[]> {
  const values = new Values();
  const states = new Map<Node, State>();
  const all = new Map<Node, (Reached | undefined)[]>();
  for (const node of nodes) {
    const dominator = node === nodes[0] ? undefined : states.get(node.dominator!);
    const isFresh = dominator === undefined || isAlone(node);
    const places = isFresh ? new Places(values) : Places.meet(node.from.map((from) => states.get(from)!.places));
    if (!isFresh && node.isLoopHeader) places.forget(writtenIn(nodes, node.order, node.loopEnd));
    const open = isFresh ? [] : dominator.open.slice();
    // Also where nothing is shared, what is open around it must keep its place.
    let depth = dominator?.depth ?? 0;
    const take = (place: number, base: number, offset: number, { kind, width }: Access): Reached => {
      const root = places.root(base);
      const distance = places.distance(base);
      const at = distance + offset;
      let reach = open.findLast((one) => one.root === root);
      if (reach?.add(node, at, 1 << width, kind === 'store') !== true) {
        reach = new Reach(depth++, root, base, distance, kind, at, node, isApart(place));
        reach.add(node, at, 1 << width, kind === 'store');
        open.push(reach);
      }
      return { reach, at };
    };
    const from = isEntry(node) ? 1 : 0;
    const reached = node.steps.map((step, i): Reached | undefined => {
      const { operands, index } = step.decoded;
      const { access } = instructions[index];
      const found = access !== undefined && i >= from ? take(step.at, operands.rs1, operands.imm, access) : undefined;
      places.after(step);
      return found;
    });
    states.set(node, { places, open, depth });
    all.set(node, reached);
  }
  const shared = (found: Reached | undefined): Reached | undefined =>
    found !== undefined && found.reach.accesses > 1 && !found.reach.isApart ? found : undefined;
  return new Map([...all].map(([node, reached]) => [node, reached.map(shared)]));
}

/** Registers written by these nodes: those of a loop are among those between its header and the last that leads back. */
function writtenIn(nodes: readonly Node[], first: number, last: number): number {
  let written = 0;
  for (let order = first; order <= last; order++) {
    for (const { effects } of nodes[order].steps) written |= effects.writes.x;
  }
  return written;
}

/** Gives each value that is not known a number. */
class Values {
  #next = 0;
  fresh(): number {
    return this.#next++;
  }
}

/** Where the registers point to, as far as the code tells: each some value, which is not known, plus a distance. */
class Places {
  readonly #values: Values;
  readonly #root: number[];
  readonly #distance: number[];

  /** As in another place, or with nothing known. */
  constructor(values: Values, like?: Places) {
    this.#values = values;
    this.#root = like === undefined ? Array.from({ length: 32 }, () => values.fresh()) : like.#root.slice();
    this.#distance = like === undefined ? new Array<number>(32).fill(0) : like.#distance.slice();
  }

  /** What is known where several ways come together: what is known, and the same, at the end of each. */
  static meet([first, ...others]: readonly Places[]): Places {
    const places = new Places(first.#values, first);
    for (const other of others) {
      for (let register = 0; register < 32; register++) {
        const isSame =
          places.#root[register] === other.#root[register] && places.#distance[register] === other.#distance[register];
        if (!isSame) places.#forget(register);
      }
    }
    return places;
  }

  root(register: number): number {
    return this.#root[register];
  }
  distance(register: number): number {
    return this.#distance[register];
  }

  after({ decoded, effects }: Step): void {
    const { operands, index } = decoded;
    const { name } = instructions[index];
    if (effects.writes.x === 0) return;
    const { rd, rs1, rs2, imm } = operands;
    if (name === 'addi') this.#move(rd, rs1, imm);
    else if (name === 'add' && rs1 === 0) this.#move(rd, rs2, 0);
    else this.#forget(rd);
  }

  /** Nothing is known of these registers any more: a mask. */
  forget(registers: number): void {
    for (let register = 1; register < 32; register++) {
      if (((registers >>> register) & 1) !== 0) this.#forget(register);
    }
  }

  #move(to: number, from: number, by: number): void {
    const distance = this.#distance[from] + by;
    // Far away nothing is shared; and distances stay what 32 bits can tell.
    if (Math.abs(distance) >= 1 << 20) return this.#forget(to);
    this.#root[to] = this.#root[from];
    this.#distance[to] = distance;
  }

  #forget(register: number): void {
    this.#root[register] = this.#values.fresh();
    this.#distance[register] = 0;
  }
}
