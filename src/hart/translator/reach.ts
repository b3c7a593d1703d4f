/**
 * Accesses of a block that one look at the TLB is enough for: several near each other,
 * whose addresses differ by what is known. Stack frames are saved and restored like that,
 * and memory is copied by loops that compilers have unrolled.
 */
import { instructions } from '../table/index.js';
import type { Access } from '../table/instruction.js';
import { effectsOf } from './effects.js';
import type { Step } from './graph.js';

/** Bytes from the first to the last: the more, the more often they lie in two pages. */
const MAX_SPAN = 512;

/** Some value, and a register that holds it plus a constant. */
interface Place {
  readonly root: number;
  readonly distance: number;
}

/** Accesses that are looked up together, at distances from one value. */
export class Reach {
  low: number;
  high: number;
  accesses = 0;
  writes = false;

  constructor(
    /** What the first access, of this kind, goes through: the register, and its distance from the value. */
    readonly base: number,
    readonly baseDistance: number,
    readonly first: 'load' | 'store',
    at: number,
  ) {
    this.low = at;
    this.high = at;
  }

  get span(): number {
    return this.high - this.low;
  }

  /** Takes in `size` bytes at a distance; false if they are too far away. */
  add(at: number, size: number, writes: boolean): boolean {
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

/** For each step from `from` on, the reach it shares with others. */
export function reachesOf(steps: readonly Step[], from: number): (Reached | undefined)[] {
  const places = new Places();
  const open = new Map<number, Reach>();
  const reached = steps.map((step, i): Reached | undefined => {
    const { operands, index } = step.decoded;
    const { access } = instructions[index];
    const found = access !== undefined && i >= from ? take(operands.rs1, operands.imm, access) : undefined;
    places.after(step);
    return found;
  });
  return reached.map((found) => (found !== undefined && found.reach.accesses > 1 ? found : undefined));

  function take(base: number, offset: number, { kind, width }: Access): Reached {
    const { root, distance } = places.of(base);
    const at = distance + offset;
    let reach = open.get(root);
    if (reach?.add(at, 1 << width, kind === 'store') !== true) {
      reach = new Reach(base, distance, kind, at);
      reach.add(at, 1 << width, kind === 'store');
      open.set(root, reach);
    }
    return { reach, at };
  }
}

/** Where the registers point to, as far as a block tells. */
class Places {
  readonly #of: Place[] = Array.from({ length: 32 }, (_, register) => ({ root: register, distance: 0 }));
  #roots = 32;

  of(register: number): Place {
    return this.#of[register];
  }

  after({ decoded }: Step): void {
    const { operands, index } = decoded;
    const { name } = instructions[index];
    const { x } = effectsOf(decoded).writes;
    if (x === 0) return;
    const { rd, rs1, rs2, imm } = operands;
    if (name === 'addi') this.#of[rd] = this.#moved(rs1, imm);
    else if (name === 'add' && rs1 === 0) this.#of[rd] = this.#moved(rs2, 0);
    else this.#of[rd] = { root: this.#roots++, distance: 0 };
  }

  #moved(from: number, by: number): Place {
    const { root, distance } = this.#of[from];
    const moved = distance + by;
    // Far away nothing is shared; and distances stay what 32 bits can tell.
    return Math.abs(moved) < 1 << 20 ? { root, distance: moved } : { root: this.#roots++, distance: 0 };
  }
}
