/**
 * The keys that seal and open, and their life:
 *
 *   created ──activates──▶ active ──expires──▶ expired ──overlap──▶ retired
 *   opens                 seals, opens         opens                 neither
 *      └───────────────────────┴─────── revoke ──┴──▶ revoked (neither, secret gone)
 *
 * A key is created some time before it seals, so that every server has heard of
 * it by then (propagation); it goes on opening after it has stopped sealing, as
 * long as the oldest session lives (overlap). So a rotation logs nobody out.
 */
import { SessionError } from './errors.js';

/** Where in its life a key is. */
export type KeyState = 'created' | 'active' | 'expired' | 'retired' | 'revoked';

/** One key. Times are milliseconds since 1970. */
export interface RingKey {
  /** 32 bits, written as 8 hexadecimal digits; travels in every seal. */
  readonly id: number;
  /** 32 bytes; undefined once the key is revoked. */
  readonly secret: Uint8Array | undefined;
  readonly created: number;
  /** From when the key may seal. */
  readonly activates: number;
  /** Until when the key may seal. */
  readonly expires: number;
  readonly revoked?: number;
}

/** How keys come and go. Seconds. */
export interface RingPolicy {
  /** Time for a new key to reach every server before it seals. */
  readonly propagation: number;
  /** How long a key seals. */
  readonly lifetime: number;
  /** How long it still opens after that: at least a session's greatest age. */
  readonly overlap: number;
}

/** One hour to spread, 90 days to seal, 30 more to open. */
export const DEFAULT_POLICY: RingPolicy = { propagation: 3600, lifetime: 90 * 86_400, overlap: 30 * 86_400 };

/** A ring's whole content: plain data. */
export interface RingContent {
  readonly policy: RingPolicy;
  readonly keys: readonly RingKey[];
}

/** Writes a key id as people see it: 8 hexadecimal digits. */
export function formatKeyId(id: number): string {
  return id.toString(16).padStart(8, '0');
}

/** Where in its life a key is at `now`. */
export function keyState(key: RingKey, policy: RingPolicy, now: number): KeyState {
  if (key.revoked !== undefined || key.secret === undefined) return 'revoked';
  if (now < key.activates) return 'created';
  if (now < key.expires) return 'active';
  return now < key.expires + policy.overlap * 1000 ? 'expired' : 'retired';
}

/** The key that seals at `now`: of the active ones the last to become so. */
export function sealingKey(content: RingContent, now: number): RingKey | undefined {
  let best: RingKey | undefined;
  for (const key of content.keys) {
    if (keyState(key, content.policy, now) !== 'active') continue;
    // Equal times: the greater id, so that all servers choose alike.
    if (
      best === undefined ||
      key.activates > best.activates ||
      (key.activates === best.activates && key.id > best.id)
    ) {
      best = key;
    }
  }
  return best;
}

/** Where a ring's news come from, for instance a file that others change. */
export interface RingSource {
  /** Asked with the time before every look at the keys: the new content, if there is one. */
  news(now: number): RingContent | undefined;
  /** Asked when a seal names a key the ring lacks: the new content, if a look right now finds one. */
  newsNow(now: number): RingContent | undefined;
}

/**
 * A ring as sealing and opening see it. Its content can be replaced at any time
 * (a secret store answered, or its source has news); what is going on sees the
 * new content with its next look.
 *
 * @example
 * const ring = new KeyRing(parseRing(text));
 */
export class KeyRing {
  #content!: RingContent;
  #byId!: Map<number, RingKey>;
  readonly #source: RingSource | undefined;

  constructor(content: RingContent, source?: RingSource) {
    this.#source = source;
    this.replace(content);
  }

  get content(): RingContent {
    return this.#content;
  }

  replace(content: RingContent): void {
    this.#byId = new Map(content.keys.map((key) => [key.id, key]));
    this.#content = content;
  }

  find(id: number, now: number): RingKey | undefined {
    this.#take(this.#source?.news(now));
    const key = this.#byId.get(id);
    if (key !== undefined || this.#source === undefined) return key;
    this.#take(this.#source.newsNow(now));
    return this.#byId.get(id);
  }

  /** @throws SessionError `no-active-key` */
  sealingKey(now: number): RingKey {
    this.#take(this.#source?.news(now));
    const key = sealingKey(this.#content, now);
    if (key === undefined) {
      throw new SessionError('no-active-key', 'no key of the ring is active now: rotate the ring');
    }
    return key;
  }

  #take(content: RingContent | undefined): void {
    if (content !== undefined) this.replace(content);
  }
}
