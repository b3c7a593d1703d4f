/**
 * Sealed sessions: the server keeps nothing, and any server that has the keys
 * can go on. This entry point runs on every JavaScript platform with WebCrypto
 * and depends on nothing; `understudy/session/node` adds the fast synchronous
 * back end and the key ring's file. See docs/sessions.md.
 */
export { createSessions } from './sessions.js';
export type { AnySessions, MaybePromise, Sessions } from './sessions.js';
export { createSessionsOn } from './sessions-sync.js';
export type { SyncSessions } from './sessions-sync.js';
export type { HighWaterOptions, SessionOptions } from './options.js';
export type { Limits } from './limits.js';
export { SessionError } from './errors.js';
export type { SessionErrorCode } from './errors.js';
export type {
  Json,
  Opened,
  Prepared,
  Refusal,
  RefusalReason,
  Sealed,
  Session,
  SessionChange,
  SessionStart,
  Unsealed,
} from './types.js';
export type { Kept, KeptValue, NotKept, Property } from './json.js';
export type { HeaderEditor } from './caching.js';
export type { Issue, SchemaResult, StandardSchema } from './standard-schema.js';
export { DEFAULT_POLICY, formatKeyId, KeyRing, keyState } from './ring.js';
export type { KeyState, RingContent, RingKey, RingPolicy, RingSource } from './ring.js';
export { createKey, revoke, rotate } from './ring-life.js';
export type { NewKey, Random, RingStep } from './ring-life.js';
export { formatRing, formatRingForEnvironment, parseRing, ringFromEnvironment } from './ring-text.js';
export { MemoryHighWater } from './high-water.js';
export type { HighWater, Mark, MemoryOptions, SyncHighWater } from './high-water.js';
export { webCrypto } from './webcrypto.js';
export type { Key, WebCrypto } from './webcrypto.js';
export type { AsyncAead, Backend, SyncAead, SyncBackend, TextCodec } from './backend.js';
export { cookieTransport, headerTransport } from './transport.js';
export type { HeaderOptions, Transport } from './transport.js';
export type { CookieOptions } from './cookie.js';
export { openVisit, openVisitOn } from './visit.js';
export type { Absent, Arrived, Ended, Saved, TooLate, Visit, VisitOptions } from './visit.js';
export type { Carrier, Exchange, Put } from './carrier.js';
