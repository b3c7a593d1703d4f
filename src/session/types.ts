import type { Issue } from './standard-schema.js';

/** What JSON can carry. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/**
 * A session's state, in the clear: what the server produces and updates, and
 * the client keeps under seal. Times are milliseconds since 1970 (`Date.now`).
 */
export interface Session<A = Json, D = Json> {
  /** Names this session and no other: 128 random bits, 22 characters of base64url. */
  readonly id: string;
  /** Whom the session belongs to, in your terms; '' while nobody has said. At most 65,535 bytes of UTF-8. */
  readonly identity: string;
  readonly issued: number;
  readonly lastActivity: number;
  /** When the session ends whatever happens. */
  readonly expires: number;
  /** How many times the server has advanced the session: 0 ... 2^48 - 2. */
  readonly counter: number;
  /** Where the client's activity stands: your type, JSON. */
  readonly activity: A;
  /** Whatever else: your type, JSON. */
  readonly data: D;
  /**
   * Only where identities can be logged out everywhere: which of these log-outs
   * the session came after. Sealing fills it in.
   */
  readonly generation?: number;
}

/** What a new session starts from. */
export interface SessionStart<A, D> {
  readonly identity?: string;
  readonly activity: A;
  readonly data: D;
}

/** What one step of a session changes; what is not named stays. */
export interface SessionChange<A, D> {
  readonly identity?: string;
  readonly activity?: A;
  readonly data?: D;
}

/** Why a seal was not opened. For your log: do not tell a client more than "no session". */
export type RefusalReason =
  /** Older than the absolute age allows, or sealed by a key whose overlap is over. */
  | 'expired'
  /** No activity for longer than the idle limit. */
  | 'idle'
  /** Issued or active in the future, beyond the tolerated clock skew. */
  | 'not-yet-valid'
  /** Not what this key sealed: altered, cut, spliced, or made with another key of the same id. */
  | 'tampered'
  /** The ring has no key of that id. */
  | 'unknown-key'
  /** The key was revoked. */
  | 'revoked-key'
  /** Sealed for another purpose. */
  | 'wrong-purpose'
  /** Sealed for another audience. */
  | 'wrong-audience'
  /** Older than the session's high-water mark, or the session was ended, alone or with all of its identity. */
  | 'replayed'
  /** Not a seal of this format: other characters, too short, another version. */
  | 'malformed'
  /** Longer than the limit; `over` says by how many bytes. */
  | 'too-large'
  /** Genuine, but your validator did not accept the activity or the data; `issues` says why. */
  | 'invalid-data';

/** No session, and the reason. */
export interface Refusal {
  readonly ok: false;
  readonly reason: RefusalReason;
  /** `too-large`: the number of bytes over the limit. */
  readonly over?: number;
  /** `invalid-data`: what the validator found. */
  readonly issues?: readonly Issue[];
}

/** What opening a seal comes to. */
export type Opened<A = Json, D = Json> = { readonly ok: true; readonly session: Session<A, D> } | Refusal;

/** Why a session was not sealed. */
export type Unsealed =
  /** Its text would be `over` bytes over the limit. */
  | { readonly ok: false; readonly reason: 'too-large'; readonly over: number }
  /** It was ended, or left behind by its high-water mark, since it was opened: its seal would open nowhere. */
  | { readonly ok: false; readonly reason: 'replayed' };

/** What sealing a session comes to: the seal's text, or why there is none. */
export type Sealed = { readonly ok: true; readonly seal: string } | Unsealed;

/** A seal whose high-water mark is not raised yet. */
export type Prepared =
  | {
      readonly ok: true;
      readonly seal: string;
      /**
       * Raises the mark, where sealing does that; from then on the seals before this one are refused.
       *
       * @returns false when this one would be refused itself: do not hand it out
       */
      commit(): boolean | Promise<boolean>;
    }
  | Unsealed;
