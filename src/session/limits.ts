/** What a seal may be: how old, how idle, how large. */
import { SessionError } from './errors.js';

/** Limits as you give them; what is not named has the default. */
export interface Limits {
  /** Seconds from issue to expiry, whatever happens. Default 14 days. */
  readonly maxAge?: number;
  /** Seconds without activity. Default: none, only the age counts. */
  readonly idle?: number;
  /** Seconds by which the servers' clocks may differ. Default 60. */
  readonly skew?: number;
  /** Characters (= bytes) of a seal. Default 4096 less 512 for a cookie's name and attributes. */
  readonly size?: number;
}

/** Limits as they are used: milliseconds and bytes. */
export interface CheckedLimits {
  readonly maxAge: number;
  readonly idle: number;
  readonly skew: number;
  readonly size: number;
}

/** Bytes a cookie may have, name, value and attributes together (RFC 6265, 6.1). */
export const COOKIE_SIZE = 4096;

const DEFAULTS = { maxAge: 14 * 86_400, idle: Infinity, skew: 60, size: COOKIE_SIZE - 512 };

/** @throws SessionError `bad-argument` */
export function checkLimits(limits: Limits = {}): CheckedLimits {
  const { maxAge, idle, skew, size } = { ...DEFAULTS, ...limits };
  if (!(maxAge > 0 && maxAge <= 1e9)) throw new SessionError('bad-argument', 'limits.maxAge: seconds, above 0');
  if (!(idle > 0)) throw new SessionError('bad-argument', 'limits.idle: seconds, above 0');
  if (!(skew >= 0 && skew <= 86_400)) throw new SessionError('bad-argument', 'limits.skew: seconds, 0 to 86400');
  if (!(Number.isInteger(size) && size >= 128 && size <= 1 << 24)) {
    throw new SessionError('bad-argument', 'limits.size: bytes, a whole number from 128 to 16777216');
  }
  return { maxAge: maxAge * 1000, idle: idle * 1000, skew: skew * 1000, size };
}
