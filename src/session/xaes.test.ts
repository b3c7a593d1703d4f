import assert from 'node:assert/strict';
import { createCipheriv, createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { HEADER_SIZE, NONCE_AT, TEXT_AT, FRAME_OVERHEAD } from './format.js';
import { NodeAead } from './node/crypto.js';
import { webAead } from './webcrypto.js';
import type { WebCrypto } from './webcrypto.js';
import { BLOCK_SIZE, cmacSubkey, HALF_NONCE, keyBlocks, KEY_SIZE } from './xaes.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

function encryptBlocks(key: Uint8Array, blocks: Uint8Array): Uint8Array {
  return createCipheriv('aes-256-ecb', key, null).setAutoPadding(false).update(blocks);
}

/** XAES-256-GCM as the specification composes it, from this project's key blocks and node:crypto's GCM. */
function xaes(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, aad: Uint8Array): Buffer {
  const blocks = new Uint8Array(KEY_SIZE);
  keyBlocks(cmacSubkey(encryptBlocks(key, new Uint8Array(BLOCK_SIZE))), nonce, 0, blocks, 0);
  const cipher = createCipheriv('aes-256-gcm', encryptBlocks(key, blocks), nonce.subarray(HALF_NONCE));
  cipher.setAAD(aad);
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

describe('XAES-256-GCM', () => {
  const nonce = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWX');
  const text = Buffer.from('XAES-256-GCM');

  it("computes the specification's intermediate values, with and without the carry", () => {
    const ones = new Uint8Array(32).fill(1);
    assert.equal(hex(cmacSubkey(encryptBlocks(ones, new Uint8Array(16)))), 'e531954aca063d5b8d9c47a47d4cc6f0');
    const threes = new Uint8Array(32).fill(3);
    assert.equal(hex(cmacSubkey(encryptBlocks(threes, new Uint8Array(16)))), '23810ec50edb99f374409466ed1f4b7b');
    const blocks = new Uint8Array(32);
    keyBlocks(cmacSubkey(encryptBlocks(ones, new Uint8Array(16))), nonce, 0, blocks, 0);
    assert.equal(hex(encryptBlocks(ones, blocks)), 'c8612c9ed53fe43e8e005b828a1631a0bbcb6ab2f46514ec4f439fcfd0fa969b');
  });

  it("makes the specification's two ciphertexts", () => {
    assert.equal(
      hex(xaes(new Uint8Array(32).fill(1), nonce, text, Buffer.alloc(0))),
      'ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271',
    );
    assert.equal(
      hex(xaes(new Uint8Array(32).fill(3), nonce, text, Buffer.from('c2sp.org/XAES-256-GCM'))),
      '986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d',
    );
  });

  it("passes the specification's accumulated test of 10,000 random inputs", () => {
    // The random stream is SHAKE-128 of nothing; 10,000 inputs take at most 568 bytes each.
    const stream = createHash('shake128', { outputLength: 10_000 * 568 }).digest();
    let at = 0;
    const take = (length: number) => stream.subarray(at, (at += length));
    const all: Buffer[] = [];
    for (let i = 0; i < 10_000; i++) {
      const key = take(32);
      const randomNonce = take(24);
      const plaintext = take(take(1)[0]);
      const aad = take(take(1)[0]);
      all.push(xaes(key, randomNonce, plaintext, aad));
    }
    assert.equal(
      createHash('shake128', { outputLength: 32 }).update(Buffer.concat(all)).digest('hex'),
      'e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939',
    );
  });

  it('is what both back ends do to a frame', async () => {
    for (const length of [0, 1, 15, 16, 17, 300, 3000]) {
      const key = Uint8Array.from({ length: 32 }, (_, i) => (i * 7 + length) & 0xff);
      const frame = Uint8Array.from({ length: length + FRAME_OVERHEAD }, (_, i) => (i * 31 + 5) & 0xff);
      const expected = xaes(
        key,
        frame.subarray(NONCE_AT, TEXT_AT),
        frame.subarray(TEXT_AT, TEXT_AT + length),
        frame.subarray(0, HEADER_SIZE),
      );
      const onNode = frame.slice();
      new NodeAead(key).sealWithNonce(onNode, length);
      assert.deepEqual(Buffer.from(onNode.subarray(TEXT_AT)), expected);
      const onWeb = frame.slice();
      await (await webAead(globalThis.crypto as unknown as WebCrypto, key)).sealWithNonce(onWeb, length);
      assert.deepEqual(onWeb, onNode);
    }
  });

  it('never uses a nonce or a derived key twice in a thousand seals', () => {
    const aead = new NodeAead(new Uint8Array(32).fill(9));
    const seen = new Set<string>();
    for (let i = 0; i < 1000; i++) {
      const frame = new Uint8Array(FRAME_OVERHEAD + 16);
      aead.seal(frame, 16);
      seen.add(hex(frame.subarray(NONCE_AT, NONCE_AT + HALF_NONCE)));
      seen.add(hex(frame.subarray(TEXT_AT)));
    }
    assert.equal(seen.size, 2000);
  });

  it('seals with batched keys what opens with the key derived from the nonce', () => {
    const aead = new NodeAead(new Uint8Array(32).fill(9));
    for (let i = 0; i < 200; i++) {
      const frame = new Uint8Array(FRAME_OVERHEAD + 4);
      frame.set([1, 2, 3, i], TEXT_AT);
      aead.seal(frame, 4);
      assert.deepEqual([...(aead.open(frame, 4) ?? [])], [1, 2, 3, i]);
    }
  });
});
