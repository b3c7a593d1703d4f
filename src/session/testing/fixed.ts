/** For tests: rings, clocks and nonces that are known beforehand. */
import { NodeAead, nodeCrypto } from '../node/crypto.js';
import type { Backend, SyncBackend } from '../backend.js';
import { NONCE_AT } from '../format.js';
import { DEFAULT_POLICY, KeyRing } from '../ring.js';
import type { RingKey, RingPolicy } from '../ring.js';
import { webAead, webCrypto } from '../webcrypto.js';
import type { WebCrypto } from '../webcrypto.js';

/** A moment all tests share: 2026-01-01. */
export const T0 = Date.UTC(2026, 0, 1);

/** A key of 32 equal bytes that is active for a year around `T0`. */
export function testKey(id: number, byte: number, changes: Partial<RingKey> = {}): RingKey {
  return {
    id,
    secret: new Uint8Array(32).fill(byte),
    created: T0 - 1000,
    activates: T0 - 1000,
    expires: T0 + 365 * 86_400_000,
    ...changes,
  };
}

/** A ring of such keys. */
export function testRing(
  keys: readonly RingKey[] = [testKey(0x5e55104e, 7)],
  policy: RingPolicy = DEFAULT_POLICY,
): KeyRing {
  return new KeyRing({ policy, keys });
}

/** A clock that stands still until it is set. */
export function testClock(now = T0): { now: number; read: () => number } {
  const clock = { now, read: () => clock.now };
  return clock;
}

/** The node:crypto back end with one nonce for every seal. */
export function nodeWithNonce(nonce: Uint8Array): SyncBackend {
  return {
    ...nodeCrypto(),
    aead(secret) {
      const aead = new NodeAead(secret);
      return {
        seal(frame, length) {
          frame.set(nonce, NONCE_AT);
          aead.sealWithNonce(frame, length);
        },
        open: (frame, length) => aead.open(frame, length),
      };
    },
  };
}

/** The WebCrypto back end with one nonce for every seal. */
export function webWithNonce(nonce: Uint8Array): Backend {
  return {
    ...webCrypto(),
    async aead(secret) {
      const aead = await webAead(globalThis.crypto as unknown as WebCrypto, secret);
      return {
        async seal(frame, length) {
          frame.set(nonce, NONCE_AT);
          await aead.sealWithNonce(frame, length);
        },
        open: (frame, length) => aead.open(frame, length),
      };
    },
  };
}
