/**
 * What the synchronous and the asynchronous sessions share: everything but the
 * cipher and the high-water mark, whose answers may come later. No step keeps
 * anything between calls but the ciphers of known keys.
 */
import type { TextCodec } from './backend.js';
import { SessionError } from './errors.js';
import {
  byteLength,
  ENVELOPE_SIZE,
  FRAME_OVERHEAD,
  ID_SIZE,
  idAt,
  MAX_UINT48,
  readEnvelope,
  readKeyId,
  sameBytes,
  TEXT_AT,
  textLength,
  VERSION,
  writeEnvelope,
  writeHeader,
} from './format.js';
import type { Layout } from './format.js';
import { writeJson } from './json.js';
import type { CheckedLimits } from './limits.js';
import { NEW_IDENTITY } from './generation.js';
import { keyState } from './ring.js';
import type { KeyRing, RingKey } from './ring.js';
import type { Refusal, RefusalReason, Session, SessionChange, SessionStart } from './types.js';
import { fromBase64url, toBase64url } from './text.js';

/** What every session of one kind has in common. */
export interface Kind {
  readonly text: TextCodec;
  readonly ring: KeyRing;
  readonly purpose: Uint8Array;
  readonly audience: Uint8Array;
  readonly limits: CheckedLimits;
}

/** A session measured for its frame: only the cipher is missing. */
export interface Measured {
  readonly key: RingKey;
  readonly json: string;
  readonly identityLength: number;
  /** Bytes of plaintext. */
  readonly length: number;
}

/** Outcome of `measure`: the size, or by how much it is too large. */
export type Measure = Measured | { readonly over: number };

// Filled and emptied within one call, never across an await.
const idBytes = new Uint8Array(ID_SIZE);

function refuse(reason: RefusalReason): Refusal {
  return { ok: false, reason };
}

/** Whether `value` is a refusal rather than what was hoped for. */
export function isRefusal(value: object): value is Refusal {
  return 'ok' in value && value.ok === false;
}

function bad(what: string): SessionError {
  return new SessionError('bad-argument', what);
}

/** A new session's state. */
export function startSession<A, D>(
  kind: Kind,
  start: SessionStart<A, D>,
  now: number,
  random: (bytes: Uint8Array<ArrayBuffer>) => void,
): Session<A, D> {
  const id = new Uint8Array(ID_SIZE);
  random(id);
  return {
    id: toBase64url(id),
    identity: start.identity ?? '',
    issued: now,
    lastActivity: now,
    expires: now + kind.limits.maxAge,
    counter: 0,
    activity: start.activity,
    data: start.data,
  };
}

/** The session one step on: the counter and the time of last activity advance, and what `change` names. */
export function advanceSession<A, D>(session: Session<A, D>, change: SessionChange<A, D>, now: number): Session<A, D> {
  const { identity = session.identity } = change;
  const next = {
    id: session.id,
    identity,
    issued: session.issued,
    // A server whose clock is behind the last one's does not turn the session's time back.
    lastActivity: Math.max(now, session.lastActivity),
    expires: session.expires,
    counter: session.counter + 1,
    // Only these three: what else a change brings along (a request's body, spread into it) is not for the session.
    activity: 'activity' in change ? change.activity : session.activity,
    data: 'data' in change ? change.data : session.data,
  };
  if (session.generation === undefined) return next;
  return { ...next, generation: identity === session.identity ? session.generation : NEW_IDENTITY };
}

function isTime(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_UINT48;
}

/**
 * Finds out what a session's frame will take.
 *
 * @param generation - which log-out of the identity the session came after; 0: none
 */
export function measure<A, D>(kind: Kind, session: Session<A, D>, generation: number, now: number): Measure {
  const { identity, counter } = session;
  if (!isTime(session.issued) || !isTime(session.lastActivity) || !isTime(session.expires)) {
    throw bad('a session time is not whole milliseconds since 1970');
  }
  if (!isTime(counter) || counter === MAX_UINT48) throw bad('session.counter: a whole number from 0 to 2^48 - 2');
  if (!identity.isWellFormed()) throw bad('session.identity: half a surrogate pair has no UTF-8');
  const json = writeJson(session.activity, session.data, generation);
  const identityLength = identity === '' ? 0 : kind.text.utf8Length(identity);
  if (identityLength > 0xffff) throw bad('session.identity: at most 65535 bytes of UTF-8');
  const length =
    ENVELOPE_SIZE + kind.purpose.length + kind.audience.length + identityLength + kind.text.utf8Length(json);
  const over = textLength(length + FRAME_OVERHEAD) - kind.limits.size;
  if (over > 0) return { over };
  return { key: kind.ring.sealingKey(now), json, identityLength, length };
}

/** Writes header and plaintext. The frame has room for `FRAME_OVERHEAD` bytes more than the plaintext. */
export function writeFrame<A, D>(kind: Kind, session: Session<A, D>, measured: Measured, frame: Uint8Array): void {
  const { text, purpose, audience } = kind;
  writeHeader(frame, measured.key.id);
  writeEnvelope(frame, TEXT_AT, session, purpose, audience, measured.identityLength);
  if (fromBase64url(session.id, idBytes) !== ID_SIZE)
    throw bad('session.id: take the one the session was created with');
  frame.set(idBytes, idAt(TEXT_AT));
  let at = TEXT_AT + ENVELOPE_SIZE + purpose.length + audience.length;
  if (measured.identityLength > 0) text.writeUtf8(session.identity, frame, at);
  at += measured.identityLength;
  text.writeUtf8(measured.json, frame, at);
}

/** A seal's text taken apart as far as possible without its key. */
export interface Incoming {
  readonly key: RingKey;
  /** Bytes of ciphertext. */
  readonly length: number;
}

/** Looks at a seal's text and finds its key; writes its bytes to the frame, which has room for `limits.size` characters. */
export function receive(kind: Kind, seal: string, frame: Uint8Array, now: number): Incoming | Refusal {
  const { limits, ring } = kind;
  if (seal.length > limits.size) return { ok: false, reason: 'too-large', over: seal.length - limits.size };
  const length = kind.text.fromBase64url(seal, frame) - FRAME_OVERHEAD;
  if (length < ENVELOPE_SIZE || frame[0] !== VERSION) return refuse('malformed');
  const key = ring.find(readKeyId(frame), now);
  if (key === undefined) return refuse('unknown-key');
  const state = keyState(key, ring.content.policy, now - limits.skew);
  if (state === 'revoked') return refuse('revoked-key');
  if (state === 'retired') return refuse('expired');
  return { key, length };
}

/** What the plaintext of a genuine seal says, its activity and data not yet validated. */
export function readSession(kind: Kind, plaintext: Uint8Array, now: number): Session<unknown, unknown> | Refusal {
  const layout = readEnvelope(plaintext);
  if (layout === undefined) return refuse('malformed');
  const refusal = refusalOf(kind, layout, plaintext, now);
  if (refusal !== undefined) return refuse(refusal);
  const { text } = kind;
  let json: unknown;
  try {
    json = JSON.parse(text.readUtf8(plaintext, layout.jsonAt, plaintext.length));
  } catch {
    return refuse('malformed');
  }
  if (!Array.isArray(json) || json.length < 2 || json.length > 3) return refuse('malformed');
  const id = idAt(0);
  const session = {
    id: text.toBase64url(plaintext, id, id + ID_SIZE),
    identity: layout.identityAt === layout.jsonAt ? '' : text.readUtf8(plaintext, layout.identityAt, layout.jsonAt),
    issued: layout.issued,
    lastActivity: layout.lastActivity,
    expires: layout.expires,
    counter: layout.counter,
    activity: json[0] as unknown,
    data: json[1] as unknown,
  };
  if (json.length === 2) return session;
  const generation: unknown = json[2];
  return typeof generation === 'number' && isTime(generation) ? { ...session, generation } : refuse('malformed');
}

function refusalOf(kind: Kind, layout: Layout, plaintext: Uint8Array, now: number): RefusalReason | undefined {
  const { limits } = kind;
  if (!sameBytes(plaintext, layout.purposeAt, layout.audienceAt, kind.purpose)) return 'wrong-purpose';
  if (!sameBytes(plaintext, layout.audienceAt, layout.identityAt, kind.audience)) return 'wrong-audience';
  const latest = now + limits.skew;
  if (layout.issued > latest || layout.lastActivity > latest) return 'not-yet-valid';
  // The seal's own end, or the one of today's limits, whichever is first: a tightened limit counts at once.
  const earliest = now - limits.skew;
  if (earliest >= Math.min(layout.expires, layout.issued + limits.maxAge)) return 'expired';
  if (earliest >= layout.lastActivity + limits.idle) return 'idle';
  return undefined;
}

/** Bytes of a frame that takes any seal within the limit. */
export function frameSize(limits: CheckedLimits): number {
  // Node writes a few bytes for text that turns out not to be base64url's.
  return byteLength(limits.size) + 4;
}
