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
import { FRAME_OVERHEAD } from './format.js';
import { ENDED } from './high-water.js';
import type { SyncHighWater } from './high-water.js';
import { checkOptions } from './options.js';
import type { SessionOptions } from './options.js';
import type { RingKey } from './ring.js';
import type { AnySessions } from './sessions.js';
import type { Json, Opened, Sealed, Session } from './types.js';
import { validateSync } from './validate.js';

/** Sessions that answer at once. */
export interface SyncSessions<A = Json, D = Json> extends AnySessions<A, D> {
  seal(session: Session<A, D>): Sealed;
  open(seal: string): Opened<A, D>;
  end(session: Session<A, D>): boolean;
}

/**
 * Sealed sessions of one kind on a synchronous back end; see `createSessions`.
 *
 * @throws SessionError `bad-argument`; `open` also throws `async-schema`
 */
export function createSessionsOn<A = Json, D = Json>(
  backend: SyncBackend,
  options: SessionOptions<A, D, SyncHighWater>,
): SyncSessions<A, D> {
  const kind = checkOptions(options, backend.text);
  const { limits } = kind;
  const clock = options.clock ?? Date.now;
  const marks = options.highWater;
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

  const raise = (session: Session<unknown, unknown>, counter: number, now: number): boolean => {
    if (marks === undefined) return true;
    const { id, lastActivity } = session;
    return marks.store.raise(
      { id, counter, lastActivity, expires: session.expires + limits.skew },
      marks.window ?? 0,
      now,
    );
  };

  return {
    sizeLimit: limits.size,
    create: (start) => startSession(kind, start, clock(), (bytes) => backend.random(bytes)),
    advance: (session, change = {}) => advanceSession(session, change, clock()),

    seal(session) {
      const now = clock();
      const measured = measure(kind, session, now);
      if ('over' in measured) return { ok: false, reason: 'too-large', over: measured.over };
      writeFrame(kind, session, measured, frame);
      cipher(measured.key).seal(frame, measured.length);
      if (marks?.raisedBy === 'seal') raise(session, session.counter, now);
      return { ok: true, seal: kind.text.toBase64url(frame, 0, measured.length + FRAME_OVERHEAD) };
    },

    open(seal) {
      const now = clock();
      const incoming = receive(kind, seal, frame, now);
      if (isRefusal(incoming)) return incoming;
      const plaintext = cipher(incoming.key).open(frame, incoming.length);
      if (plaintext === undefined) return { ok: false, reason: 'tampered' };
      const session = readSession(kind, plaintext, now);
      if (isRefusal(session)) return session;
      if (!raise(session, session.counter, now)) return { ok: false, reason: 'replayed' };
      return validateSync(options, session);
    },

    end(session) {
      if (marks === undefined) return false;
      raise(session, ENDED, clock());
      return true;
    },
  };
}
