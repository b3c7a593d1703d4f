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
import type { Kept } from './json.js';
import { asyncMarks } from './marks.js';
import { checkClock, checkOptions } from './options.js';
import type { SessionOptions } from './options.js';
import type { RingKey } from './ring.js';
import type { Json, Opened, Prepared, Sealed, Session, SessionChange, SessionStart, Unsealed } from './types.js';
import { validate } from './validate.js';
import { webCrypto } from './webcrypto.js';

/** A value, at once or later. */
export type MaybePromise<T> = T | Promise<T>;

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
   * Seals in two steps: the text first, then, when it has found its way to the
   * client, `commit`. A text that does not (too large for a cookie, too late for
   * the response) costs the client nothing: its last seal is still good.
   *
   * @throws SessionError as `seal`
   */
  prepare(session: Session<A, D>): MaybePromise<Prepared>;
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
  /**
   * Logs an identity out everywhere: no seal of it that was made until now opens
   * any more, on any server with this store, in this purpose and audience.
   *
   * @throws SessionError `bad-argument` without `highWater.identities`, `high-water`
   */
  endIdentity(identity: string): MaybePromise<void>;
}

/** Sessions that answer with promises. */
export interface Sessions<A = Json, D = Json> extends AnySessions<A, D> {
  seal(session: Session<A, D>): Promise<Sealed>;
  open(seal: string): Promise<Opened<A, D>>;
  prepare(session: Session<A, D>): Promise<Prepared>;
  end(session: Session<A, D>): Promise<boolean>;
  endIdentity(identity: string): Promise<void>;
}

const REPLAYED: Unsealed = { ok: false, reason: 'replayed' };

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
export function createSessions<A extends Kept<A> = Json, D extends Kept<D> = Json>(
  options: SessionOptions<A, D>,
  backend: Backend = webCrypto(),
): Sessions<A, D> {
  const kind = checkOptions(options, backend.text);
  const { limits } = kind;
  const clock = checkClock(options.clock);
  const marks = asyncMarks(options, limits);
  const markOnSeal = marks?.raisedBySeal === true ? marks : undefined;
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

  const sealed = async (session: Session<A, D>, now: number): Promise<Sealed> => {
    const generation =
      marks === undefined ? Math.max(0, session.generation ?? 0) : await marks.generationOf(session, now);
    if (generation === undefined) return REPLAYED;
    const measured = measure(kind, session, generation, now);
    if ('over' in measured) return { ok: false, reason: 'too-large', over: measured.over };
    const frame = new Uint8Array(measured.length + FRAME_OVERHEAD);
    writeFrame(kind, session, measured, frame);
    const aead = await cipher(measured.key);
    await aead.seal(frame, measured.length);
    return { ok: true, seal: kind.text.toBase64url(frame, 0, frame.length) };
  };

  return {
    sizeLimit: limits.size,
    create: (start) => startSession(kind, start, clock(), (bytes) => backend.random(bytes)),
    advance: (session, change = {}) => advanceSession(session, change, clock()),

    async seal(session) {
      const now = clock();
      const text = await sealed(session, now);
      if (markOnSeal === undefined || !text.ok) return text;
      return (await markOnSeal.raise(session, session.counter, now)) ? text : REPLAYED;
    },

    async prepare(session) {
      const now = clock();
      const text = await sealed(session, now);
      if (!text.ok) return text;
      const commit = () => markOnSeal === undefined || markOnSeal.raise(session, session.counter, now);
      return { ...text, commit };
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
      if (marks === undefined) return validate(options, session);
      if (!(await marks.accepts(session, now))) return { ok: false, reason: 'replayed' };
      return validate(options, marks.identities ? { generation: 0, ...session } : session);
    },

    async end(session) {
      if (marks === undefined) return false;
      await marks.raise(session, ENDED, clock());
      return true;
    },

    async endIdentity(identity) {
      if (marks === undefined) throw new SessionError('bad-argument', 'to end an identity set highWater.identities');
      await marks.endIdentity(identity, clock());
    },
  };
}
