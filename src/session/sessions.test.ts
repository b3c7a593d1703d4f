import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SessionError } from './errors.js';
import { MemoryHighWater } from './high-water.js';
import { DEFAULT_POLICY } from './ring.js';
import type { StandardSchema } from './standard-schema.js';
import { faces, sealOf, verdict } from './testing/faces.js';
import { T0, testClock, testKey, testRing } from './testing/fixed.js';

const DAY = 86_400;

interface Activity {
  track: string;
  position: number;
}

/** A validator written by hand, as small as Standard Schema allows. */
function schema<T>(check: (value: unknown) => value is T, wait = false): StandardSchema<T> {
  const validate = (value: unknown) => (check(value) ? { value } : { issues: [{ message: 'not that' }] });
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: wait ? (value) => Promise.resolve(validate(value)) : validate,
    },
  };
}

const isActivity = (value: unknown): value is Activity =>
  typeof value === 'object' && value !== null && 'track' in value && 'position' in value;

for (const [name, face] of Object.entries(faces)) {
  describe(`sessions, ${name}`, () => {
    const clock = testClock();
    const setUp = (options: object = {}) => {
      clock.now = T0;
      return face<Activity, { basket: string[] }>({ ring: testRing(), purpose: 'shop', clock: clock.read, ...options });
    };
    const start = {
      identity: 'ada',
      activity: { track: 'intro', position: 0 },
      data: { basket: ['ünïcödé', '\u{1F3A9}'] },
    };

    it('opens what it sealed, to the last field', async () => {
      const sessions = setUp();
      const session = sessions.create(start);
      const opened = await sessions.open(await sealOf(sessions, session));
      assert.deepEqual(opened, { ok: true, session });
      assert.match(session.id, /^[A-Za-z0-9_-]{22}$/);
      assert.deepEqual(
        [session.issued, session.lastActivity, session.expires, session.counter, session.identity],
        [T0, T0, T0 + 14 * DAY * 1000, 0, 'ada'],
      );
    });

    it('advances the counter, the time and what is named, and nothing else', async () => {
      const sessions = setUp();
      const first = sessions.create(start);
      clock.now = T0 + 5000;
      const second = sessions.advance(first, { activity: { track: 'intro', position: 42 } });
      assert.deepEqual(second, {
        ...first,
        counter: 1,
        lastActivity: T0 + 5000,
        activity: { track: 'intro', position: 42 },
      });
      clock.now = T0 + 1000;
      assert.equal(
        sessions.advance(second).lastActivity,
        T0 + 5000,
        "a slower clock does not turn a session's time back",
      );
      const opened = await sessions.open(await sealOf(sessions, second));
      assert.deepEqual(opened, { ok: true, session: second });
    });

    it('seals the same state differently every time, and shows nothing of it', async () => {
      const sessions = setUp();
      const session = sessions.create({ ...start, data: { basket: ['AAAAAAAAAAAAAAAAAAAAAAAA'] } });
      const seals = new Set<string>();
      for (let i = 0; i < 20; i++) seals.add(await sealOf(sessions, session));
      assert.equal(seals.size, 20);
      for (const seal of seals) assert.ok(!Buffer.from(seal, 'base64url').includes('AAAA'));
    });

    it('refuses a session at its greatest age, give or take the skew', async () => {
      const sessions = setUp({ limits: { maxAge: 100, skew: 10 } });
      const seal = await sealOf(sessions, sessions.create(start));
      for (const [after, expected] of [
        [0, 'ok'],
        [99_999, 'ok'],
        [109_999, 'ok'],
        [110_000, 'expired'],
        [1e12, 'expired'],
      ] as const) {
        clock.now = T0 + after;
        assert.equal(await verdict(sessions, seal), expected, `after ${after} ms`);
      }
    });

    it('ends a session at its age even when it is active all the time', async () => {
      const sessions = setUp({ limits: { maxAge: 100, skew: 0 } });
      let session = sessions.create(start);
      for (clock.now = T0; clock.now < T0 + 100_000; clock.now += 10_000) session = sessions.advance(session);
      assert.equal(session.expires, T0 + 100_000);
      assert.equal(await verdict(sessions, await sealOf(sessions, session)), 'expired');
    });

    it('applies a tightened age at once, and a loosened one to new sessions only', async () => {
      const sessions = setUp({ limits: { maxAge: 1000, skew: 0 } });
      const seal = await sealOf(sessions, sessions.create(start));
      const tight = setUp({ limits: { maxAge: 10, skew: 0 } });
      const loose = setUp({ limits: { maxAge: 5000, skew: 0 } });
      clock.now = T0 + 11_000;
      assert.equal(await verdict(tight, seal), 'expired');
      assert.equal(await verdict(sessions, seal), 'ok');
      clock.now = T0 + 1_000_000;
      assert.equal(await verdict(loose, seal), 'expired');
    });

    it('refuses an idle session, and activity keeps it alive', async () => {
      const sessions = setUp({ limits: { idle: 60, skew: 5 } });
      const session = sessions.create(start);
      const seal = await sealOf(sessions, session);
      clock.now = T0 + 64_999;
      assert.equal(await verdict(sessions, seal), 'ok');
      const later = await sealOf(sessions, sessions.advance(session));
      clock.now = T0 + 65_000;
      assert.equal(await verdict(sessions, seal), 'idle');
      assert.equal(await verdict(sessions, later), 'ok');
    });

    it('refuses a seal from the future beyond the skew', async () => {
      const sessions = setUp({ limits: { skew: 30 } });
      const seal = await sealOf(sessions, sessions.create(start));
      clock.now = T0 - 30_000;
      assert.equal(await verdict(sessions, seal), 'ok');
      clock.now = T0 - 30_001;
      assert.equal(await verdict(sessions, seal), 'not-yet-valid');
    });

    it('opens for its purpose and audience only', async () => {
      const sessions = setUp({ audience: 'eu' });
      const seal = await sealOf(sessions, sessions.create(start));
      assert.equal(await verdict(setUp({ audience: 'eu' }), seal), 'ok');
      assert.equal(await verdict(setUp({ audience: 'eu', purpose: 'shoq' }), seal), 'wrong-purpose');
      assert.equal(await verdict(setUp({ audience: 'eu', purpose: 'shop2' }), seal), 'wrong-purpose');
      assert.equal(await verdict(setUp({ audience: 'us' }), seal), 'wrong-audience');
      assert.equal(await verdict(setUp(), seal), 'wrong-audience');
      // The same letters split elsewhere are another purpose and audience.
      assert.equal(await verdict(setUp({ purpose: 'shope', audience: 'u' }), seal), 'wrong-purpose');
    });

    it('says by how many bytes a seal is over the limit, exactly', async () => {
      const sessions = setUp({ limits: { size: 400 } });
      const sized = (length: number) => sessions.create({ ...start, data: { basket: ['x'.repeat(length)] } });
      let fits = 0;
      while ((await sessions.seal(sized(fits + 1))).ok) fits++;
      const seal = await sealOf(sessions, sized(fits));
      assert.ok(seal.length <= 400 && seal.length > 397, `${seal.length}`);
      const large = setUp();
      for (const more of [1, 2, 3, 10, 1000]) {
        const actual = (await sealOf(large, sized(fits + more))).length;
        assert.deepEqual(await sessions.seal(sized(fits + more)), {
          ok: false,
          reason: 'too-large',
          over: actual - 400,
        });
      }
      assert.deepEqual(await sessions.open('A'.repeat(401)), { ok: false, reason: 'too-large', over: 1 });
    });

    it('tells an unknown, a revoked, a retired and a foreign key apart', async () => {
      const sessions = setUp();
      const seal = await sealOf(sessions, sessions.create(start));
      const id = 0x5e55104e;
      const withKeys = (...keys: ReturnType<typeof testKey>[]) => setUp({ ring: testRing(keys) });
      assert.equal(await verdict(withKeys(testKey(1, 7)), seal), 'unknown-key');
      assert.equal(await verdict(withKeys(testKey(id, 8)), seal), 'tampered');
      assert.equal(await verdict(withKeys(testKey(id, 7, { secret: undefined, revoked: T0 })), seal), 'revoked-key');
      const expired = { activates: T0 - 90 * DAY * 1000, expires: T0 - 1000 };
      assert.equal(await verdict(withKeys(testKey(id, 7, expired)), seal), 'ok');
      const retired = { activates: T0 - 90 * DAY * 1000, expires: T0 - DEFAULT_POLICY.overlap * 1000 - 60_000 };
      assert.equal(await verdict(withKeys(testKey(id, 7, retired)), seal), 'expired');
    });

    it('does not seal without an active key', async () => {
      const sessions = setUp({ ring: testRing([testKey(1, 1, { activates: T0 + 1000 })]) });
      const session = sessions.create(start);
      await assert.rejects(
        async () => sessions.seal(session),
        (error) => error instanceof SessionError && error.code === 'no-active-key',
      );
      clock.now = T0 + 1000;
      assert.equal((await sessions.seal(session)).ok, true);
    });

    it('sees a ring replaced while it is in use', async () => {
      const ring = testRing([testKey(1, 1)]);
      const sessions = setUp({ ring });
      const old = await sealOf(sessions, sessions.create(start));
      ring.replace({ ...ring.content, keys: [testKey(1, 1), testKey(2, 2, { activates: T0 })] });
      const fresh = await sealOf(sessions, sessions.create(start));
      assert.equal(Buffer.from(fresh, 'base64url').readUInt32BE(1), 2);
      assert.equal(await verdict(sessions, old), 'ok');
      ring.replace({ ...ring.content, keys: [testKey(1, 1, { secret: undefined, revoked: T0 }), testKey(2, 2)] });
      assert.equal(await verdict(sessions, old), 'revoked-key');
      assert.equal(await verdict(sessions, fresh), 'ok');
    });

    it('gives a validator every opened activity and data, and refuses with its issues', async () => {
      const plain = setUp();
      const good = await sealOf(plain, plain.create(start));
      const bad = await sealOf(plain, { ...plain.create(start), activity: 'sleeping' as never });
      const checked = setUp({ activity: schema(isActivity) });
      assert.equal(await verdict(checked, good), 'ok');
      assert.deepEqual(await checked.open(bad), {
        ok: false,
        reason: 'invalid-data',
        issues: [{ message: 'not that' }],
      });
      const isEmpty = (value: unknown): value is { basket: string[] } => typeof value === 'string';
      assert.equal(await verdict(setUp({ data: schema(isEmpty) }), good), 'invalid-data');
    });

    it('hands on what a validator makes of the value', async () => {
      const plain = setUp();
      const seal = await sealOf(plain, plain.create(start));
      const doubled: StandardSchema<string> = {
        '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value: JSON.stringify(value) }) },
      };
      const opened = await face({ ring: testRing(), purpose: 'shop', clock: clock.read, data: doubled }).open(seal);
      assert.equal(opened.ok && opened.session.data, '{"basket":["ünïcödé","\u{1F3A9}"]}');
    });

    it('refuses an older seal when there is a high-water mark, and any after the end', async () => {
      const sessions = setUp({ highWater: { store: new MemoryHighWater() } });
      const first = sessions.create(start);
      const second = sessions.advance(first);
      const [a, b] = [await sealOf(sessions, first), await sealOf(sessions, second)];
      assert.equal(await verdict(sessions, a), 'ok');
      assert.equal(await verdict(sessions, a), 'ok', 'the newest may come again');
      assert.equal(await verdict(sessions, b), 'ok');
      assert.equal(await verdict(sessions, a), 'replayed');
      assert.equal(await verdict(sessions, b), 'ok');
      assert.equal(await sessions.end(second), true);
      assert.equal(await verdict(sessions, b), 'replayed');
      assert.equal(await verdict(sessions, await sealOf(sessions, sessions.advance(second))), 'replayed');
    });

    it('refuses a seal as soon as its successor is made, where sealing raises the mark', async () => {
      const sessions = setUp({ highWater: { store: new MemoryHighWater(), raisedBy: 'seal' } });
      const first = sessions.create(start);
      const a = await sealOf(sessions, first);
      assert.equal(await verdict(sessions, a), 'ok');
      await sealOf(sessions, sessions.advance(first));
      assert.equal(await verdict(sessions, a), 'replayed');
    });

    it('lets requests under way at once through a window', async () => {
      const sessions = setUp({ highWater: { store: new MemoryHighWater(), window: 2 } });
      const states = [sessions.create(start)];
      for (let i = 0; i < 4; i++) states.push(sessions.advance(states[i]));
      const seals = await Promise.all(states.map((state) => sealOf(sessions, state)));
      const verdicts = [];
      for (const i of [3, 0, 1, 2, 4, 1, 2]) verdicts.push(await verdict(sessions, seals[i]));
      assert.deepEqual(verdicts, ['ok', 'replayed', 'ok', 'ok', 'ok', 'replayed', 'ok']);
    });

    it('says that it cannot end a session for its copies without a mark', async () => {
      const sessions = setUp();
      const session = sessions.create(start);
      assert.equal(await sessions.end(session), false);
      assert.equal(await verdict(sessions, await sealOf(sessions, session)), 'ok');
    });

    it('refuses states that are none', async () => {
      const sessions = setUp();
      const session = sessions.create(start);
      const cyclic: { basket: string[]; self?: unknown } = { basket: [] };
      cyclic.self = cyclic;
      for (const wrong of [
        { ...session, counter: -1 },
        { ...session, counter: 0.5 },
        { ...session, counter: 2 ** 48 - 1 },
        { ...session, issued: NaN },
        { ...session, expires: Infinity },
        { ...session, id: 'short' },
        { ...session, id: '!'.repeat(22) },
        { ...session, identity: 'x'.repeat(70_000) },
        { ...session, data: cyclic },
      ]) {
        await assert.rejects(
          async () => sessions.seal(wrong),
          (error) => error instanceof SessionError && error.code === 'bad-argument',
        );
      }
    });

    it('refuses options that promise what cannot be kept', () => {
      for (const wrong of [
        { purpose: '' },
        { purpose: 'x'.repeat(256) },
        { audience: 'x'.repeat(256) },
        { limits: { maxAge: 31 * DAY } },
        { limits: { maxAge: 0 } },
        { limits: { idle: -1 } },
        { limits: { skew: NaN } },
        { limits: { size: 10 } },
        { highWater: { store: new MemoryHighWater(), window: -1 } },
      ]) {
        assert.throws(
          () => setUp(wrong),
          (error) => error instanceof SessionError && error.code === 'bad-argument',
          JSON.stringify(wrong),
        );
      }
    });
  });
}

describe('sessions, where the faces differ', () => {
  it('the asynchronous one waits for validators, the synchronous one says that it cannot', async () => {
    const options = { ring: testRing(), purpose: 'p', clock: () => T0, activity: schema(isActivity, true) };
    const sync = faces['synchronous on node:crypto'](options);
    const async = faces['asynchronous on WebCrypto'](options);
    const seal = await sealOf(async, async.create({ activity: { track: 't', position: 1 }, data: null }));
    assert.equal(await verdict(async, seal), 'ok');
    assert.throws(
      () => sync.open(seal),
      (error) => error instanceof SessionError && error.code === 'async-schema',
    );
  });

  it('each opens what the other has sealed', async () => {
    const all = Object.values(faces).map((face) => face({ ring: testRing(), purpose: 'p', clock: () => T0 }));
    for (const one of all) {
      const session = one.create({ activity: { n: 1 }, data: ['é'] });
      for (const other of all) {
        assert.deepEqual(await other.open(await sealOf(one, session)), { ok: true, session });
      }
    }
  });
});
