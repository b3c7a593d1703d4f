// Random sessions and random damage. `UNDERSTUDY_CASES=1000000` makes the run long.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ENVELOPE_SIZE, FRAME_OVERHEAD, HEADER_SIZE } from './format.js';
import { MemoryHighWater } from './high-water.js';
import { createSessionsSync } from './node/sessions.js';
import { createSessions } from './sessions.js';
import { T0, testClock, testKey, testRing } from './testing/fixed.js';
import type { SyncSessions } from './sessions-sync.js';
import type { Json, Session } from './types.js';

const cases = Number(process.env['UNDERSTUDY_CASES'] ?? 3000);
const A = 0x11111111;
const B = 0x22222222;
const MAX_AGE = 1000;
const IDLE = 300;
const SKEW = 30;

const clock = testClock();
const kind = {
  purpose: 'property',
  audience: 'everyone',
  limits: { maxAge: MAX_AGE, idle: IDLE, skew: SKEW, size: 100_000 },
  clock: clock.read,
};
const keyA = testKey(A, 1);
const keyB = testKey(B, 2, { activates: T0 - 500 });
const sessions = createSessionsSync({ ...kind, ring: testRing([keyA, keyB]) });
const web = createSessions({ ...kind, ring: testRing([keyA, keyB]) });

/** Any state a server could seal; times as they come about. */
const state: fc.Arbitrary<Session> = fc
  .record({
    identity: fc.string({ unit: 'grapheme', maxLength: 20 }),
    age: fc.nat({ max: 2 * MAX_AGE * 1000 }),
    active: fc.nat({ max: MAX_AGE * 1000 }),
    counter: fc.nat({ max: 2 ** 48 - 2 }),
    id: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    activity: fc.jsonValue({ maxDepth: 2 }),
    data: fc.jsonValue({ maxDepth: 2 }),
  })
  .map((value) => ({
    id: Buffer.from(value.id).toString('base64url'),
    identity: value.identity,
    issued: T0 - value.age,
    lastActivity: T0 - value.age + value.active,
    expires: T0 - value.age + MAX_AGE * 1000,
    counter: value.counter,
    activity: value.activity as Json,
    data: value.data as Json,
  }));

/** What the documents promise of a genuine seal at a time, said in another way than the code says it. */
function expectedAt(session: Session, now: number): string {
  if (Math.max(session.issued, session.lastActivity) - now > SKEW * 1000) return 'not-yet-valid';
  if (now - session.issued >= (MAX_AGE + SKEW) * 1000) return 'expired';
  if (now - session.lastActivity >= (IDLE + SKEW) * 1000) return 'idle';
  return 'ok';
}

function seal(session: Session): Buffer {
  const sealed = sessions.seal(session);
  assert.ok(sealed.ok);
  return Buffer.from(sealed.seal, 'base64url');
}

function verdict(bytes: Uint8Array, by = sessions): string {
  const opened = by.open(Buffer.from(bytes).toString('base64url'));
  return opened.ok ? 'ok' : opened.reason;
}

/** JSON as it comes back: -0 is 0. */
function throughJson(value: Json): unknown {
  return JSON.parse(JSON.stringify(value));
}

/** One way to damage a seal, by numbers that fit any seal, and the reason it must be refused for. */
type Damage = (bytes: Buffer, other: Buffer, n: number, byte: number) => { bytes: Buffer; expected: string };

const damages: Readonly<Record<string, Damage>> = {
  flip(bytes, _other, n, byte) {
    const at = n % bytes.length;
    bytes[at] ^= (byte % 255) + 1;
    const id = bytes.readUInt32BE(1);
    const expected = at === 0 ? 'malformed' : id === A || id === B ? 'tampered' : 'unknown-key';
    return { bytes, expected };
  },
  truncate(bytes, _other, n) {
    const length = n % bytes.length;
    const expected = length < FRAME_OVERHEAD + ENVELOPE_SIZE ? 'malformed' : 'tampered';
    return { bytes: bytes.subarray(0, length), expected };
  },
  extend(bytes, other, n) {
    return { bytes: Buffer.concat([bytes, other.subarray(0, 1 + (n % other.length))]), expected: 'tampered' };
  },
  splice(bytes, other, n) {
    const at = HEADER_SIZE + 8 + (n % (Math.min(bytes.length, other.length) - HEADER_SIZE - 8));
    const spliced = Buffer.concat([bytes.subarray(0, at), other.subarray(at)]);
    return { bytes: spliced, expected: 'tampered' };
  },
  otherKey(bytes) {
    bytes.writeUInt32BE(A, 1);
    return { bytes, expected: 'tampered' };
  },
  swapChunks(bytes, _other, n) {
    // Two 16-byte blocks of the ciphertext change places.
    const blocks = Math.floor((bytes.length - FRAME_OVERHEAD) / 16);
    const first = HEADER_SIZE + 24;
    const second = first + 16 * (1 + (n % (blocks - 1)));
    const copy = Buffer.from(bytes);
    bytes.copy(copy, first, second, second + 16);
    bytes.copy(copy, second, first, first + 16);
    return { bytes: copy, expected: 'tampered' };
  },
  garbage(_bytes, _other, n, byte) {
    const bytes = Buffer.alloc(n % 300, byte);
    const small = bytes.length < FRAME_OVERHEAD + ENVELOPE_SIZE || byte !== 1;
    return { bytes, expected: small ? 'malformed' : 'unknown-key' };
  },
};

const damage = fc.record({
  name: fc.constantFrom(...Object.keys(damages)),
  n: fc.nat({ max: 1 << 20 }),
  byte: fc.nat({ max: 255 }),
});

describe(`${cases} random cases`, () => {
  it('a sealed session opens as it was, at any time, or is refused for that time', () => {
    fc.assert(
      fc.property(state, fc.integer({ min: -2 * MAX_AGE * 1000, max: 3 * MAX_AGE * 1000 }), (session, shift) => {
        clock.now = T0;
        const bytes = seal(session);
        clock.now = T0 + shift;
        const opened = sessions.open(bytes.toString('base64url'));
        assert.equal(opened.ok ? 'ok' : opened.reason, expectedAt(session, clock.now));
        if (!opened.ok) return;
        assert.deepEqual(
          { ...opened.session, activity: null, data: null },
          { ...session, identity: session.identity.toWellFormed(), activity: null, data: null },
        );
        assert.deepEqual(opened.session.activity, throughJson(session.activity));
        assert.deepEqual(opened.session.data, throughJson(session.data));
      }),
      { numRuns: cases },
    );
  });

  it('a damaged seal is refused, and for the right reason', () => {
    fc.assert(
      fc.property(state, state, damage, (one, two, { name, n, byte }) => {
        clock.now = T0;
        const bytes = seal(one);
        const damaged = damages[name](bytes, seal(two), n, byte);
        assert.equal(verdict(damaged.bytes), damaged.expected, name);
      }),
      { numRuns: cases },
    );
  });

  it('a seal opens only with its own key, for its own purpose and audience', () => {
    const others: [string, SyncSessions][] = [
      ['tampered', createSessionsSync({ ...kind, ring: testRing([testKey(A, 2), testKey(B, 1)]) })],
      ['unknown-key', createSessionsSync({ ...kind, ring: testRing([keyA]) })],
      [
        'revoked-key',
        createSessionsSync({
          ...kind,
          ring: testRing([keyA, { ...keyB, secret: undefined, revoked: T0 }]),
        }),
      ],
      ['wrong-purpose', createSessionsSync({ ...kind, purpose: 'propertz', ring: testRing([keyB]) })],
      ['wrong-audience', createSessionsSync({ ...kind, audience: '', ring: testRing([keyB]) })],
    ];
    fc.assert(
      fc.property(state, fc.constantFrom(...others), (session, [expected, other]) => {
        clock.now = T0;
        assert.equal(verdict(seal(session), other), expected);
      }),
      { numRuns: Math.ceil(cases / 10) },
    );
  });

  it('text that no server made is refused, never thrown at', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.base64String(), fc.string()), (text) => {
        const opened = sessions.open(text);
        assert.ok(!opened.ok && ['malformed', 'unknown-key', 'tampered'].includes(opened.reason));
      }),
      { numRuns: cases },
    );
  });

  it('both back ends say the same of every seal, whole or damaged', async () => {
    await fc.assert(
      fc.asyncProperty(state, state, damage, fc.boolean(), async (one, two, { name, n, byte }, whole) => {
        clock.now = T0;
        const bytes = seal(one);
        const text = (whole ? bytes : damages[name](bytes, seal(two), n, byte).bytes).toString('base64url');
        assert.deepEqual(await web.open(text), sessions.open(text));
      }),
      { numRuns: Math.ceil(cases / 20) },
    );
  });

  it('a high-water mark accepts exactly what is not below the highest seen', () => {
    const visits = fc.array(fc.tuple(fc.nat({ max: 4 }), fc.nat({ max: 20 })), { maxLength: 60 });
    fc.assert(
      fc.property(visits, fc.nat({ max: 3 }), (sequence, window) => {
        const store = new MemoryHighWater();
        const highest = new Map<number, number>();
        for (const [who, counter] of sequence) {
          const mark = highest.get(who) ?? -1;
          const accepted = store.raise({ id: `s${who}`, counter, lastActivity: T0, expires: T0 + 1 }, window, T0);
          assert.equal(accepted, counter >= mark - window);
          if (accepted) highest.set(who, Math.max(mark, counter));
        }
      }),
      { numRuns: Math.ceil(cases / 10) },
    );
  });
});
