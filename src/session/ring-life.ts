/** The steps of a key's life, as functions from one ring content to the next. */
import { SessionError } from './errors.js';
import { formatKeyId, sealingKey } from './ring.js';
import type { RingContent, RingKey } from './ring.js';
import { KEY_SIZE } from './xaes.js';

/** Fills bytes from a cryptographic generator. */
export type Random = (bytes: Uint8Array<ArrayBuffer>) => void;

/** What a step made of the ring, and the key it is about. */
export interface RingStep {
  readonly content: RingContent;
  readonly key: RingKey;
}

/** How a new key begins. */
export interface NewKey {
  /** Seals from now on, without waiting for the other servers to hear of it. */
  readonly immediately?: boolean;
}

/**
 * Adds a key. It becomes active after the propagation delay, or when the
 * present one stops sealing; at once when no key can seal now.
 */
export function createKey(content: RingContent, now: number, random: Random, options: NewKey = {}): RingStep {
  const sealing = sealingKey(content, now);
  // Never a gap: when the present key stops before the news has spread, that is when the new one starts.
  const activates =
    options.immediately === true || sealing === undefined
      ? now
      : Math.min(now + content.policy.propagation * 1000, sealing.expires);
  const secret = new Uint8Array(KEY_SIZE);
  random(secret);
  const key: RingKey = {
    id: freshId(content, random),
    secret,
    created: now,
    activates,
    expires: activates + content.policy.lifetime * 1000,
  };
  return { content: { ...content, keys: [...content.keys, key] }, key };
}

/**
 * Replaces the sealing key: adds a key, lets every other stop sealing when the
 * new one starts (their overlap counts from there), and forgets keys that have
 * been retired for an overlap.
 */
export function rotate(content: RingContent, now: number, random: Random, options: NewKey = {}): RingStep {
  const step = createKey(content, now, random, options);
  const keys = step.content.keys
    .filter((key) => now < key.expires + 2 * content.policy.overlap * 1000)
    .map((key): RingKey => {
      if (key === step.key) return key;
      const expires = Math.min(key.expires, step.key.activates);
      // A key that was still waiting never seals: it would take over from the one that replaces it.
      return { ...key, activates: Math.min(key.activates, expires), expires };
    });
  return { content: { ...content, keys }, key: step.key };
}

/**
 * Revokes keys, in one step: from now on they open nothing and their secrets
 * are gone from the ring. The key that was to seal last is replaced, at once
 * when no other can seal now: the ring does not run out of keys by a revocation.
 *
 * @throws SessionError `no-such-key`
 */
export function revoke(content: RingContent, ids: readonly number[], now: number, random: Random): RingContent {
  for (const id of ids) {
    if (!content.keys.some((key) => key.id === id)) {
      throw new SessionError('no-such-key', `the ring has no key ${formatKeyId(id)}`);
    }
  }
  const lastEnd = (keys: readonly RingKey[]) =>
    keys.reduce((end, key) => (key.secret === undefined ? end : Math.max(end, key.expires)), 0);
  const keys = content.keys.map((key) =>
    ids.includes(key.id) && key.revoked === undefined ? { ...key, secret: undefined, revoked: now } : key,
  );
  const revoked = { ...content, keys };
  if (lastEnd(keys) === lastEnd(content.keys) && sealingKey(revoked, now) !== undefined) return revoked;
  return createKey(revoked, now, random).content;
}

function freshId(content: RingContent, random: Random): number {
  const bytes = new Uint8Array(4);
  for (;;) {
    random(bytes);
    const id = ((bytes[0] << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3]) >>> 0;
    if (!content.keys.some((key) => key.id === id)) return id;
  }
}
