// What the high-water mark promises, where its store, its servers' clocks and
// its responses do not do as one would like.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SessionError } from './errors.js';
import { MemoryHighWater } from './high-water.js';
import type { HighWater, Mark, SyncHighWater } from './high-water.js';
import { createSessionsSync, nodeCrypto } from './node/index.js';
import { createSessions } from './sessions.js';
import { createSessionsOn } from './sessions-sync.js';
import { redisHighWater } from './adapters/redis.js';
import { faces, sealOf, verdict } from './testing/faces.js';
import { T0, testClock, testKey, testRing } from './testing/fixed.js';
import { cookieTransport } from './transport.js';
import { openVisit } from './visit.js';
import { webCrypto } from './webcrypto.js';

const isError = (code: string) => (error: unknown) => error instanceof SessionError && error.code === code;
const MAX_AGE = 1000;
const SKEW = 60;

/** A store that forgets a mark when it expires, as Redis does, by the life that the raising server has counted. */
class ForgetfulStore implements SyncHighWater {
  /** The store's own time, milliseconds. */
  time = T0;
  readonly #marks = new Map<string, { counter: number; until: number }>();

  raise(mark: Mark, window: number, now: number): boolean {
    const known = this.#marks.get(mark.id);
    if (known !== undefined && known.until > this.time) {
      if (mark.counter < known.counter - window) return false;
      if (mark.counter <= known.counter) return true;
    }
    this.#marks.set(mark.id, { counter: mark.counter, until: this.time + (mark.expires - now) });
    return true;
  }
}

for (const [name, face] of Object.entries(faces)) {
  describe(`an ended session, ${name}`, () => {
    it('does not open again at the end of its life, whatever two clocks within the skew say', async () => {
      const limits = { maxAge: MAX_AGE, skew: SKEW };
      for (const [ahead, behind] of [
        [SKEW, 0],
        [0, SKEW],
        [0, 0],
        [SKEW / 2, SKEW / 2],
      ]) {
        const store = new ForgetfulStore();
        const server = (offset: number) =>
          face<number, null>({
            ring: testRing(),
            purpose: 'skew',
            limits,
            clock: () => store.time + offset * 1000,
            highWater: { store },
          });
        const [one, two] = [server(ahead), server(-behind)];
        const session = one.create({ activity: 1, data: null });
        const seal = await sealOf(one, session);
        store.time += 500_000;
        assert.equal(await one.end(session), true);
        const verdicts = new Set<string>();
        for (; store.time < T0 + (MAX_AGE + 4 * SKEW) * 1000; store.time += 1000) {
          verdicts.add(await verdict(one, seal)).add(await verdict(two, seal));
        }
        assert.deepEqual([...verdicts].sort(), ['expired', 'replayed'], `ahead ${ahead}, behind ${behind}`);
      }
    });
  });

  describe(`a mark raised by sealing, ${name}`, () => {
    const setUp = () => {
      const store = new MemoryHighWater();
      return {
        store,
        sessions: face<number, string>({
          ring: testRing(),
          purpose: 'seal',
          clock: () => T0,
          limits: { size: 5000 },
          highWater: { store, raisedBy: 'seal' },
        }),
      };
    };
    const exchange = (seal: string, begun = false) => ({
      sent: [] as (string | undefined)[],
      get: (header: string) => (header === 'cookie' ? `__Host-session=${seal}` : undefined),
      set(_header: string, value: string | undefined) {
        if (!begun) this.sent.push(value);
        return !begun;
      },
    });

    it('stays where it is when a save fails, and the client goes on with its seal', async () => {
      const { sessions, store } = setUp();
      const session = sessions.create({ activity: 1, data: '' });
      const seal = await sealOf(sessions, session);
      const failing: Record<string, () => Promise<unknown>> = {
        'too large for a seal': async () => {
          const visit = await openVisit(sessions, cookieTransport(), exchange(seal));
          return visit.save({ data: 'x'.repeat(6000) });
        },
        'too large for a cookie': async () => {
          const visit = await openVisit(sessions, cookieTransport(), exchange(seal));
          return visit.save({ data: 'x'.repeat(3000) });
        },
        'too late': async () => {
          const visit = await openVisit(sessions, cookieTransport(), exchange(seal, true));
          return visit.save({ data: 'x' });
        },
        'not JSON': async () => {
          const visit = await openVisit(sessions, cookieTransport(), exchange(seal));
          return visit.save({ data: undefined as never }).catch((error: unknown) => ({ ok: false, error }));
        },
        'no key': async () => {
          const other = face<number, string>({
            ring: testRing([testKey(0x5e55104e, 7, { expires: T0 - 1 })]),
            purpose: 'seal',
            clock: () => T0,
            highWater: { store, raisedBy: 'seal' },
          });
          const visit = await openVisit(other, cookieTransport(), exchange(seal));
          assert.ok(visit.session);
          return visit.save().catch((error: unknown) => ({ ok: false, error }));
        },
      };
      for (const [why, save] of Object.entries(failing)) {
        const saved = (await save()) as { ok: boolean };
        assert.equal(saved.ok, false, why);
        assert.equal(await verdict(sessions, seal), 'ok', why);
      }
      const visit = await openVisit(sessions, cookieTransport(), exchange(seal));
      assert.ok((await visit.save({ data: 'x' })).ok);
      assert.equal(await verdict(sessions, seal), 'replayed', 'a save that succeeds raises it');
    });

    it('hands out nothing when its store fails: what was set before is set again', async () => {
      const marks = new MemoryHighWater();
      let down = false;
      const store: SyncHighWater = {
        raise(mark, window, now) {
          if (down) throw new Error('down');
          return marks.raise(mark, window, now);
        },
      };
      const sessions = face<number, string>({
        ring: testRing(),
        purpose: 'seal',
        clock: () => T0,
        highWater: { store, raisedBy: 'seal' },
      });
      const seal = await sealOf(sessions, sessions.create({ activity: 1, data: '' }));
      const io = exchange(seal);
      const visit = await openVisit(sessions, cookieTransport(), io);
      assert.ok((await visit.save({ data: 'first' })).ok);
      down = true;
      await assert.rejects(visit.save({ data: 'second' }), isError('high-water'));
      assert.equal(io.sent.length, 3);
      assert.equal(io.sent[2], io.sent[0], 'the first save is what the client gets');
      assert.equal(visit.session?.data, 'first');
      down = false;
      const value = /=([^;]*)/.exec(io.sent[2] ?? '')?.[1] ?? '';
      assert.equal(await verdict(sessions, value), 'ok');
    });

    it('does not hand out a seal of a session that was ended meanwhile', async () => {
      const { sessions } = setUp();
      const session = sessions.create({ activity: 1, data: '' });
      const seal = await sealOf(sessions, session);
      const io = exchange(seal);
      const visit = await openVisit(sessions, cookieTransport(), io);
      await sessions.end(session);
      assert.deepEqual(await visit.save({ data: 'x' }), { ok: false, reason: 'replayed' });
      assert.equal(io.sent.at(-1), undefined);
      assert.deepEqual(await sessions.seal(sessions.advance(session)), { ok: false, reason: 'replayed' });
    });
  });

  describe(`a store of marks that is none, ${name}`, () => {
    it('is an error, and never a yes', async () => {
      for (const answer of [undefined, null, 1, 'true', {}, NaN]) {
        const store = { raise: () => answer as never };
        const sessions = face<number, null>({ ring: testRing(), purpose: 'p', clock: () => T0, highWater: { store } });
        const seal = await sealOf(sessions, sessions.create({ activity: 1, data: null }));
        await assert.rejects(async () => sessions.open(seal), isError('high-water'), typeof answer);
      }
      const store = {
        raise: () => {
          throw new Error('down');
        },
      };
      const sessions = face<number, null>({ ring: testRing(), purpose: 'p', clock: () => T0, highWater: { store } });
      const seal = await sealOf(sessions, sessions.create({ activity: 1, data: null }));
      await assert.rejects(async () => sessions.open(seal), isError('high-water'));
      await assert.rejects(
        async () => sessions.end(sessions.create({ activity: 1, data: null })),
        isError('high-water'),
      );
    });
  });

  describe(`a clock that has stopped answering, ${name}`, () => {
    it('is an error: nothing would ever be too old for it', async () => {
      let now: unknown = T0;
      const sessions = face<number, null>({ ring: testRing(), purpose: 'p', clock: () => now as number });
      const seal = await sealOf(sessions, sessions.create({ activity: 1, data: null }));
      for (now of [NaN, undefined, null, 'now', Infinity, -1, Promise.resolve(T0)]) {
        await assert.rejects(async () => sessions.open(seal), isError('bad-argument'), String(now));
      }
      now = T0 + 0.5;
      assert.equal(await verdict(sessions, seal), 'ok', 'parts of milliseconds are no harm');
      assert.ok((await sessions.seal(sessions.create({ activity: 1, data: null }))).ok);
    });
  });

  describe(`an identity logged out everywhere, ${name}`, () => {
    const clock = testClock();
    const setUp = (more: object = {}, store: SyncHighWater = new MemoryHighWater()) => {
      clock.now = T0;
      const limits = { maxAge: MAX_AGE, skew: SKEW };
      const highWater = { store, identities: true };
      return face<number, null>({
        ring: testRing(),
        purpose: 'all',
        clock: clock.read,
        limits,
        highWater,
        ...more,
      });
    };
    const ada = { identity: 'ada', activity: 1, data: null };

    it('has no session left, and begins anew at once, in the same millisecond', async () => {
      const sessions = setUp();
      const phone = await sealOf(sessions, sessions.create(ada));
      const laptop = await sealOf(sessions, sessions.create(ada));
      const bob = await sealOf(sessions, sessions.create({ ...ada, identity: 'bob' }));
      const nobody = await sealOf(sessions, sessions.create({ ...ada, identity: '' }));
      await sessions.endIdentity('ada');
      const again = await sealOf(sessions, sessions.create(ada));
      const verdicts = async () =>
        Promise.all([phone, laptop, bob, nobody, again].map((seal) => verdict(sessions, seal)));
      assert.deepEqual(await verdicts(), ['replayed', 'replayed', 'ok', 'ok', 'ok']);
      await sessions.endIdentity('ada');
      assert.deepEqual(await verdicts(), ['replayed', 'replayed', 'ok', 'ok', 'replayed']);
    });

    it('stays so for as long as one of its sessions could open, and later too', async () => {
      const sessions = setUp();
      const seals: string[] = [];
      // Ended, begun anew and ended again, at times at which the store has or has not forgotten the last end.
      for (let round = 0; round < 6; round++) {
        const seal = await sealOf(sessions, sessions.create(ada));
        assert.equal(await verdict(sessions, seal), 'ok', `round ${round}`);
        await sessions.endIdentity('ada');
        seals.push(seal);
        for (let step = 0; step < 14; step++) {
          clock.now += (round % 2 === 0 ? 120 : 17) * 1000;
          for (const old of seals) assert.notEqual(await verdict(sessions, old), 'ok');
        }
      }
    });

    it('keeps its saved sessions in their generation: a request under way does not bring one back', async () => {
      const sessions = setUp();
      const opened = await sessions.open(await sealOf(sessions, sessions.create(ada)));
      assert.ok(opened.ok && opened.session.generation === 0);
      clock.now += 1000;
      await sessions.endIdentity('ada');
      clock.now += 1000;
      const saved = await sealOf(sessions, sessions.advance(opened.session));
      assert.equal(await verdict(sessions, saved), 'replayed');
    });

    it('is told to a server that holds a session of it', async () => {
      const sessions = setUp();
      const held = sessions.create(ada);
      await sealOf(sessions, held);
      clock.now += 2 * SKEW * 1000;
      await sessions.endIdentity('ada');
      assert.deepEqual(await sessions.seal(sessions.advance(held)), { ok: false, reason: 'replayed' });
    });

    it('can be taken on by an older session of nobody', async () => {
      const sessions = setUp();
      const opened = await sessions.open(await sealOf(sessions, sessions.create({ ...ada, identity: '' })));
      assert.ok(opened.ok);
      clock.now += 2 * SKEW * 1000;
      await sessions.endIdentity('ada');
      const saved = await sealOf(sessions, sessions.advance(opened.session, { identity: 'ada' }));
      assert.equal(await verdict(sessions, saved), 'ok');
    });

    it('is so in its own purpose and audience only', async () => {
      const store = new MemoryHighWater();
      const kinds = [{}, { audience: 'eu' }, { purpose: 'all"' }, { purpose: 'a', audience: 'll' }];
      const all = kinds.map((kind) => setUp(kind, store));
      const seals = await Promise.all(all.map((sessions) => sealOf(sessions, sessions.create(ada))));
      await all[0].endIdentity('ada');
      const verdicts = await Promise.all(all.map((sessions, i) => verdict(sessions, seals[i])));
      assert.deepEqual(verdicts, ['replayed', 'ok', 'ok', 'ok']);
    });

    it('is refused where it is not set up, or is nobody', async () => {
      const without = setUp({ highWater: { store: new MemoryHighWater() } });
      await assert.rejects(async () => without.endIdentity('ada'), isError('bad-argument'));
      await assert.rejects(async () => setUp({ highWater: undefined }).endIdentity('ada'), isError('bad-argument'));
      await assert.rejects(async () => setUp().endIdentity(''), isError('bad-argument'));
      assert.throws(() => setUp({}, { raise: () => true }), isError('bad-argument'));
    });

    it('reads seals of before it was set up, and they can be ended', async () => {
      const before = setUp({ highWater: undefined });
      const seal = await sealOf(before, before.create(ada));
      const sessions = setUp();
      assert.equal(await verdict(sessions, seal), 'ok');
      await sessions.endIdentity('ada');
      assert.equal(await verdict(sessions, seal), 'replayed');
      const fresh = await sealOf(sessions, sessions.create(ada));
      assert.equal(await verdict(before, fresh), 'ok', 'and a server without marks reads those of one that has them');
    });

    it('is logged out by a visit, which takes the seal away too', async () => {
      const sessions = setUp();
      const phone = await sealOf(sessions, sessions.create(ada));
      const laptop = await sealOf(sessions, sessions.create(ada));
      const sent: (string | undefined)[] = [];
      const visit = await openVisit(sessions, cookieTransport(), {
        get: () => `__Host-session=${phone}`,
        set: (_name, value) => sent.push(value) > 0,
      });
      assert.deepEqual(await visit.endEverywhere(), { ok: true, final: true });
      assert.match(sent[0] ?? '', /^__Host-session=; Max-Age=0;/);
      assert.equal(await verdict(sessions, laptop), 'replayed');
      await assert.rejects(visit.endEverywhere(), isError('bad-argument'));
    });
  });
}

describe('the synchronous sessions', () => {
  const options = { ring: testRing(), purpose: 'p', clock: () => T0 };

  it('refuse a store that answers later: a promise is no yes', async () => {
    // As JavaScript lets it through.
    const store = redisHighWater(() => Promise.resolve(0)) as unknown as SyncHighWater;
    assert.throws(() => createSessionsSync({ ...options, highWater: { store } }), isError('async-store'));

    const later: HighWater[] = [
      { raise: () => Promise.resolve(false) },
      { raise: () => Promise.reject(new Error('down')) },
      { raise: () => ({ then: (resolve: (value: boolean) => void) => resolve(false) }) as Promise<boolean> },
    ];
    for (const highWater of later) {
      const sessions = createSessionsSync({ ...options, highWater: { store: highWater as SyncHighWater } });
      const sealed = sessions.seal(sessions.create({ activity: 1, data: null }));
      assert.ok(sealed.ok);
      assert.throws(() => sessions.open(sealed.seal), isError('async-store'));
      assert.throws(() => sessions.end(sessions.create({ activity: 1, data: null })), isError('async-store'));
      const bySeal = createSessionsSync({
        ...options,
        highWater: { store: highWater as SyncHighWater, raisedBy: 'seal' },
      });
      assert.throws(() => bySeal.seal(bySeal.create({ activity: 1, data: null })), isError('async-store'));
    }
    // None of the promises that nobody waited for has become an unhandled rejection.
    await new Promise((resolve) => setImmediate(resolve));
  });

  it('refuse a back end that seals later: the text would go out as it is', async () => {
    const cipher = await webCrypto().aead(new Uint8Array(32).fill(7));
    const backend = { ...nodeCrypto(), aead: () => cipher } as never;
    const sessions = createSessionsOn(backend, options);
    assert.throws(() => sessions.seal(sessions.create({ activity: 1, data: 'secret' })), isError('async-store'));
    const good = createSessions(options);
    const seal = await sealOf(good, good.create({ activity: 1, data: null }));
    assert.throws(() => sessions.open(seal), isError('async-store'));
  });
});

describe('marks in memory, of identities', () => {
  it('never take more than their capacity, and forget or refuse as it was asked for', () => {
    const forgetting = new MemoryHighWater({ capacity: 2 });
    const refusing = new MemoryHighWater({ capacity: 2, whenFull: 'refuse' });
    for (const store of [forgetting, refusing]) {
      for (const [i, identity] of ['a', 'b', 'c'].entries()) store.endIdentity(identity, T0 + 1000, T0 + i);
      assert.equal(store.forgotten, 1);
      assert.equal(store.generation('c', T0), T0 + 2);
    }
    assert.equal(forgetting.generation('a', T0), 0);
    assert.equal(refusing.generation('a', T0), T0, 'nobody from before a was forgotten gets in');
    assert.equal(refusing.generation('new', T0), T0);
  });

  it('go on counting within a millisecond, and when the clock is set back', () => {
    const store = new MemoryHighWater();
    const generations = [T0, T0, T0 - 5000].map((now) => store.endIdentity('a', T0 + 1e6, now));
    assert.deepEqual(generations, [T0, T0 + 1, T0 + 2]);
    assert.equal(
      store.endIdentity('a', T0 + 9e6, T0 + 2e6),
      T0 + 2e6,
      'and from the clock again when it was forgotten',
    );
  });

  it('keep a mark for the longest life it was ever given', () => {
    const store = new MemoryHighWater({ capacity: 1, whenFull: 'refuse' });
    store.raise({ id: 'a', counter: 1, lastActivity: T0, expires: T0 + 9000 }, 0, T0);
    store.raise({ id: 'a', counter: 2, lastActivity: T0, expires: T0 + 10 }, 0, T0);
    store.raise({ id: 'b', counter: 1, lastActivity: T0 + 2, expires: T0 + 9000 }, 0, T0 + 100);
    assert.equal(store.raise({ id: 'a', counter: 1, lastActivity: T0, expires: T0 + 9000 }, 0, T0 + 100), false);
  });
});
