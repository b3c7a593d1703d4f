/** Sealed sessions where the platform's cryptography answers at once. */
import type { SyncAead, SyncBackend } from './backend.js';
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
import type { SyncHighWater } from './high-water.js';
import type { Kept } from './json.js';
import { abandon, isThenable } from './later.js';
import { syncMarks } from './marks.js';
import { checkClock, checkOptions } from './options.js';
import type { SessionOptions } from './options.js';
import type { RingKey } from './ring.js';
import type { AnySessions } from './sessions.js';
import type { Json, Opened, Prepared, Sealed, Session, Unsealed } from './types.js';
import { validateSync } from './validate.js';

/** Sessions that answer at once. */
export interface SyncSessions<A = Json, D = Json> extends AnySessions<A, D> {
  seal(session: Session<A, D>): Sealed;
  open(seal: string): Opened<A, D>;
  prepare(session: Session<A, D>): Prepared;
  end(session: Session<A, D>): boolean;
  endIdentity(identity: string): void;
}

const REPLAYED: Unsealed = { ok: false, reason: 'replayed' };

/**
 * Sealed sessions of one kind on a synchronous back end; see `createSessions`.
 *
 * @throws SessionError `bad-argument`, `async-store`; `open` also throws `async-schema`
 */
export function createSessionsOn<A extends Kept<A> = Json, D extends Kept<D> = Json>(
  backend: SyncBackend,
  options: SessionOptions<A, D, SyncHighWater>,
): SyncSessions<A, D> {
  const kind = checkOptions(options, backend.text);
  const { limits } = kind;
  const clock = checkClock(options.clock);
  const marks = syncMarks(options, limits);
  const markOnSeal = marks?.raisedBySeal === true ? marks : undefined;
  const ciphers = new WeakMap<RingKey, SyncAead>();
  // One frame for all: nothing here waits, so no two seals are under way at once.
  const frame = backend.scratch(frameSize(limits));

  const cipher = (key: RingKey): SyncAead => {
    let aead = ciphers.get(key);
    if (aead === undefined) {
      aead = backend.aead(key.secret ?? new Uint8Array(0));
      ciphers.set(key, aead);
    }
    return aead;
  };

  const sealed = (session: Session<A, D>, now: number): Sealed => {
    const generation = marks === undefined ? Math.max(0, session.generation ?? 0) : marks.generationOf(session, now);
    if (generation === undefined) return REPLAYED;
    const measured = measure(kind, session, generation, now);
    if ('over' in measured) return { ok: false, reason: 'too-large', over: measured.over };
    writeFrame(kind, session, measured, frame);
    const done: unknown = cipher(measured.key).seal(frame, measured.length);
    // Sealed later is not sealed now: the text would go out as it is.
    if (done !== undefined) throw backendIsAsync(done);
    return { ok: true, seal: kind.text.toBase64url(frame, 0, measured.length + FRAME_OVERHEAD) };
  };

  return {
    sizeLimit: limits.size,
    create: (start) => startSession(kind, start, clock(), (bytes) => backend.random(bytes)),
    advance: (session, change = {}) => advanceSession(session, change, clock()),

    seal(session) {
      const now = clock();
      const text = sealed(session, now);
      if (markOnSeal === undefined || !text.ok) return text;
      return markOnSeal.raise(session, session.counter, now) ? text : REPLAYED;
    },

    prepare(session) {
      const now = clock();
      const text = sealed(session, now);
      if (!text.ok) return text;
      const commit = () => markOnSeal === undefined || markOnSeal.raise(session, session.counter, now);
      return { ...text, commit };
    },

    open(seal) {
      const now = clock();
      const incoming = receive(kind, seal, frame, now);
      if (isRefusal(incoming)) return incoming;
      const plaintext = cipher(incoming.key).open(frame, incoming.length);
      if (plaintext === undefined) return { ok: false, reason: 'tampered' };
      if (!(plaintext instanceof Uint8Array)) throw backendIsAsync(plaintext);
      const session = readSession(kind, plaintext, now);
      if (isRefusal(session)) return session;
      if (marks === undefined) return validateSync(options, session);
      if (!marks.accepts(session, now)) return { ok: false, reason: 'replayed' };
      return validateSync(options, marks.identities ? { generation: 0, ...session } : session);
    },

    end(session) {
      if (marks === undefined) return false;
      marks.raise(session, ENDED, clock());
      return true;
    },

    endIdentity(identity) {
      if (marks === undefined) throw new SessionError('bad-argument', 'to end an identity set highWater.identities');
      marks.endIdentity(identity, clock());
    },
  };
}

function backendIsAsync(answer: unknown): SessionError {
  if (isThenable(answer)) abandon(answer);
  return new SessionError('async-store', 'this back end answers later: use createSessions, which waits for it');
}
