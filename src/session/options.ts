/** What sessions of one kind are made from, checked once. */
import type { TextCodec } from './backend.js';
import type { Kind } from './core.js';
import { SessionError } from './errors.js';
import type { HighWater } from './high-water.js';
import { checkLimits } from './limits.js';
import type { Limits } from './limits.js';
import type { KeyRing } from './ring.js';
import type { StandardSchema } from './standard-schema.js';
import type { Json } from './types.js';

/** When and how far a high-water mark is enforced. */
export interface HighWaterOptions<Store extends HighWater = HighWater> {
  readonly store: Store;
  /**
   * What raises the mark. `open` (the default): a seal that comes back, so that
   * whatever is older than the newest one seen is refused. `seal`: the server's
   * own sealing, so that a seal is refused as soon as its successor is made; a
   * response that gets lost then ends the session.
   */
  readonly raisedBy?: 'open' | 'seal';
  /** How far below its mark a seal is still accepted, for requests under way at once. Default 0. */
  readonly window?: number;
  /**
   * Also lets `endIdentity` log an identity out everywhere, at the price of one
   * more look at the store for each opening. Default false.
   */
  readonly identities?: boolean;
}

/** What sessions of one kind are made from. */
export interface SessionOptions<A = Json, D = Json, Store extends HighWater = HighWater> {
  readonly ring: KeyRing;
  /** What the sessions are for. A seal for one purpose opens for no other. 1 to 255 bytes of UTF-8. */
  readonly purpose: string;
  /** For whom: a host, a tenant, a service. A seal for one opens for no other. At most 255 bytes of UTF-8. */
  readonly audience?: string;
  readonly limits?: Limits;
  /** Checks the activity of each opened session; what it returns is what you get. */
  readonly activity?: StandardSchema<A>;
  /** Checks the data of each opened session; what it returns is what you get. */
  readonly data?: StandardSchema<D>;
  /** Refuses older seals, at the price of keeping something. Default: none. */
  readonly highWater?: HighWaterOptions<Store>;
  /** Milliseconds since 1970; by default the platform's clock. */
  readonly clock?: () => number;
}

function name(text: string, what: string, least: number): Uint8Array {
  // Two names that differ only there would be one, U+FFFD.
  if (!text.isWellFormed()) throw new SessionError('bad-argument', `${what}: half a surrogate pair has no UTF-8`);
  const bytes = new TextEncoder().encode(text);
  if (bytes.length < least || bytes.length > 255) {
    throw new SessionError('bad-argument', `${what}: ${least} to 255 bytes of UTF-8`);
  }
  return bytes;
}

/** @throws SessionError `bad-argument` */
export function checkOptions<A, D>(options: SessionOptions<A, D>, text: TextCodec): Kind {
  const limits = checkLimits(options.limits);
  const { overlap } = options.ring.content.policy;
  if (overlap * 1000 < limits.maxAge) {
    throw new SessionError(
      'bad-argument',
      `limits.maxAge (${limits.maxAge / 1000} s) is longer than the ring's overlap (${overlap} s): rotations would end sessions`,
    );
  }
  return {
    text,
    ring: options.ring,
    purpose: name(options.purpose, 'purpose', 1),
    audience: name(options.audience ?? '', 'audience', 0),
    limits,
  };
}

/**
 * The clock, asked in a way that notices when it has stopped answering: every
 * comparison with NaN is false, and so nothing would ever be too old.
 */
export function checkClock(clock: (() => number) | undefined): () => number {
  if (clock === undefined) return Date.now;
  return () => {
    const now: unknown = clock();
    if (typeof now === 'number' && Number.isFinite(now) && now >= 0) return Math.floor(now);
    throw new SessionError('bad-argument', `clock: milliseconds since 1970 are expected, not ${String(now)}`);
  };
}
