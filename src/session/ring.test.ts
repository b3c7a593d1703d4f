import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SessionError } from './errors.js';
import { createKey, revoke, rotate } from './ring-life.js';
import { formatRing, formatRingForEnvironment, parseRing, ringFromEnvironment } from './ring-text.js';
import { DEFAULT_POLICY, formatKeyId, KeyRing, keyState, sealingKey } from './ring.js';
import type { RingContent } from './ring.js';
import { T0, testKey } from './testing/fixed.js';

const DAY = 86_400_000;
const HOUR = 3_600_000;
const random = (bytes: Uint8Array) => void randomFillSync(bytes);
const empty: RingContent = { policy: DEFAULT_POLICY, keys: [] };

const isError = (code: string) => (error: unknown) => error instanceof SessionError && error.code === code;

describe('the life of a key', () => {
  it('goes from created over active and expired to retired', () => {
    const key = testKey(1, 1, { created: T0, activates: T0 + HOUR, expires: T0 + 90 * DAY });
    const at = (now: number) => keyState(key, DEFAULT_POLICY, now);
    assert.deepEqual(
      [T0, T0 + HOUR - 1, T0 + HOUR, T0 + 90 * DAY - 1, T0 + 90 * DAY, T0 + 120 * DAY - 1, T0 + 120 * DAY].map(at),
      ['created', 'created', 'active', 'active', 'expired', 'expired', 'retired'],
    );
    assert.equal(keyState({ ...key, revoked: T0 }, DEFAULT_POLICY, T0 + DAY), 'revoked');
  });

  it('starts at once in an empty ring, after the propagation delay beside another', () => {
    const first = createKey(empty, T0, random);
    assert.equal(first.key.activates, T0);
    const second = createKey(first.content, T0 + DAY, random);
    assert.equal(second.key.activates, T0 + DAY + HOUR);
    assert.equal(sealingKey(second.content, T0 + DAY), first.key);
    assert.equal(sealingKey(second.content, T0 + DAY + HOUR), second.key);
    const third = createKey(second.content, T0 + DAY, random, { immediately: true });
    assert.equal(sealingKey(third.content, T0 + DAY), third.key);
  });

  it('is taken over in a rotation without a moment in which no key seals', () => {
    let { content, key } = createKey(empty, T0, random);
    const now = T0 + 30 * DAY;
    const old = key.id;
    ({ content, key } = rotate(content, now, random));
    assert.equal(sealingKey(content, now + HOUR - 1)?.id, old);
    assert.equal(sealingKey(content, now + HOUR)?.id, key.id);
    const before = content.keys.find((other) => other.id === old);
    assert.equal(before?.expires, now + HOUR, 'its overlap counts from the take-over');
  });

  it('shortens the delay rather than leaving a gap when the old key is about to expire', () => {
    const { content } = createKey(empty, T0, random);
    const step = rotate(content, T0 + 90 * DAY - 60_000, random);
    assert.equal(step.key.activates, T0 + 90 * DAY);
  });

  it('is forgotten a second overlap after it has been retired', () => {
    const first = createKey(empty, T0, random);
    const second = rotate(first.content, T0 + DAY, random);
    const expires = T0 + DAY + HOUR;
    const kept = rotate(second.content, expires + 60 * DAY - 1, random);
    assert.ok(kept.content.keys.some((key) => key.id === first.key.id));
    const gone = rotate(second.content, expires + 60 * DAY, random);
    assert.ok(!gone.content.keys.some((key) => key.id === first.key.id));
  });

  it('ends at its revocation: the secret is gone, and another key seals at once', () => {
    const { content, key } = createKey(empty, T0, random);
    const after = revoke(content, [key.id], T0 + DAY, random);
    const revoked = after.keys.find((other) => other.id === key.id);
    assert.equal(revoked?.secret, undefined);
    assert.equal(revoked?.revoked, T0 + DAY);
    assert.ok(!formatRing(after).includes(Buffer.from(key.secret ?? []).toString('base64url')));
    assert.equal(sealingKey(after, T0 + DAY)?.activates, T0 + DAY);
    assert.throws(() => revoke(content, [12345], T0, random), isError('no-such-key'));
    assert.deepEqual(revoke(after, [key.id], T0 + 2 * DAY, random), after, 'revoking twice changes nothing');
  });

  it('keeps a key that may seal at every moment, whatever is done with the ring', () => {
    const step = fc.record({
      what: fc.constantFrom('create', 'rotate', 'now', 'revoke', 'revoke newest'),
      wait: fc.nat({ max: 40 * DAY }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        let { content } = createKey(empty, T0, random);
        let now = T0;
        for (const { what, wait } of steps) {
          const latest = Math.max(...content.keys.map((key) => (key.revoked === undefined ? key.expires : 0)));
          // As a keeper of keys would: never later than the last key's end.
          const next = Math.min(now + wait, latest - 1);
          for (let t = now; t <= next; t += Math.max(1, (next - now) / 7))
            assert.ok(sealingKey(content, t), `at ${t - T0}`);
          now = next;
          if (what === 'create') ({ content } = createKey(content, now, random));
          if (what === 'rotate') ({ content } = rotate(content, now, random));
          if (what === 'now') ({ content } = rotate(content, now, random, { immediately: true }));
          if (what === 'revoke') content = revoke(content, [sealingKey(content, now)?.id ?? 0], now, random);
          if (what === 'revoke newest') content = revoke(content, [content.keys.at(-1)?.id ?? 0], now, random);
          assert.ok(sealingKey(content, now));
          assert.deepEqual(parseRing(formatRing(content)), content);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is chosen alike by all servers when two keys start together', () => {
    const keys = [testKey(5, 1), testKey(9, 2), testKey(7, 3)];
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
    ]) {
      assert.equal(sealingKey({ policy: DEFAULT_POLICY, keys: order.map((i) => keys[i]) }, T0)?.id, 9);
    }
  });
});

describe('a ring as text', () => {
  const { content } = rotate(createKey(empty, T0, random).content, T0 + DAY, random);

  it('comes back as it was, from a file and from an environment', () => {
    assert.deepEqual(parseRing(formatRing(content)), content);
    const line = formatRingForEnvironment(content);
    assert.match(line, /^[A-Za-z0-9_-]+$/);
    assert.deepEqual(ringFromEnvironment({ UNDERSTUDY_SESSION_KEYS: line }), content);
    assert.deepEqual(ringFromEnvironment({ MINE: formatRing(content) }, 'MINE'), content);
    assert.throws(() => ringFromEnvironment({}), isError('bad-ring'));
  });

  it('is refused when anything about it is wrong, and no secret gets into the message', () => {
    const good = JSON.parse(formatRing(content)) as {
      keys: Record<string, unknown>[];
      policy: Record<string, unknown>;
    };
    const secret = String(good.keys[0]['secret']);
    const with0 = (changes: object) => JSON.stringify({ ...good, keys: [{ ...good.keys[0], ...changes }] });
    const wrong: string[] = [
      '',
      '[]',
      'null',
      '{"keys":',
      formatRing(content).slice(0, -20),
      JSON.stringify({ ...good, format: 'other' }),
      JSON.stringify({ ...good, version: 2 }),
      JSON.stringify({ ...good, keys: {} }),
      JSON.stringify({ ...good, extra: 1 }),
      JSON.stringify({ ...good, policy: { ...good.policy, overlap: -1 } }),
      JSON.stringify({ ...good, policy: { ...good.policy, overlap: '1' } }),
      JSON.stringify({ ...good, keys: [good.keys[0], good.keys[0]] }),
      with0({ id: '123' }),
      with0({ id: 'ABCDEF01' }),
      with0({ secret: secret.slice(1) }),
      with0({ secret: `${secret}A` }),
      with0({ secret: 42 }),
      with0({ secret: undefined }),
      with0({ created: 'yesterday' }),
      with0({ activates: 5 }),
      with0({ expires: '2000-01-01T00:00:00.000Z' }),
      with0({ revoked: '2026-01-01T00:00:00.000Z' }),
      with0({ revokd: '2026-01-01T00:00:00.000Z' }),
    ];
    for (const text of wrong) {
      assert.throws(
        () => parseRing(text),
        (error) => isError('bad-ring')(error) && error instanceof Error && !error.message.includes(secret.slice(1, 20)),
        text,
      );
    }
  });

  it('writes key ids as eight hexadecimal digits', () => {
    assert.equal(formatKeyId(0), '00000000');
    assert.equal(formatKeyId(0xfedcba98), 'fedcba98');
  });
});

describe('a ring with a source', () => {
  it('asks for news before it looks, and at once for a key it lacks', () => {
    const asked: string[] = [];
    const one = { policy: DEFAULT_POLICY, keys: [testKey(1, 1)] };
    const two = { policy: DEFAULT_POLICY, keys: [testKey(1, 1), testKey(2, 2)] };
    let late: RingContent | undefined = two;
    const ring = new KeyRing(one, {
      news: () => {
        asked.push('news');
        return undefined;
      },
      newsNow: () => {
        asked.push('now');
        const news = late;
        late = undefined;
        return news;
      },
    });
    assert.equal(ring.find(1, T0)?.id, 1);
    assert.equal(ring.find(2, T0)?.id, 2);
    assert.equal(ring.find(3, T0), undefined);
    assert.deepEqual(asked, ['news', 'news', 'now', 'news', 'now']);
  });
});
