import { unsupported } from '../errors.js';

/**
 * The signal by which a runner stops its thread. It must not be pending for the process or one of its threads: ptrace
 * would show the one that is pending already, and the two would become one. Any other serves: it never comes to a handler.
 */
export const STOP_SIGNAL = 16;

/** SIGSTKFLT, which no kernel sends; then others that one seldom sends; then any that can be blocked and stops nothing. */
const CHOICE: readonly number[] = [STOP_SIGNAL, 30, 31, 7, 4, 8, 5, 24, 25, 26, 27, 29, 3, 6, 13, 1, 2, 10, 12, 14, 15];
/** Real-time signals, the last first. */
const REAL_TIME = Array.from({ length: 31 }, (_, i) => 64 - i);

const bit = (signal: number): bigint => 1n << BigInt(signal - 1);

/** A signal that is not among the pending ones. `where`: whose they are. Throws `unsupported`. */
export function stopSignal(pending: bigint, where: string): number {
  const free = [...CHOICE, ...REAL_TIME].find((s) => (pending & bit(s)) === 0n);
  if (free === undefined) throw unsupported('every signal at once, pending', where);
  return free;
}

/** A set of one signal alone: `sigset_t`. */
export const only = (signal: number): Uint8Array => new Uint8Array(new BigUint64Array([bit(signal)]).buffer);

/** A signal mask of all signals but one. */
export const allBut = (signal: number): bigint => 0xffff_ffff_ffff_ffffn & ~bit(signal);
