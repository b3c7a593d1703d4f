/**
 * Where the time of a hart goes. Guest time is sampled by instructions: each turn that ends
 * because its budget is used up is one sample of where the hart was.
 */

/** Plain data; survives structured cloning. */
export interface HartProfile {
  /** Milliseconds on the hart's thread: running guest code, waiting for an interrupt, serving SBI calls and rings. */
  running: number;
  idle: number;
  serving: number;
  turns: number;
  sbiCalls: number;
  rings: number;
  /** Accesses to device registers. */
  registerAccesses: number;
  /** Samples by place: virtual address of the 64-byte block in hexadecimal, with "u:" before it in user mode. */
  samples: Map<string, number>;
}

export const emptyProfile = (): HartProfile => ({
  running: 0,
  idle: 0,
  serving: 0,
  turns: 0,
  sbiCalls: 0,
  rings: 0,
  registerAccesses: 0,
  samples: new Map(),
});

const BLOCK = 64n;
/** More places than this are not told apart any more. */
const MAX_PLACES = 20_000;

/** Counts one sample at `pc`. */
export function sample(places: Map<string, number>, pc: bigint, user: boolean): void {
  const block = BigInt.asUintN(64, pc) & ~(BLOCK - 1n);
  const key = `${user ? 'u:' : ''}${block.toString(16)}`;
  if (places.size >= MAX_PLACES && !places.has(key)) return;
  places.set(key, (places.get(key) ?? 0) + 1);
}
