/** Timeouts that callers give, in milliseconds. */
import { shown } from './checks.js';
import { SystemError } from './errors.js';

/** A timer that is to wait longer would go off at once. */
const LONGEST = 2 ** 31 - 1;

/** Gives the timeout back; `Infinity` is none. Throws SystemError `invalid` for what is no time, NaN or negative. */
export function checkTimeout(milliseconds: number): number {
  if (typeof milliseconds === 'number' && milliseconds >= 0) return milliseconds;
  throw new SystemError(
    'invalid',
    `a timeout is a number of milliseconds from 0 on, or Infinity, not ${shown(milliseconds)}`,
  );
}

/** As setTimeout; undefined, and never over, for what is longer than a timer can wait (24 days) or `Infinity`. */
export function startTimer(over: () => void, milliseconds: number): ReturnType<typeof setTimeout> | undefined {
  return milliseconds > LONGEST ? undefined : setTimeout(over, milliseconds);
}
