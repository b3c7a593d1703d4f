/**
 * What a platform gives: ciphers, random bytes, and text. `webcrypto.ts` is one
 * back end (asynchronous, everywhere), `node/crypto.ts` the other (synchronous,
 * fast). The same key, nonce and state give the same bytes on both.
 */

/** Text in and out of bytes. */
export interface TextCodec {
  /** Bytes that `text` takes in UTF-8. */
  utf8Length(text: string): number;
  /** Writes `text` as UTF-8 at `at`; the caller has made sure that it fits. */
  writeUtf8(text: string, into: Uint8Array, at: number): void;
  readUtf8(bytes: Uint8Array, start: number, end: number): string;
  /** The first `length` bytes as base64url without padding (RFC 4648, 5). */
  toBase64url(bytes: Uint8Array, start: number, end: number): string;
  /**
   * Writes what `text` stands for to the start of `into`, which has the room,
   * and returns the number of bytes, or -1 when `text` is not the one canonical
   * text of those bytes: other characters, padding, a length that cannot be,
   * unused bits that are not zero.
   */
  fromBase64url(text: string, into: Uint8Array): number;
}

/**
 * XAES-256-GCM with one key over a seal's frame (`format.ts`): header, nonce,
 * text, tag lie one behind the other in one array, the header is the
 * additional data, and the text is encrypted in place.
 */
export interface SyncAead {
  /** Writes nonce, ciphertext and tag into a frame that holds the header and `length` bytes of plaintext. */
  seal(frame: Uint8Array, length: number): void;
  /** The plaintext of a frame that holds `length` bytes of ciphertext; undefined when the tag does not fit. */
  open(frame: Uint8Array, length: number): Uint8Array | undefined;
}

/** The same where the platform's cryptography answers later. */
export interface AsyncAead {
  seal(frame: Uint8Array, length: number): Promise<void>;
  open(frame: Uint8Array, length: number): Promise<Uint8Array | undefined>;
}

/** A back end that answers at once. */
export interface SyncBackend {
  readonly text: TextCodec;
  /** Fills `bytes` from the platform's cryptographic generator. */
  random(bytes: Uint8Array<ArrayBuffer>): void;
  /** Makes a cipher of a key of 32 bytes. */
  aead(secret: Uint8Array): SyncAead;
  /** Bytes to work in, of the kind this back end is quickest with. */
  scratch(size: number): Uint8Array;
}

/** Any back end. */
export interface Backend {
  readonly text: TextCodec;
  random(bytes: Uint8Array<ArrayBuffer>): void;
  aead(secret: Uint8Array): SyncAead | AsyncAead | Promise<AsyncAead>;
}
