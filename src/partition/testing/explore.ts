/** Looks at every state that a system of threads can come into, whatever the order of their steps. */

/** A state: plain numbers. */
export type State = number[];

export interface System {
  readonly initial: State;
  /** Every state that may come next. Throws Violation if one of the steps does what must never be done. */
  next(state: State): State[];
  /** Whether it may stay like this for ever. */
  final(state: State): boolean;
}

export class Violation extends Error {
  override readonly name = 'Violation';
}

export interface Explored {
  readonly states: number;
  /** What is wrong, if anything: a step that must not be, or a state from which no end can be reached. */
  readonly problem: string | undefined;
}

/** More than this is too much to look at in a test. */
const MAX_STATES = 3_000_000;

export function explore(system: System): Explored {
  const numbers = new Map<string, number>();
  const states: State[] = [];
  /** By state, those it can be reached from. */
  const before: number[][] = [];
  const ends: number[] = [];
  const meet = (state: State, from: number): void => {
    const key = state.join();
    let n = numbers.get(key);
    if (n === undefined) {
      n = states.length;
      if (n >= MAX_STATES) throw new RangeError(`more than ${MAX_STATES} states`);
      numbers.set(key, n);
      states.push(state);
      before.push([]);
    }
    if (from >= 0) before[n].push(from);
  };
  meet(system.initial, -1);
  for (let n = 0; n < states.length; n++) {
    let following: State[];
    try {
      following = system.next(states[n]);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      return { states: states.length, problem: error.message };
    }
    for (const state of following) meet(state, n);
    if (!system.final(states[n])) continue;
    ends.push(n);
  }
  // What leads to an end, found backwards.
  const leads = new Uint8Array(states.length);
  const queue = [...ends];
  for (const n of ends) leads[n] = 1;
  for (let n = queue.pop(); n !== undefined; n = queue.pop()) {
    for (const m of before[n]) {
      if (leads[m] === 1) continue;
      leads[m] = 1;
      queue.push(m);
    }
  }
  const stuck = leads.indexOf(0);
  return { states: states.length, problem: stuck < 0 ? undefined : `stuck: ${states[stuck].join(' ')}` };
}
