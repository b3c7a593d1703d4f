/** What one turn of a loop does to registers and memory, as far as it is simple: see Value. */
import { instructions } from '../isa/table/index.js';
import type { FormatName } from '../isa/table/format.js';
import type { Node, Step } from './graph.js';

/** What is known of a register. `base` and `distance`: what a register held when the turn began, plus a constant. */
export type Value = Place | Loaded | Shifted | Joined;

interface At {
  readonly base: number;
  readonly distance: number;
}

/** The sum itself. */
export interface Place extends At {
  readonly kind: 'place';
}

/** What a load finds at that address. */
export interface Loaded extends At {
  readonly kind: 'loaded';
  readonly step: Step;
}

/** That shifted logically, by what a register held when the turn began. */
export interface Shifted extends At {
  readonly kind: 'left' | 'right';
  readonly by: number;
}

/** A word at that address shifted to the right, and the one behind it to the left: an unaligned word, perhaps. */
export interface Joined extends At {
  readonly kind: 'joined';
  readonly right: number;
  readonly left: number;
}

/** Bytes of memory. */
export interface Bytes extends At {
  readonly size: number;
}

export interface Store extends Bytes {
  readonly value: Value | undefined;
}

export interface Branch {
  readonly name: string;
  readonly left: Place;
  readonly right: Place;
}

/** Registers by number; undefined: nothing is known of it. */
export type Values = readonly (Value | undefined)[];

export interface Iteration {
  /** At the end of the turn. */
  readonly values: Values;
  readonly loads: readonly Bytes[];
  readonly stores: readonly Store[];
  /** The comparison of the last branch. */
  readonly branch: Branch | undefined;
}

/** Far more than compilers and people unroll; sums of a turn stay far below 2^31. */
const MAX_STEPS = 160;

/** Of these formats are computations, which do nothing but write a register, if they are no accesses and no jumps. */
const COMPUTATIONS: ReadonlySet<FormatName> = new Set(['R', 'I', 'U', 'shift64', 'shift32', 'unary']);

/** Each register is itself. */
export const atHeader: Values = Array.from({ length: 32 }, (_, base) => ({ kind: 'place', base, distance: 0 }));

/** Bytes that a load reads. */
export const sizeOf = ({ decoded }: Step): number => 1 << (instructions[decoded.index].access?.width ?? 0);

/**
 * One turn through the blocks from registers with these values; undefined if it does anything
 * else than access memory at known places and compute.
 */
export function iterate(nodes: readonly Node[], start: Values): Iteration | undefined {
  const steps = nodes.flatMap((node) => node.steps);
  if (steps.length > MAX_STEPS) return undefined;
  const values = [...start];
  const loads: Bytes[] = [];
  const stores: Store[] = [];
  let branch: Branch | undefined;
  for (const step of steps) {
    const { index, operands } = step.decoded;
    const { rd, rs1, rs2, imm } = operands;
    const { name, access, flow, format } = instructions[index];
    const [left, right] = [values[rs1], values[rs2]];
    let result: Value | undefined;
    if (access !== undefined) {
      if (left?.kind !== 'place') return undefined;
      const bytes = { base: left.base, distance: left.distance + imm, size: 1 << access.width };
      if (access.kind === 'store') {
        stores.push({ ...bytes, value: right });
        continue;
      }
      loads.push(bytes);
      result = { kind: 'loaded', base: bytes.base, distance: bytes.distance, step };
    } else if (flow === 'branch') {
      if (left?.kind !== 'place' || right?.kind !== 'place') return undefined;
      branch = { name, left, right };
      continue;
    } else if (flow === 'next' && COMPUTATIONS.has(format)) {
      result = name === 'addi' ? sum(left, imm) : compute(name, left, right);
    } else if (flow !== 'jump' || rd !== 0) return undefined;
    if (rd !== 0) values[rd] = result;
  }
  return { values, loads, stores, branch };
}

const sum = (value: Value | undefined, by: number): Value | undefined =>
  by === 0 ? value : value?.kind === 'place' ? { ...value, distance: value.distance + by } : undefined;

function compute(name: string, a: Value | undefined, b: Value | undefined): Value | undefined {
  if (a === undefined || b === undefined) return undefined;
  switch (name) {
    case 'add':
      return isZero(a) ? b : isZero(b) ? a : undefined;
    case 'srl':
      return shift('right', a, b);
    case 'sll':
      return shift('left', a, b);
    case 'or':
      return join(a, b) ?? join(b, a);
    default:
      return undefined;
  }
}

const isZero = ({ kind, base, distance }: Value): boolean => kind === 'place' && base === 0 && distance === 0;

function shift(kind: 'left' | 'right', value: Value, by: Value): Value | undefined {
  if (value.kind !== 'loaded' || sizeOf(value.step) !== 8 || by.kind !== 'place' || by.distance !== 0) return undefined;
  return { kind, base: value.base, distance: value.distance, by: by.base };
}

function join(low: Value, high: Value): Value | undefined {
  if (low.kind !== 'right' || high.kind !== 'left') return undefined;
  if (low.base !== high.base || low.distance + 8 !== high.distance) return undefined;
  return { kind: 'joined', base: low.base, distance: low.distance, right: low.by, left: high.by };
}
