/** Sealed sessions on any platform: each step may wait for the platform's cryptography. */
import type { AsyncAead, Backend, SyncAead } from './backend.js';
import {
  advanceSession,
  frameSize,
  isRefusal,
  measure,
  readSession,
  receive,
  startSession,
  writeFrame,
} from './core.js';
import { SessionError } from './errors.js';
import { FRAME_OVERHEAD } from './format.js';
import { ENDED } from './high-water.js';
import type { Mark } from './high-water.js';
import { checkOptions } from './options.js';
import type { SessionOptions } from './options.js';
import type { RingKey } from './ring.js';
import type { Json, Opened, Sealed, Session, SessionChange, SessionStart } from './types.js';
import { validate } from './validate.js';
import { webCrypto } from './webcrypto.js';

type MaybePromise<T> = T | Promise<T>;

/**
 * Sessions of one kind: one purpose, one audience, one set of limits.
 * `Sessions` answers later, `SyncSessions` at once; the adapters take both.
 */
export interface AnySessions<A = Json, D = Json> {
  /** The most characters a seal may have. */
  readonly sizeLimit: number;
  /** A new session's state, issued now. */
  create(start: SessionStart<A, D>): Session<A, D>;
  /** The state one step on: counter and last activity advance, and what `change` names. */
  advance(session: Session<A, D>, change?: SessionChange<A, D>): Session<A, D>;
  /**
   * Seals a state as it is.
   *
   * @throws SessionError `bad-argument` for a state that is not one, `no-active-key`, `high-water`
   */
  seal(session: Session<A, D>): MaybePromise<Sealed>;
  /**
   * Opens what a client sent: the session, or why not. Never throws for what the client sent.
   *
   * @throws SessionError `high-water` when the store of marks does not answer
   */
  open(seal: string): MaybePromise<Opened<A, D>>;
  /**
   * Ends a session: no seal of it opens any more.
   *
   * @returns false when there is no high-water mark to remember it by: then only
   *   the client can forget its seal, and a copy opens until it expires
   */
  end(session: Session<A, D>): MaybePromise<boolean>;
}

/** Sessions that answer with promises. */
export interface Sessions<A = Json, D = Json> extends AnySessions<A, D> {
  seal(session: Session<A, D>): Promise<Sealed>;
  open(seal: string): Promise<Opened<A, D>>;
  end(session: Session<A, D>): Promise<boolean>;
}

/**
 * Sealed sessions of one kind.
 *
 * @param backend - the platform's cryptography, by default WebCrypto
 * @throws SessionError `bad-argument`
 * @example
 * const sessions = createSessions<{ page: number }, { name: string }>({ ring, purpose: 'shop' });
 * const sealed = await sessions.seal(sessions.create({ activity: { page: 1 }, data: { name: 'Ada' } }));
 * if (sealed.ok) {
 *   const opened = await sessions.open(sealed.seal);
 *   if (opened.ok) console.log(opened.session.activity.page);
 * }
 */
export function createSessions<A = Json, D = Json>(
  options: SessionOptions<A, D>,
  backend: Backend = webCrypto(),
): Sessions<A, D> {
  const kind = checkOptions(options, backend.text);
  const { limits } = kind;
  const clock = options.clock ?? Date.now;
  const marks = options.highWater;
  const ciphers = new WeakMap<RingKey, MaybePromise<SyncAead | AsyncAead>>();

  /** Made once per key; a key that is replaced takes its cipher along. */
  const cipher = (key: RingKey): MaybePromise<SyncAead | AsyncAead> => {
    let aead = ciphers.get(key);
    if (aead === undefined) {
      // Sealing and opening choose only keys that have their secret.
      aead = backend.aead(key.secret ?? new Uint8Array(0));
      ciphers.set(key, aead);
    }
    return aead;
  };

  const raise = async (session: Session<unknown, unknown>, counter: number, now: number): Promise<boolean> => {
    if (marks === undefined) return true;
    const { id, lastActivity } = session;
    const mark: Mark = { id, counter, lastActivity, expires: session.expires + limits.skew };
    try {
      return await marks.store.raise(mark, marks.window ?? 0, now);
    } catch (error) {
      throw new SessionError('high-water', 'the store of high-water marks did not answer', { cause: error });
    }
  };

  return {
    sizeLimit: limits.size,
    create: (start) => startSession(kind, start, clock(), (bytes) => backend.random(bytes)),
    advance: (session, change = {}) => advanceSession(session, change, clock()),

    async seal(session) {
      const now = clock();
      const measured = measure(kind, session, now);
      if ('over' in measured) return { ok: false, reason: 'too-large', over: measured.over };
      const frame = new Uint8Array(measured.length + FRAME_OVERHEAD);
      writeFrame(kind, session, measured, frame);
      const aead = await cipher(measured.key);
      await aead.seal(frame, measured.length);
      if (marks?.raisedBy === 'seal') await raise(session, session.counter, now);
      return { ok: true, seal: kind.text.toBase64url(frame, 0, frame.length) };
    },

    async open(seal) {
      const now = clock();
      const frame = new Uint8Array(Math.min(frameSize(limits), seal.length));
      const incoming = receive(kind, seal, frame, now);
      if (isRefusal(incoming)) return incoming;
      const aead = await cipher(incoming.key);
      const plaintext = await aead.open(frame, incoming.length);
      if (plaintext === undefined) return { ok: false, reason: 'tampered' };
      const session = readSession(kind, plaintext, now);
      if (isRefusal(session)) return session;
      if (!(await raise(session, session.counter, now))) return { ok: false, reason: 'replayed' };
      return validate(options, session);
    },

    async end(session) {
      if (marks === undefined) return false;
      await raise(session, ENDED, clock());
      return true;
    },
  };
}
