/**
 * Accesses of a block that one look at the TLB is enough for: several through the same
 * base register, near each other. Stack frames are saved and restored like that.
 */
import { instructions } from '../table/index.js';
import type { Access } from '../table/instruction.js';
import { effectsOf } from './effects.js';
import type { Step } from './graph.js';

/** Bytes from the first to the last: the more, the more often they lie in two pages. */
const MAX_SPAN = 512;

/** Some accesses of a block, relative to the register `base`, which does not change between them. */
export class Reach {
  low: number;
  high: number;
  accesses = 0;
  writes = false;

  constructor(
    readonly base: number,
    readonly first: 'load' | 'store',
    offset: number,
  ) {
    this.low = offset;
    this.high = offset;
  }

  get span(): number {
    return this.high - this.low;
  }

  /** Takes in `size` bytes at `offset`; false if they are too far away. */
  add(offset: number, size: number, writes: boolean): boolean {
    const low = Math.min(this.low, offset);
    const high = Math.max(this.high, offset + size);
    if (high - low > MAX_SPAN) return false;
    this.low = low;
    this.high = high;
    this.accesses++;
    this.writes ||= writes;
    return true;
  }
}

/** For each step from `from` on, the reach it belongs to, if it shares one. */
export function reachesOf(steps: readonly Step[], from: number): (Reach | undefined)[] {
  const open = new Map<number, Reach>();
  const reaches = steps.map(({ decoded }, i): Reach | undefined => {
    if (i < from) return undefined;
    const { access } = instructions[decoded.index];
    const reach = access === undefined ? undefined : take(decoded.operands.rs1, decoded.operands.imm, access);
    const { x } = effectsOf(decoded).writes;
    for (const base of open.keys()) if (((x >>> base) & 1) !== 0) open.delete(base);
    return reach;
  });
  return reaches.map((reach) => (reach !== undefined && reach.accesses > 1 ? reach : undefined));

  function take(base: number, offset: number, { kind, width }: Access): Reach {
    const known = open.get(base);
    if (known?.add(offset, 1 << width, kind === 'store') === true) return known;
    const reach = new Reach(base, kind, offset);
    reach.add(offset, 1 << width, kind === 'store');
    open.set(base, reach);
    return reach;
  }
}
