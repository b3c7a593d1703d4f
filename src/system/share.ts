/** What a user says of an instance's share of harts, by the words that container engines have for it. */
import type { HartClaim } from '../computer/seat-table.js';
import { DEFAULT_WEIGHT, MAX_WEIGHT } from '../computer/shares.js';
import { SystemError } from './errors.js';

/** Less than this of a hart is no use to a Linux (harts' worth of time). */
const LEAST_CPU = 0.01;

/** How much of the harts that it shares an instance gets. */
export interface ShareOptions {
  /** In proportion to the weights of the others, 1 to 10,000. */
  readonly weight?: number | undefined;
  /** At most so many harts' time, 0.01 or more; Infinity: no limit. */
  readonly cpu?: number | undefined;
}

/** The share that these options are, and `before` where they say nothing; undefined: none. Throws SystemError `invalid`. */
export function shareOf({ weight, cpu }: ShareOptions, before?: HartClaim): HartClaim | undefined {
  if (weight === undefined && cpu === undefined) return before;
  if (weight !== undefined && !(Number.isInteger(weight) && weight >= 1 && weight <= MAX_WEIGHT)) {
    throw new SystemError('invalid', `a weight is a whole number from 1 to ${MAX_WEIGHT}, not ${weight}`);
  }
  if (cpu !== undefined && !(cpu >= LEAST_CPU)) {
    throw new SystemError('invalid', `cpu is ${LEAST_CPU} or more of a hart, not ${cpu}`);
  }
  return { weight: weight ?? before?.weight ?? DEFAULT_WEIGHT, cpu: cpu ?? before?.cpu ?? Infinity };
}
