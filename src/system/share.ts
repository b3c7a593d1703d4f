/** What a user says of an instance's share of harts, by the words that container engines have for it. */
import type { HartClaim } from '../computer/seat-table.js';
import { DEFAULT_WEIGHT, MAX_WEIGHT } from '../computer/shares.js';
import { checkAmount, checkCount, checkOptions } from './checks.js';

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
export function shareOf(options: ShareOptions, before?: HartClaim): HartClaim | undefined {
  const { weight, cpu } = checkOptions('a share', options);
  if (weight === undefined && cpu === undefined) return before;
  if (weight !== undefined) checkCount('weight', weight, 1, MAX_WEIGHT);
  if (cpu !== undefined) checkAmount('cpu', cpu, LEAST_CPU);
  return { weight: weight ?? before?.weight ?? DEFAULT_WEIGHT, cpu: cpu ?? before?.cpu ?? Infinity };
}
