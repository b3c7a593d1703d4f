/**
 * The back end on WebCrypto: browsers, workers at the edge, Deno, Bun, Node.
 *
 * WebCrypto has no bare block cipher. AES-CTR over one block of zeros is one:
 * its output is the encryption of the counter block.
 */
import type { AsyncAead, Backend } from './backend.js';
import { HEADER_SIZE, NONCE_AT, TEXT_AT } from './format.js';
import { portableText } from './text.js';
import { BLOCK_SIZE, cmacSubkey, HALF_NONCE, keyBlocks, KEY_SIZE, NONCE_SIZE, TAG_SIZE } from './xaes.js';

/** A key as WebCrypto hands it out; nothing here looks inside. */
export type Key = object;

/** The part of `crypto` that is used; the global one will do. */
export interface WebCrypto {
  getRandomValues(bytes: Uint8Array): unknown;
  readonly subtle: {
    importKey(
      format: 'raw',
      bytes: Uint8Array,
      algorithm: { name: string },
      extractable: boolean,
      usages: ('encrypt' | 'decrypt')[],
    ): Promise<Key>;
    encrypt(algorithm: { name: string }, key: never, data: Uint8Array): Promise<ArrayBuffer>;
    decrypt(algorithm: { name: string }, key: never, data: Uint8Array): Promise<ArrayBuffer>;
  };
}

const ZERO_BLOCK = new Uint8Array(BLOCK_SIZE);

/** XAES-256-GCM over a frame, every block cipher call WebCrypto's. */
class WebAead implements AsyncAead {
  constructor(
    private readonly crypto: WebCrypto,
    private readonly blockKey: Key,
    private readonly k1: Uint8Array,
  ) {}

  async seal(frame: Uint8Array, length: number): Promise<void> {
    this.crypto.getRandomValues(frame.subarray(NONCE_AT, NONCE_AT + NONCE_SIZE));
    await this.sealWithNonce(frame, length);
  }

  /** Seals with the nonce that is already in the frame: for test vectors. A nonce must never serve twice. */
  async sealWithNonce(frame: Uint8Array, length: number): Promise<void> {
    const key = await this.gcmKey(frame, 'encrypt');
    const text = frame.subarray(TEXT_AT, TEXT_AT + length);
    const sealed = await this.crypto.subtle.encrypt(gcm(frame), key as never, text);
    frame.set(new Uint8Array(sealed), TEXT_AT);
  }

  async open(frame: Uint8Array, length: number): Promise<Uint8Array | undefined> {
    const key = await this.gcmKey(frame, 'decrypt');
    const text = frame.subarray(TEXT_AT, TEXT_AT + length + TAG_SIZE);
    try {
      return new Uint8Array(await this.crypto.subtle.decrypt(gcm(frame), key as never, text));
    } catch {
      // OperationError: the tag does not fit. WebCrypto has no other failure with arguments of these sizes.
      return undefined;
    }
  }

  private async gcmKey(frame: Uint8Array, usage: 'encrypt' | 'decrypt'): Promise<Key> {
    const blocks = new Uint8Array(KEY_SIZE);
    keyBlocks(this.k1, frame, NONCE_AT, blocks, 0);
    const [first, second] = await Promise.all([
      encryptBlock(this.crypto, this.blockKey, blocks.subarray(0, BLOCK_SIZE)),
      encryptBlock(this.crypto, this.blockKey, blocks.subarray(BLOCK_SIZE)),
    ]);
    blocks.set(first);
    blocks.set(second, BLOCK_SIZE);
    return this.crypto.subtle.importKey('raw', blocks, { name: 'AES-GCM' }, false, [usage]);
  }
}

function gcm(frame: Uint8Array): { name: string } {
  const parameters = {
    name: 'AES-GCM',
    iv: frame.subarray(NONCE_AT + HALF_NONCE, NONCE_AT + NONCE_SIZE),
    additionalData: frame.subarray(0, HEADER_SIZE),
    tagLength: TAG_SIZE * 8,
  };
  return parameters;
}

async function encryptBlock(crypto: WebCrypto, key: Key, block: Uint8Array): Promise<Uint8Array> {
  const parameters = { name: 'AES-CTR', counter: block, length: 128 };
  return new Uint8Array(await crypto.subtle.encrypt(parameters, key as never, ZERO_BLOCK));
}

/** Makes the cipher of a key of 32 bytes. */
export async function webAead(crypto: WebCrypto, secret: Uint8Array): Promise<WebAead> {
  const key = await crypto.subtle.importKey('raw', secret, { name: 'AES-CTR' }, false, ['encrypt']);
  return new WebAead(crypto, key, cmacSubkey(await encryptBlock(crypto, key, ZERO_BLOCK)));
}

/**
 * The back end on WebCrypto.
 *
 * @param crypto - the platform's; by default the global one
 */
export function webCrypto(crypto: WebCrypto = globalThis.crypto as unknown as WebCrypto): Backend {
  return {
    text: portableText,
    random(bytes) {
      crypto.getRandomValues(bytes);
    },
    aead: (secret) => webAead(crypto, secret),
  };
}
