// The byte format is fixed: both back ends make and open the published vectors,
// and so does an implementation that shares nothing with them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { createSessionsOn } from './sessions-sync.js';
import { createSessions } from './sessions.js';
import { nodeWithNonce, testRing, webWithNonce } from './testing/fixed.js';
import { VECTORS_FILE } from './testing/vectors.js';
import type { Vector } from './testing/vectors.js';

const vectors = JSON.parse(readFileSync(VECTORS_FILE, 'utf8')) as Vector[];

function ringOf(vector: Vector) {
  return testRing([
    {
      id: parseInt(vector.keyId, 16),
      secret: Buffer.from(vector.key, 'hex'),
      created: vector.session.issued,
      activates: vector.session.issued,
      expires: vector.session.expires,
    },
  ]);
}

function optionsOf(vector: Vector) {
  const { purpose, audience, session } = vector;
  return { ring: ringOf(vector), purpose, audience, clock: () => session.lastActivity };
}

describe('the test vectors', () => {
  it('are several, and cover an empty identity, other scripts, and the greatest counter', () => {
    assert.ok(vectors.length >= 5);
    assert.ok(vectors.some((vector) => vector.session.identity === ''));
    assert.ok(vectors.some((vector) => vector.session.counter === 2 ** 48 - 2));
    assert.ok(vectors.some((vector) => /[^\0-\x7f]/.test(JSON.stringify(vector.session))));
  });

  for (const vector of vectors) {
    const nonce = Buffer.from(vector.nonce, 'hex');

    it(`${vector.about}: sealed and opened on node:crypto`, () => {
      const sessions = createSessionsOn(nodeWithNonce(nonce), optionsOf(vector));
      assert.deepEqual(sessions.seal(vector.session), { ok: true, seal: vector.seal });
      assert.deepEqual(sessions.open(vector.seal), { ok: true, session: vector.session });
    });

    it(`${vector.about}: sealed and opened on WebCrypto`, async () => {
      const sessions = createSessions(optionsOf(vector), webWithNonce(nonce));
      assert.deepEqual(await sessions.seal(vector.session), { ok: true, seal: vector.seal });
      assert.deepEqual(await sessions.open(vector.seal), { ok: true, session: vector.session });
    });
  }
});

describe('an implementation of its own, in Python without a library', () => {
  /** Runs test/session/seal.py: one JSON request per line in, one answer per line out. */
  function python(requests: readonly object[]): unknown[] {
    const input = requests.map((request) => JSON.stringify(request) + '\n').join('');
    const result = spawnSync('python3', ['test/session/seal.py'], { input, encoding: 'utf8', maxBuffer: 1 << 26 });
    assert.equal(result.error, undefined, 'python3 is needed for this test: apt-get install -y python3');
    assert.equal(result.status, 0, result.stderr);
    return result.stdout
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
  }

  /** What goes into a vector, without what comes out. */
  function inputOf({ key, keyId, nonce, purpose, audience, session }: Vector): object {
    return { do: 'seal', key, keyId, nonce, purpose, audience, session };
  }

  it('makes and opens the vectors', () => {
    const made = python(vectors.map(inputOf));
    assert.deepEqual(
      made,
      vectors.map(({ seal, plaintext }) => ({ seal, plaintext })),
    );
    const opened = python(vectors.map(({ seal, key }) => ({ do: 'open', seal, key })));
    assert.deepEqual(
      opened,
      vectors.map(({ session, purpose, audience, keyId }) => ({ session, purpose, audience, keyId })),
    );
  });

  it('opens what was sealed with random nonces, and what it seals opens here', async () => {
    const [vector] = vectors;
    const nodeSessions = createSessions(optionsOf(vector));
    const seals: string[] = [];
    for (let i = 0; i < 10; i++) {
      const sealed = await nodeSessions.seal({ ...vector.session, counter: i, data: 'd'.repeat(i * 7) });
      assert.ok(sealed.ok);
      seals.push(sealed.seal);
    }
    const opened = python(seals.map((seal) => ({ do: 'open', seal, key: vector.key }))) as {
      session: { counter: number; data: string };
    }[];
    opened.forEach(({ session }, i) => assert.deepEqual([session.counter, session.data], [i, 'd'.repeat(i * 7)]));
    const requests = Array.from({ length: 10 }, (_, i) => ({
      ...inputOf(vector),
      nonce: Buffer.alloc(24, i).toString('hex'),
      session: { ...vector.session, counter: i },
    }));
    for (const [i, answer] of (python(requests) as { seal: string }[]).entries()) {
      assert.deepEqual(await nodeSessions.open(answer.seal), { ok: true, session: { ...vector.session, counter: i } });
    }
  });

  it('refuses a seal with one bit flipped', () => {
    const [vector] = vectors;
    const flipped = Buffer.from(vector.seal, 'base64url');
    flipped[flipped.length - 1] ^= 1;
    assert.deepEqual(python([{ do: 'open', seal: flipped.toString('base64url'), key: vector.key }]), [
      { refused: true },
    ]);
  });
});
