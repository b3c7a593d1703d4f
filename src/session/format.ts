/**
 * A seal's bytes, version 1. On the wire a seal is base64url without padding of
 *
 *   offset  size
 *        0     1  version: 1
 *        1     4  key id
 *        5    24  nonce                 (XAES-256-GCM's N)
 *       29     n  ciphertext
 *   29 + n    16  tag
 *
 * The first five bytes are the additional data. The ciphertext hides
 *
 *        0     6  issued                ms since 1970, big endian
 *        6     6  last activity         the same
 *       12     6  expires               the same
 *       18     6  counter               big endian
 *       24    16  session id
 *       40     1  p = length of the purpose
 *       41     1  a = length of the audience
 *       42     2  i = length of the identity, big endian
 *       44     p  purpose               UTF-8
 *     44+p     a  audience              UTF-8
 *   44+p+a     i  identity              UTF-8
 *      ...        [activity, data]      JSON, UTF-8, to the end; with a generation
 *                                       that is not 0 [activity, data, generation]
 *
 * Purpose and audience are inside, not additional data, so that a genuine seal
 * in the wrong place is told from a forged one. Strings before the JSON are
 * length-prefixed: no two states have the same bytes.
 */
import { NONCE_SIZE, TAG_SIZE } from './xaes.js';

export const VERSION = 1;
export const KEY_ID_AT = 1;
/** Bytes of version and key id: the additional data. */
export const HEADER_SIZE = 5;
export const NONCE_AT = HEADER_SIZE;
export const TEXT_AT = HEADER_SIZE + NONCE_SIZE;
/** Bytes of a seal beside its plaintext. */
export const FRAME_OVERHEAD = TEXT_AT + TAG_SIZE;

const ISSUED_AT = 0;
const LAST_ACTIVITY_AT = 6;
const EXPIRES_AT = 12;
const COUNTER_AT = 18;
const ID_AT = 24;
/** Bytes of a session id. */
export const ID_SIZE = 16;
const PURPOSE_LENGTH_AT = 40;
const AUDIENCE_LENGTH_AT = 41;
const IDENTITY_LENGTH_AT = 42;
const STRINGS_AT = 44;
/** Plaintext bytes before the strings. */
export const ENVELOPE_SIZE = STRINGS_AT;

/** The greatest value of a time or counter field: 2^48 - 1. */
export const MAX_UINT48 = 0xffff_ffff_ffff;

/** Characters of base64url that `bytes` bytes take. */
export function textLength(bytes: number): number {
  return Math.ceil((bytes * 4) / 3);
}

/** The most bytes that `length` characters of base64url can stand for. */
export function byteLength(length: number): number {
  return Math.floor((length * 3) / 4);
}

/** The fields of fixed size, and where the rest lies. */
export interface Envelope {
  readonly issued: number;
  readonly lastActivity: number;
  readonly expires: number;
  readonly counter: number;
}

/** Writes version and key id at the start of a frame. */
export function writeHeader(frame: Uint8Array, keyId: number): void {
  frame[0] = VERSION;
  frame[1] = keyId >>> 24;
  frame[2] = keyId >>> 16;
  frame[3] = keyId >>> 8;
  frame[4] = keyId;
}

/** The key id of a frame, 32 bits without sign. */
export function readKeyId(frame: Uint8Array): number {
  return ((frame[1] << 24) | (frame[2] << 16) | (frame[3] << 8) | frame[4]) >>> 0;
}

// Bytes by hand: a DataView per frame costs more than the six stores.
function writeUint48(bytes: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / 0x1_0000_0000);
  bytes[at] = high >>> 8;
  bytes[at + 1] = high;
  bytes[at + 2] = value >>> 24;
  bytes[at + 3] = value >>> 16;
  bytes[at + 4] = value >>> 8;
  bytes[at + 5] = value;
}

function readUint48(bytes: Uint8Array, at: number): number {
  const low = ((bytes[at + 2] << 24) | (bytes[at + 3] << 16) | (bytes[at + 4] << 8) | bytes[at + 5]) >>> 0;
  return ((bytes[at] << 8) | bytes[at + 1]) * 0x1_0000_0000 + low;
}

/** Writes the plaintext's fields of fixed size at `at`, the session id excepted. */
export function writeEnvelope(
  bytes: Uint8Array,
  at: number,
  envelope: Envelope,
  purpose: Uint8Array,
  audience: Uint8Array,
  identityLength: number,
): void {
  writeUint48(bytes, at + ISSUED_AT, envelope.issued);
  writeUint48(bytes, at + LAST_ACTIVITY_AT, envelope.lastActivity);
  writeUint48(bytes, at + EXPIRES_AT, envelope.expires);
  writeUint48(bytes, at + COUNTER_AT, envelope.counter);
  bytes[at + PURPOSE_LENGTH_AT] = purpose.length;
  bytes[at + AUDIENCE_LENGTH_AT] = audience.length;
  bytes[at + IDENTITY_LENGTH_AT] = identityLength >>> 8;
  bytes[at + IDENTITY_LENGTH_AT + 1] = identityLength;
  bytes.set(purpose, at + STRINGS_AT);
  bytes.set(audience, at + STRINGS_AT + purpose.length);
}

/** Where the session id lies in a plaintext that starts at `at`. */
export function idAt(at: number): number {
  return at + ID_AT;
}

/** A plaintext's fields, found. Offsets are into the plaintext. */
export interface Layout extends Envelope {
  readonly purposeAt: number;
  readonly audienceAt: number;
  readonly identityAt: number;
  readonly jsonAt: number;
}

/** Finds the fields of a plaintext; undefined when its lengths contradict it. */
export function readEnvelope(bytes: Uint8Array): Layout | undefined {
  if (bytes.length < ENVELOPE_SIZE) return undefined;
  const audienceAt = STRINGS_AT + bytes[PURPOSE_LENGTH_AT];
  const identityAt = audienceAt + bytes[AUDIENCE_LENGTH_AT];
  const jsonAt = identityAt + ((bytes[IDENTITY_LENGTH_AT] << 8) | bytes[IDENTITY_LENGTH_AT + 1]);
  if (jsonAt > bytes.length) return undefined;
  return {
    issued: readUint48(bytes, ISSUED_AT),
    lastActivity: readUint48(bytes, LAST_ACTIVITY_AT),
    expires: readUint48(bytes, EXPIRES_AT),
    counter: readUint48(bytes, COUNTER_AT),
    purposeAt: STRINGS_AT,
    audienceAt,
    identityAt,
    jsonAt,
  };
}

/** Whether `bytes` from `start` to `end` are `expected`. Nothing secret is compared here: the tag has fitted. */
export function sameBytes(bytes: Uint8Array, start: number, end: number, expected: Uint8Array): boolean {
  if (end - start !== expected.length) return false;
  for (let i = 0; i < expected.length; i++) if (bytes[start + i] !== expected[i]) return false;
  return true;
}
