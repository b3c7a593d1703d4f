/**
 * Two engines run the same program side by side, each on a hart and memory of its own.
 * Wherever both have executed equally many instructions, they must agree on everything.
 */
import { disassembleAll } from '../isa/disassembler.js';
import { EXIT_SIGNAL } from '../exits.js';
import { floatNames, integerNames } from '../isa/names.js';
import { F, FFLAGS, FRM, INSTRET, STVEC } from '../state.js';
import { BareHart, bareMemory } from './bare-hart.js';
import { BASE, type Batch } from './differential/batch.js';
import { CONTEXT_RETURN, CONTEXT_SIZE } from './differential/program.js';

const RAM_PAGES = 4096;
/** Turns of one instruction or block; random programs take a few hundred. */
const MAX_TURNS = 50_000;

const hex = (value: bigint): string => `0x${BigInt.asUintN(64, value).toString(16)}`;

/** What a turn may do to a hart besides running it; tests of this file use it to make a difference. */
export type Meddle = (hart: BareHart, engine: string, instructions: bigint) => void;

export class Lockstep {
  readonly #harts: readonly [BareHart, BareHart];

  constructor(
    readonly first: string,
    readonly second: string,
    private readonly meddle: Meddle = () => undefined,
  ) {
    const hart = (engine: string): BareHart =>
      new BareHart(bareMemory({ ramBase: BigInt(BASE), ramPages: RAM_PAGES }), 0, {}, engine);
    this.#harts = [hart(first), hart(second)];
  }

  /** The first place at which the engines differ, with the instructions since they last agreed; undefined if nowhere. */
  firstDifference(batch: Batch, program: number): string | undefined {
    const [a, b] = this.#harts;
    for (const hart of this.#harts) this.#prepare(hart, batch, program);
    let agreedAt = a.pc;
    const ended = [false, false];
    for (let turn = 0; turn < MAX_TURNS; turn++) {
      const [doneA, doneB] = [a.get(INSTRET), b.get(INSTRET)];
      if (doneA === doneB && !oneHasTrapped(a, b)) {
        const differing = differences(a, b);
        if (differing.length > 0) return this.#report(batch, agreedAt, differing);
        agreedAt = a.pc;
      }
      if (ended[0] && ended[1]) return undefined;
      // The one that is behind goes on; one that has ended waits.
      const which = ended[0] || (!ended[1] && doneB < doneA) ? 1 : 0;
      const hart = this.#harts[which];
      ended[which] = hart.core.run(hart.h, 1) !== EXIT_SIGNAL;
      this.meddle(hart, which === 0 ? this.first : this.second, hart.get(INSTRET));
    }
    return `no end after ${MAX_TURNS} turns, at ${hex(a.pc)} and ${hex(b.pc)}`;
  }

  #prepare(hart: BareHart, batch: Batch, program: number): void {
    hart.load(BigInt(BASE), batch.image);
    hart.reset();
    hart.write64(BigInt(batch.contexts.at + program * CONTEXT_SIZE + CONTEXT_RETURN), BigInt(batch.finish));
    hart.set(STVEC, batch.trapped);
    hart.setX(10, BigInt(batch.anchors[program]));
    hart.pc = BigInt(batch.entries[program]);
  }

  #report(batch: Batch, from: bigint, differing: readonly string[]): string {
    const at = Number(from) - BASE;
    const code = batch.image.subarray(at, at + 48);
    return [
      `${this.first} and ${this.second} agreed up to ${hex(from)}; then, after`,
      disassembleAll(code, from),
      `they differ in`,
      ...differing.map((line) => `  ${line}`),
    ].join('\n');
  }
}

/** Whether one of two harts that have executed equally many has trapped and the other has yet to: a trap does not count. */
export function oneHasTrapped(a: BareHart, b: BareHart): boolean {
  return (a.pc === a.get(STVEC)) !== (b.pc === b.get(STVEC));
}

function differences(a: BareHart, b: BareHart): string[] {
  const list: string[] = [];
  const check = (name: string, x: bigint, y: bigint): void => {
    if (x !== y) list.push(`${name}: ${hex(x)}, ${hex(y)}`);
  };
  check('pc', a.pc, b.pc);
  for (let r = 1; r < 32; r++) check(integerNames[r], a.x(r), b.x(r));
  for (let r = 0; r < 32; r++) check(floatNames[r], a.get(F + 8 * r), b.get(F + 8 * r));
  check('fflags', BigInt(a.get32(FFLAGS)), BigInt(b.get32(FFLAGS)));
  check('frm', BigInt(a.get32(FRM)), BigInt(b.get32(FRM)));
  return list;
}
