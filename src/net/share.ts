/** What a station may be given of the network, checked: it comes from whoever made the port. */
import { NetError } from './errors.js';
import type { PortShare } from './port.js';

const LEAST_WEIGHT = 1 / 100;
const MOST_WEIGHT = 100;

const shown = (value: unknown): string => (typeof value === 'number' ? String(value) : `a ${typeof value}`);

/** Throws NetError `BAD_CONFIG`. */
export function checkShare({ bandwidth, weight }: PortShare): void {
  if (weight !== undefined && !(typeof weight === 'number' && weight >= LEAST_WEIGHT && weight <= MOST_WEIGHT)) {
    throw new NetError('BAD_CONFIG', `a port's weight is from ${LEAST_WEIGHT} to ${MOST_WEIGHT}, not ${shown(weight)}`);
  }
  if (bandwidth !== undefined && !(typeof bandwidth === 'number' && bandwidth > 0 && bandwidth < Infinity)) {
    const wanted = 'a number of bytes per second above 0';
    throw new NetError('BAD_CONFIG', `a port's bandwidth is ${wanted}, not ${shown(bandwidth)}`);
  }
}
