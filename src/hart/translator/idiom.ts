/**
 * Loops that copy or fill memory: idioms, of which many turns can be done at once.
 *
 * A turn is executed twice on what is known of the registers. The first time each register is
 * itself; what it has become says what kind it is. The second time registers begin as a turn leaves
 * them, all in terms of those that move by a constant. Those that a turn reads before it writes
 * them must end so, too: the loop's invariant. Whether it holds where the turns begin is looked
 * at when the code runs.
 */
import { cycleOf, type Cycle } from './cycle.js';
import type { Node, Step } from './graph.js';
import {
  atHeader,
  iterate,
  sizeOf,
  type Branch,
  type Iteration,
  type Store,
  type Value,
  type Values,
} from './iteration.js';
import { successors } from './structure.js';

/** An address: what a register holds when a turn begins, plus a distance. */
export interface Address {
  readonly base: number;
  readonly distance: number;
}

/** The loop goes on while low ≠ high, low < high or low ≤ high; the gap shrinks by `closing` each turn. */
export interface Test {
  readonly relation: 'ne' | 'signed' | 'unsigned';
  readonly low: Address;
  readonly high: Address;
  readonly closing: number;
}

/** A register that a turn reads before it writes it: it begins as this sum, or as what `step` loads from there. */
export interface Carried extends Address {
  readonly register: number;
  readonly step: Step | undefined;
}

export interface Source extends Address {
  /** Lowest byte that must be readable, and bytes from there to the end of the highest load, for one turn. */
  readonly low: number;
  readonly span: number;
  /** Words are put together from two, shifted by these registers: they lie as many bits further. */
  readonly shifts: { readonly right: number; readonly left: number } | undefined;
}

export interface Idiom {
  readonly nodes: readonly Node[];
  /** Bytes that a turn writes; what both addresses move by. */
  readonly stride: number;
  /** Instructions of a turn. */
  readonly steps: number;
  /** Where the first turn writes. */
  readonly to: Address;
  /** Where what it writes is read, or the register of which it writes 1, 2, 4 or 8 bytes again and again. */
  readonly from: Source | { readonly register: number; readonly size: number };
  readonly test: Test;
  /** Registers that move by a constant which is not zero. */
  readonly moving: readonly { readonly register: number; readonly by: number }[];
  /** All others that matter when a turn begins, and change. */
  readonly carried: readonly Carried[];
}

/** A page must hold several turns. */
const MAX_STRIDE = 1024;
/** So that 4096 turns of the gap fit in 32 bits. */
const MAX_CLOSING = 1 << 16;

/** Idioms by the ends of their edges back: from → header. */
export type Idioms = ReadonlyMap<Node, ReadonlyMap<Node, Idiom>>;

/** All idioms of a graph, whose nodes are numbered. */
export function idiomsOf(nodes: readonly Node[]): Idioms {
  const all = new Map<Node, Map<Node, Idiom>>();
  for (const from of nodes) {
    for (const header of successors(from)) {
      if (header.order > from.order) continue;
      const idiom = idiomOf(from, header);
      if (idiom === undefined) continue;
      const found = all.get(from);
      if (found === undefined) all.set(from, new Map([[header, idiom]]));
      else found.set(header, idiom);
    }
  }
  return all;
}

/** By how much a register moves each turn; undefined: not by a constant. */
type Strides = readonly (number | undefined)[];

/** What the loop of the edge from → header does, if it is an idiom. */
function idiomOf(from: Node, header: Node): Idiom | undefined {
  const cycle = cycleOf(from, header);
  if (cycle === undefined) return undefined;
  const first = iterate(cycle.nodes, atHeader);
  // Most loops end here.
  if (first === undefined || first.stores.length === 0) return undefined;
  const strides = first.values.map((value, register) =>
    value?.kind === 'place' && value.base === register ? value.distance : undefined,
  );
  const start = first.values.map((_, register) => beginning(register, first.values, strides));
  const turn = iterate(cycle.nodes, start);
  if (turn === undefined) return undefined;
  const carried = carriedOf(cycle, start, turn, strides);
  return carried && new Finder(cycle, carried, turn, strides).find();
}

/** A register at the beginning of a turn that follows another, in terms of those that move by a constant. */
function beginning(register: number, ends: Values, strides: Strides): Value | undefined {
  if (strides[register] !== undefined) return { kind: 'place', base: register, distance: 0 };
  const end = ends[register];
  if (end?.kind !== 'place' && end?.kind !== 'loaded') return undefined;
  const by = strides[end.base];
  if (by !== undefined) return { ...end, distance: end.distance - by };
  // Through a register that is itself made of another in each turn.
  const base = ends[end.base];
  const beyond = base?.kind === 'place' ? strides[base.base] : undefined;
  if (base === undefined || beyond === undefined) return undefined;
  return { ...end, base: base.base, distance: base.distance + end.distance - 2 * beyond };
}

/** Registers that a turn reads before it writes them; undefined if it does not leave one as it found it. */
function carriedOf(cycle: Cycle, start: Values, turn: Iteration, strides: Strides): Carried[] | undefined {
  const steps = cycle.nodes.flatMap((node) => node.steps);
  const carried: Carried[] = [];
  for (let register = 1; register < 32; register++) {
    if (strides[register] !== undefined || !isReadFirst(steps, register)) continue;
    const [begins, ends] = [start[register], turn.values[register]];
    if (begins?.kind !== 'place' && begins?.kind !== 'loaded') return undefined;
    const step = begins.kind === 'loaded' ? begins.step : undefined;
    // A loaded value that has been moved would have to be loaded by another instruction.
    if (step !== undefined && step.decoded.operands.rd !== register) return undefined;
    if (ends?.kind !== begins.kind || ends.base !== begins.base) return undefined;
    if (ends.kind === 'loaded' && ends.step !== step) return undefined;
    if (ends.distance !== begins.distance + (strides[begins.base] ?? NaN)) return undefined;
    carried.push({ register, step, base: begins.base, distance: begins.distance });
  }
  return carried;
}

function isReadFirst(steps: readonly Step[], register: number): boolean {
  for (const { effects } of steps) {
    const { reads, writes } = effects;
    if (((reads.x >>> register) & 1) !== 0) return true;
    if (((writes.x >>> register) & 1) !== 0) return false;
  }
  return false;
}

const address = ({ base, distance }: Value): Address => ({ base, distance });

class Finder {
  constructor(
    readonly cycle: Cycle,
    readonly carried: readonly Carried[],
    readonly turn: Iteration,
    readonly strides: Strides,
  ) {}

  find(): Idiom | undefined {
    const { loads, stores, branch } = this.turn;
    const to = this.#tile(stores);
    const test = branch && this.#test(branch);
    if (to === undefined || test === undefined) return undefined;
    const stride = this.strides[to.base] ?? 0;
    const from = loads.length > 0 ? this.#source(to, stride) : this.#filling(stores);
    if (from === undefined) return undefined;
    return {
      nodes: this.cycle.nodes,
      stride,
      steps: this.cycle.nodes.reduce((sum, node) => sum + node.steps.length, 0),
      to,
      from,
      test,
      moving: this.strides.flatMap((by, register) => (by === undefined || by === 0 ? [] : [{ register, by }])),
      carried: this.carried,
    };
  }

  /** The address of the first byte if the stores of a turn fill as many bytes as their base moves by. */
  #tile(stores: readonly Store[]): Address | undefined {
    const [{ base }] = stores;
    const stride = this.strides[base] ?? 0;
    if (stride <= 0 || stride > MAX_STRIDE) return undefined;
    const sorted = [...stores].sort((a, b) => a.distance - b.distance);
    const [{ distance: start }] = sorted;
    let end = start;
    for (const store of sorted) {
      if (store.base !== base || store.distance !== end) return undefined;
      end += store.size;
    }
    return end - start === stride ? { base, distance: start } : undefined;
  }

  /** Where a turn reads what it stores: through one base that moves as fast, each as far from where it is stored. */
  #source(to: Address, stride: number): Source | undefined {
    const { loads, stores } = this.turn;
    const [{ value: first, distance }] = stores;
    if (first === undefined) return undefined;
    const { base } = first;
    const apart = first.distance - distance;
    const shifts = first.kind === 'joined' ? { right: first.right, left: first.left } : undefined;
    // Through one base, both sides may be looked up together (reach.ts).
    if (base === to.base || this.strides[base] !== stride) return undefined;
    if (loads.some((load) => load.base !== base)) return undefined;
    if (shifts !== undefined && (this.strides[shifts.right] !== 0 || this.strides[shifts.left] !== 0)) return undefined;
    for (const { value, distance, size } of stores) {
      if (value?.base !== base || value.distance - distance !== apart) return undefined;
      if (value.kind === 'joined') {
        if (size !== 8 || value.right !== shifts?.right || value.left !== shifts.left) return undefined;
      } else if (value.kind !== 'loaded' || sizeOf(value.step) !== size || shifts !== undefined) return undefined;
    }
    const before = this.carried.filter(({ step }) => step !== undefined).map((value) => value.distance);
    const low = Math.min(...loads.map((load) => load.distance), ...before);
    const high = Math.max(...loads.map((load) => load.distance + load.size));
    return { base, distance: to.distance + apart, low, span: high - low, shifts };
  }

  /** The register that all stores of a turn store, if it stays the same. */
  #filling(stores: readonly Store[]): { register: number; size: number } | undefined {
    const [{ value, size }] = stores;
    if (value === undefined) return undefined;
    const { base } = value;
    const fills = (store: Store): boolean =>
      store.value?.kind === 'place' && store.value.base === base && store.value.distance === 0 && store.size === size;
    return this.strides[base] === 0 && stores.every(fills) ? { register: base, size } : undefined;
  }

  #test({ name, left, right }: Branch): Test | undefined {
    const equality = name === 'beq' || name === 'bne';
    const { staysByTaken } = this.cycle;
    if (equality && (name === 'bne') !== staysByTaken) return undefined;
    const [leftBy, rightBy] = [this.strides[left.base] ?? NaN, this.strides[right.base] ?? NaN];
    // Less is the left one if `blt` keeps the loop going, or if `bge` ends it.
    const leftIsLow = equality ? leftBy > rightBy : name.startsWith('blt') === staysByTaken;
    const [low, high, up, down] = leftIsLow ? [left, right, leftBy, rightBy] : [right, left, rightBy, leftBy];
    const closing = up - down;
    if (!(closing > 0 && closing <= MAX_CLOSING)) return undefined;
    // Moving towards each other they cannot wrap around before they meet.
    if (!equality && (up < 0 || down > 0)) return undefined;
    const relation = equality ? 'ne' : name.endsWith('u') ? 'unsigned' : 'signed';
    return { relation, low: address(low), high: address(high), closing };
  }
}
