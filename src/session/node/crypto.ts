/**
 * The back end on node:crypto: synchronous, and as fast as it gets.
 *
 * What the time goes into, measured: making a GCM cipher object and the array
 * buffer that each of its calls returns, 4 to 5 µs per seal and as much per
 * opening; nothing else comes near. So whatever can be shared is: one ECB
 * cipher object lives as long as the key, and derives the keys of a whole batch
 * of seals in one call; random bytes are drawn by the batch too.
 */
import { createCipheriv, createDecipheriv, randomFillSync } from 'node:crypto';
import { Buffer } from 'node:buffer';
import type { SyncAead, SyncBackend, TextCodec } from '../backend.js';
import { byteLength, HEADER_SIZE, NONCE_AT, TEXT_AT } from '../format.js';
import { BLOCK_SIZE, cmacSubkey, HALF_NONCE, keyBlocks, KEY_SIZE, NONCE_SIZE, TAG_SIZE } from '../xaes.js';

/** Seals whose nonces and keys are made together. */
const BATCH = 64;
const GCM = 'aes-256-gcm';

/** XAES-256-GCM over a frame. */
export class NodeAead implements SyncAead {
  // A cipher object in ECB mode has no state between whole blocks: it is the block cipher.
  readonly #block;
  readonly #k1: Uint8Array;
  readonly #openBlocks = new Uint8Array(KEY_SIZE);
  readonly #nonces = new Uint8Array(BATCH * NONCE_SIZE);
  readonly #blocks = new Uint8Array(BATCH * KEY_SIZE);
  readonly #key = new Uint8Array(KEY_SIZE);
  #keys: Uint8Array = new Uint8Array(0);
  #next = BATCH;
  #views: FrameViews | undefined;

  constructor(secret: Uint8Array) {
    this.#block = createCipheriv('aes-256-ecb', secret, null).setAutoPadding(false);
    this.#k1 = cmacSubkey(this.#block.update(new Uint8Array(BLOCK_SIZE)));
  }

  seal(frame: Uint8Array, length: number): void {
    if (this.#next === BATCH) this.#fill();
    const at = this.#next++;
    const nonces = this.#nonces;
    for (let i = 0, from = at * NONCE_SIZE; i < NONCE_SIZE; i++) frame[NONCE_AT + i] = nonces[from + i];
    const key = this.#key;
    const keys = this.#keys;
    for (let i = 0, from = at * KEY_SIZE; i < KEY_SIZE; i++) {
      key[i] = keys[from + i];
      // Used once: a copy of this memory taken later does not open this seal by its own key.
      keys[from + i] = 0;
    }
    this.#encrypt(key, frame, length);
  }

  /** Seals with the nonce that is already in the frame: for test vectors. A nonce must never serve twice. */
  sealWithNonce(frame: Uint8Array, length: number): void {
    this.#encrypt(this.#gcmKey(frame), frame, length);
  }

  open(frame: Uint8Array, length: number): Uint8Array | undefined {
    const views = this.#viewsOf(frame);
    const cipher = createDecipheriv(GCM, this.#gcmKey(frame), views.nonce);
    cipher.setAuthTag(view(frame, TEXT_AT + length, TAG_SIZE));
    cipher.setAAD(views.header);
    const plaintext = cipher.update(view(frame, TEXT_AT, length));
    try {
      cipher.final();
    } catch {
      // The tag does not fit; final() of GCM fails for no other reason.
      return undefined;
    }
    return plaintext;
  }

  #encrypt(key: Uint8Array, frame: Uint8Array, length: number): void {
    const views = this.#viewsOf(frame);
    const cipher = createCipheriv(GCM, key, views.nonce);
    cipher.setAAD(views.header);
    frame.set(cipher.update(view(frame, TEXT_AT, length)), TEXT_AT);
    cipher.final();
    frame.set(cipher.getAuthTag(), TEXT_AT + length);
  }

  #gcmKey(frame: Uint8Array): Uint8Array {
    keyBlocks(this.#k1, frame, NONCE_AT, this.#openBlocks, 0);
    return this.#block.update(this.#openBlocks);
  }

  #fill(): void {
    randomFillSync(this.#nonces);
    for (let i = 0; i < BATCH; i++) keyBlocks(this.#k1, this.#nonces, i * NONCE_SIZE, this.#blocks, i * KEY_SIZE);
    this.#keys = this.#block.update(this.#blocks);
    this.#next = 0;
  }

  /** Synchronous sessions work in one frame for ever: its views are made once. */
  #viewsOf(frame: Uint8Array): FrameViews {
    if (this.#views?.frame !== frame) {
      this.#views = {
        frame,
        header: view(frame, 0, HEADER_SIZE),
        nonce: view(frame, NONCE_AT + HALF_NONCE, NONCE_SIZE - HALF_NONCE),
      };
    }
    return this.#views;
  }
}

interface FrameViews {
  readonly frame: Uint8Array;
  readonly header: Uint8Array;
  readonly nonce: Uint8Array;
}

/** `subarray` without the detour over the class of the array it is asked of. */
function view(bytes: Uint8Array, at: number, length: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + at, length);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Whether `string`, which Node has read as `length` bytes, is their canonical
 * text. Node reads more than that: it skips characters that are none of
 * base64's (then there are fewer bytes than characters promise), takes '+' and
 * '/' for '-' and '_', looks only at the low byte of wide characters, and drops
 * unused bits. Writing the bytes out again and comparing would say the same,
 * and cost as much again in garbage.
 */
function isCanonical(string: string, length: number): boolean {
  const rest = string.length & 3;
  if (rest === 1 || length !== byteLength(string.length)) return false;
  if (string.includes('+') || string.includes('/') || Buffer.byteLength(string, 'utf8') !== string.length) return false;
  if (rest === 0) return true;
  return (rest === 2 ? LAST_OF_TWO : LAST_OF_THREE).includes(string[string.length - 1]);
}

/** Characters whose lower four, or two, bits are zero: the last ones where one, or two, bytes are left over. */
const LAST_OF_TWO = 'AQgw';
const LAST_OF_THREE = 'AEIMQUYcgkosw048';

const text: TextCodec = {
  utf8Length: (string) => Buffer.byteLength(string, 'utf8'),
  writeUtf8(string, into, at) {
    asBuffer(into).write(string, at, 'utf8');
  },
  readUtf8: (bytes, start, end) => asBuffer(bytes).toString('utf8', start, end),
  toBase64url: (bytes, start, end) => asBuffer(bytes).toString('base64url', start, end),
  fromBase64url(string, into) {
    const length = asBuffer(into).write(string, 0, 'base64url');
    return isCanonical(string, length) ? length : -1;
  },
};

/** The back end on node:crypto. */
export function nodeCrypto(): SyncBackend {
  return {
    text,
    random: (bytes) => void randomFillSync(bytes),
    aead: (secret) => new NodeAead(secret),
    scratch: (size) => Buffer.alloc(size),
  };
}
