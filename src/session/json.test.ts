// What a seal does not keep is refused: by the compiler, and when it is sealed.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { runInNewContext } from 'node:vm';
import { SessionError } from './errors.js';
import type { Kept, NotKept } from './json.js';
import { createSessionsSync } from './node/sessions.js';
import { createSessions } from './sessions.js';
import { faces, sealOf } from './testing/faces.js';
import { T0, testRing } from './testing/fixed.js';
import type { Json } from './types.js';

const options = { ring: testRing(), purpose: 'json', clock: () => T0 };

/** The compiler's word why a property named `x` of this type is not kept. */
type Why<T> = Kept<T> extends { readonly x: NotKept<infer W> } ? W : never;

describe('a type that promises what a seal does not keep', () => {
  it('does not compile, and the compiler says why', () => {
    const date: Why<{ x: Date }> = 'a Date comes back as a string: keep getTime() or toISOString()';
    const map: Why<{ x: Map<string, number> }> = 'a Map or Set comes back as {}: use an object or an array';
    const set: Why<{ x: ReadonlySet<string> }> = 'a Map or Set comes back as {}: use an object or an array';
    const none: Why<{ x: undefined }> = 'undefined vanishes: leave the property out (name?: ...), or use null';
    const large: Why<{ x: bigint }> = 'JSON has no bigint: use a string';
    const bytes: Why<{ x: Uint8Array }> = 'bytes come back as an object: keep them as text';
    const call: Why<{ x: () => void }> = 'JSON has no functions';
    const any: Why<{ x: unknown }> = 'unknown may be anything: name the type';
    const own: Why<{ x: { toJSON(): string } }> = 'it comes back as what its toJSON returns: keep that';
    for (const why of [date, map, set, none, large, bytes, call, any, own]) assert.match(why, /^\S+ .*\S$/);

    const faulty = () => {
      // @ts-expect-error a Date, inside of an array
      createSessions<{ when: Date[] }, null>(options);
      // @ts-expect-error a Map, two steps down
      createSessions<null, { a: { b: Map<string, number> } }>(options);
      // @ts-expect-error a property that may be undefined without being left out
      createSessions<null, { a: string | undefined }>(options);
      // @ts-expect-error undefined in a list
      createSessions<(string | undefined)[], null>(options);
      // @ts-expect-error undefined itself
      createSessions<undefined, null>(options);
      // @ts-expect-error anything at all
      createSessions<unknown, null>(options);
      // @ts-expect-error a class with a method
      createSessions<null, { error: Error & { m(): void } }>(options);
      // @ts-expect-error a recursive type with a Date in it
      createSessionsSync<Tree<Date>, null>(options);
      // @ts-expect-error what a validator makes is sealed again: it must be kept too
      createSessionsSync({ ...options, data: dates });
    };
    assert.equal(typeof faulty, 'function');
  });

  it('and what is kept compiles: interfaces, unions, tuples, recursion, what may be left out', () => {
    interface Activity {
      page: number;
      tags: readonly string[];
      place?: { x: number; y: number };
      pair: [string, null | 'a' | 'b'];
      byName: Record<string, boolean>;
    }
    createSessions<Activity, Activity | null>(options);
    createSessions<Tree<number>>(options);
    createSessions<'a' | 'b', readonly { id: string }[]>(options);
    createSessions(options);
    createSessionsSync({ ...options, data: numbers });
  });
});

interface Tree<T> {
  value: T;
  children: Tree<T>[];
}

const dates = {
  '~standard': {
    version: 1 as const,
    vendor: 'test',
    validate: (value: unknown) => ({ value: value as { at: Date } }),
  },
};
const numbers = {
  '~standard': {
    version: 1 as const,
    vendor: 'test',
    validate: (value: unknown) => ({ value: value as { n: number } }),
  },
};

for (const [name, face] of Object.entries(faces)) {
  describe(`a state that a seal does not keep, ${name}`, () => {
    const sessions = face(options);
    const seal = async (data: unknown) => sessions.seal(sessions.create({ activity: null, data: data as Json }));

    it('is refused, with the place and what to do', async () => {
      class Money {
        cents = 5;
      }
      const sparse: unknown[] = [];
      sparse[1] = 1;
      const circle: unknown[] = [];
      circle.push(circle);
      const cases: [data: unknown, message: RegExp][] = [
        [{ user: { born: new Date() } }, /^session\.data\.user\.born is a Date/],
        [{ list: [1, new Map([[1, 2]])] }, /^session\.data\.list\[1\] is a Map/],
        [new Set(), /^session\.data is a Set/],
        [undefined, /^session\.data is undefined/],
        [{ a: undefined }, /^session\.data\.a is undefined.*leave it out, or use null/],
        [[undefined], /^session\.data\[0\] is undefined/],
        [sparse, /^session\.data\[0\] is undefined/],
        [{ n: NaN }, /^session\.data\.n is NaN/],
        [[Infinity, 1], /^session\.data\[0\] is Infinity/],
        [-Infinity, /^session\.data is -Infinity/],
        [{ f: () => 1 }, /^session\.data\.f is a function/],
        [{ s: Symbol('s') }, /^session\.data\.s is a symbol/],
        [{ m: new Money() }, /^session\.data\.m is a Money/],
        [{ b: new Uint8Array(2) }, /^session\.data\.b is a Uint8Array/],
        [{ e: new Error('x') }, /^session\.data\.e is a Error/],
        [{ r: /x/ }, /^session\.data\.r is a RegExp/],

        [{ w: new String('x') }, /^session\.data\.w is a String/],
        [{ t: { toJSON: () => 1 } }, /^session\.data\.t\.toJSON is a function/],
        [{ p: Promise.resolve(1) }, /^session\.data\.p is a Promise/],
        [{ d: runInNewContext('new Date()') as unknown }, /^session\.data\.d is a Date/],
        [10n, /not JSON/],
        [circle, /not JSON/],
      ];
      for (const [data, message] of cases) {
        await assert.rejects(
          () => seal(data),
          (error) => error instanceof SessionError && error.code === 'bad-argument' && message.test(error.message),
          String(message),
        );
      }
      await assert.rejects(
        async () => sessions.seal(sessions.create({ activity: { x: NaN }, data: null })),
        /^SessionError: session\.activity\.x is NaN/,
      );
      await assert.rejects(
        async () =>
          sessions.seal(sessions.advance(sessions.create({ activity: 1, data: 1 }), { data: undefined as never })),
        /session\.data is undefined/,
        'a change to undefined is no change left out',
      );
    });

    it('is kept to the last bit where JSON keeps it', async () => {
      const kept: unknown[] = [
        { half: '\ud800', other: 'x\udfff', '\ud83d': 'a name of half a pair' },
        [Number.MAX_SAFE_INTEGER, Number.MIN_VALUE, 1e308, 0.1 + 0.2],
        JSON.parse('{"__proto__": {"a": 1}, "constructor": 1, "toString": null}'),
        Object.assign(Object.create(null) as object, { a: 1 }),
        runInNewContext('({ a: [1, { b: null }] })'),
        '\u2028\u0000"\\',
        '',
        [],
        {},
      ];
      for (const data of kept) {
        const opened = await sessions.open(
          await sealOf(sessions, sessions.create({ activity: null, data: data as Json })),
        );
        assert.ok(opened.ok);
        assert.equal(JSON.stringify(opened.session.data), JSON.stringify(data));
      }
      const [halves] = kept as { half: string }[];
      const opened = await sessions.open(await sealOf(sessions, sessions.create({ activity: null, data: halves })));
      assert.deepEqual(opened.ok && opened.session.data, halves);
    });

    it('is not held up by what somebody has hung on all objects', async () => {
      Object.defineProperty(Object.prototype, 'hung', { value: () => 1, enumerable: true, configurable: true });
      try {
        assert.ok((await seal({ a: { b: 1 } })).ok);
      } finally {
        delete (Object.prototype as { hung?: unknown }).hung;
      }
    });

    it('is refused too when it is deeper than the stack', async () => {
      const deep = face({ ...options, limits: { size: 1 << 20 } });
      let data: Json = 1;
      for (let i = 0; i < 200_000; i++) data = [data];
      const session = deep.create({ activity: null, data });
      await assert.rejects(
        async () => deep.seal(session),
        (error) => error instanceof SessionError,
      );
    });

    it('names in half a surrogate pair are refused: their UTF-8 would be that of others', async () => {
      for (const identity of ['\ud800', 'a\udc00b']) {
        await assert.rejects(
          async () => sessions.seal(sessions.create({ identity, activity: null, data: null })),
          /half a surrogate pair/,
        );
      }
      assert.throws(() => face({ ...options, purpose: '\ud800' }), /purpose: half a surrogate pair/);
      assert.throws(() => face({ ...options, audience: '\udfff' }), /audience: half a surrogate pair/);
    });

    it('takes from a change what a change may bring, and nothing else', () => {
      const first = sessions.create({ identity: 'ada', activity: 1, data: 1 });
      const body = { data: 2, id: 'x', issued: 0, expires: 1e15, counter: 7, generation: 9, lastActivity: 5 };
      assert.deepEqual(sessions.advance(first, body), { ...first, data: 2, counter: 1 });
    });
  });
}
