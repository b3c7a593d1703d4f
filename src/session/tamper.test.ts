// Whatever is done to a seal, it is refused, for the right reason, by both back ends.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ENVELOPE_SIZE, FRAME_OVERHEAD } from './format.js';
import { faces, sealOf, verdict } from './testing/faces.js';
import { T0, testKey, testRing } from './testing/fixed.js';

const ring = testRing([testKey(0x11111111, 1), testKey(0x22222222, 2, { activates: T0 - 500 })]);

for (const name of ['synchronous on node:crypto', 'asynchronous on WebCrypto']) {
  const sessions = faces[name]({ ring, purpose: 'p', audience: 'a', clock: () => T0 });
  const make = async (data: string) =>
    Buffer.from(await sealOf(sessions, sessions.create({ identity: 'i', activity: 1, data })), 'base64url');
  const open = (bytes: Uint8Array) => verdict(sessions, Buffer.from(bytes).toString('base64url'));

  describe(`a seal that was altered, ${name}`, () => {
    it('is refused whichever of its bits is flipped', async () => {
      const seal = await make('data');
      for (let bit = 0; bit < seal.length * 8; bit++) {
        const flipped = Buffer.from(seal);
        flipped[bit >> 3] ^= 1 << (bit & 7);
        const expected = bit < 8 ? 'malformed' : bit < 40 ? 'unknown-key' : 'tampered';
        assert.equal(await open(flipped), expected, `bit ${bit}`);
      }
      assert.equal(await open(seal), 'ok');
    });

    it('is refused whichever character of its text is another', async () => {
      const text = (await make('data')).toString('base64url');
      for (let i = 0; i < text.length; i++) {
        for (const other of ['A', 'B', '_', '+', '=', ' ', 'é', '\u0141']) {
          if (other === text[i]) continue;
          const changed = text.slice(0, i) + other + text.slice(i + 1);
          assert.ok(['malformed', 'unknown-key', 'tampered'].includes(await verdict(sessions, changed)), changed);
        }
      }
    });

    it('is refused wherever it is cut, at either end', async () => {
      const seal = await make('data');
      for (let length = 0; length < seal.length; length++) {
        const expected = length < FRAME_OVERHEAD + ENVELOPE_SIZE ? 'malformed' : 'tampered';
        assert.equal(await open(seal.subarray(0, length)), expected, `the first ${length} bytes`);
        assert.notEqual(await open(seal.subarray(seal.length - length)), 'ok');
      }
      const text = seal.toString('base64url');
      for (let length = 0; length < text.length; length++) {
        assert.notEqual(await verdict(sessions, text.slice(0, length)), 'ok');
      }
    });

    it('is refused with anything added', async () => {
      const seal = await make('data');
      for (const more of [[0], [255], [0, 0, 0], Array<number>(16).fill(0)]) {
        assert.equal(await open(Buffer.concat([seal, Buffer.from(more)])), 'tampered');
      }
    });

    it('is refused wherever two seals are spliced', async () => {
      const [a, b] = [await make('one'), await make('two')];
      assert.equal(a.length, b.length);
      for (let at = 1; at < a.length; at++) {
        const spliced = Buffer.concat([a.subarray(0, at), b.subarray(at)]);
        // Header and key are the same in both: a splice that gives back one of the two is that one.
        const expected = spliced.equals(a) || spliced.equals(b) ? 'ok' : 'tampered';
        assert.equal(await open(spliced), expected, `at ${at}`);
      }
    });

    it('is refused when it names another key of the ring', async () => {
      const seal = await make('data');
      seal.writeUInt32BE(0x11111111, 1);
      assert.equal(await open(seal), 'tampered');
    });

    it('is refused when the secrets of two keys are exchanged', async () => {
      const seal = await make('data');
      const exchanged = testRing([testKey(0x11111111, 2), testKey(0x22222222, 1)]);
      const other = faces[name]({ ring: exchanged, purpose: 'p', audience: 'a', clock: () => T0 });
      assert.equal(await verdict(other, seal.toString('base64url')), 'tampered');
    });
  });
}
