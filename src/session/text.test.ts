import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { nodeCrypto } from './node/crypto.js';
import { portableText } from './text.js';
import { byteLength, textLength } from './format.js';

const codecs = { portable: portableText, node: nodeCrypto().text };

function decode(codec: typeof portableText, text: string): string | undefined {
  const into = Buffer.alloc(byteLength(text.length) + 4);
  const length = codec.fromBase64url(text, into);
  return length < 0 ? undefined : into.subarray(0, length).toString('hex');
}

for (const [name, codec] of Object.entries(codecs)) {
  describe(`text, ${name}`, () => {
    it('writes and reads every length of bytes', () => {
      for (let length = 0; length < 70; length++) {
        const bytes = Uint8Array.from({ length }, (_, i) => (i * 89 + length) & 0xff);
        const text = codec.toBase64url(bytes, 0, length);
        assert.equal(text, Buffer.from(bytes).toString('base64url'));
        assert.equal(text.length, textLength(length));
        assert.equal(decode(codec, text), Buffer.from(bytes).toString('hex'));
      }
    });

    it('reads only the canonical text', () => {
      for (const text of [
        'A',
        'AB',
        'AAB',
        'AA==',
        'AA=',
        'AAA=',
        'A+AA',
        'A/AA',
        'A AA',
        'AA\n',
        'A.AA',
        'AAAAA',
        'ŁŁŁŁ',
        'AAŁA',
        'é',
        'AAé',
        '\u{1F600}AA',
      ]) {
        assert.equal(decode(codec, text), undefined, JSON.stringify(text));
      }
      assert.equal(decode(codec, ''), '');
      assert.equal(decode(codec, '-_-_'), 'fbffbf');
    });

    it('reads every third, and every second, character of a rest as the standard does', () => {
      const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
      for (const head of ['A', 'AA']) {
        for (const last of alphabet) {
          const text = head + last;
          const canonical = Buffer.from(text, 'base64url').toString('base64url') === text;
          assert.equal(decode(codec, text) !== undefined, canonical, text);
        }
      }
    });

    it('counts and writes UTF-8 like TextEncoder, lone surrogates included', () => {
      fc.assert(
        fc.property(fc.string({ unit: fc.nat({ max: 0xffff }).map((c) => String.fromCharCode(c)) }), (text) => {
          const expected = new TextEncoder().encode(text);
          assert.equal(codec.utf8Length(text), expected.length);
          const into = Buffer.alloc(expected.length + 3);
          codec.writeUtf8(text, into, 3);
          assert.deepEqual(new Uint8Array(into.subarray(3)), expected);
          assert.equal(
            codec.readUtf8(into, 3, into.length),
            new TextDecoder('utf-8', { ignoreBOM: true }).decode(expected),
          );
        }),
      );
    });
  });
}

it('both codecs take and refuse the same texts', () => {
  const character = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...Array.from('ABCXYZabcxyz0189-_')) },
    { weight: 1, arbitrary: fc.constantFrom('+', '/', '=', ' ', '\n', '.', '\u0141', '\u00c1', '\ud800') },
  );
  fc.assert(
    fc.property(fc.string({ unit: character, maxLength: 40 }), (text) => {
      assert.equal(decode(portableText, text), decode(codecs.node, text));
    }),
    { numRuns: 5000 },
  );
});
