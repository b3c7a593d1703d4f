import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cookieWriter, readCookies } from './cookie.js';
import { SessionError } from './errors.js';
import { cookieTransport, headerTransport } from './transport.js';
import { sealOf } from './testing/faces.js';
import { T0, testClock, testRing } from './testing/fixed.js';
import { createSessionsSync } from './node/sessions.js';
import { MemoryHighWater } from './high-water.js';
import { openVisit } from './visit.js';
import type { Exchange } from './carrier.js';

const isBad = (error: unknown) => error instanceof SessionError && error.code === 'bad-argument';

describe('a session cookie', () => {
  it('is safe unless told otherwise', () => {
    assert.equal(
      cookieWriter().write('SEAL', 60),
      '__Host-session=SEAL; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax',
    );
    assert.equal(
      cookieWriter({
        name: 's',
        path: '/app',
        domain: 'example.org',
        secure: false,
        httpOnly: false,
        sameSite: 'Strict',
      }).write('', 0),
      's=; Max-Age=0; Path=/app; Domain=example.org; SameSite=Strict',
    );
  });

  it('cannot be given attributes that browsers refuse, or that are more than one', () => {
    for (const wrong of [
      { name: 'a b' },
      { name: '' },
      { name: 'a=b' },
      { path: '/; Domain=evil' },
      { domain: 'a\r\nSet-Cookie: b=c' },
      { name: '__Host-s', path: '/x' },
      { name: '__Host-s', domain: 'example.org' },
      { name: '__Secure-s', secure: false },
      { name: '__HOST-s', path: '/x' },
      { name: '__Http-s', httpOnly: false },
      { name: '__Host-Http-s', httpOnly: false },
      { name: '__Host-Http-s', path: '/x' },
      { path: 'app' },
      { partitioned: true, secure: false },
      { sameSite: 'None', secure: false } as const,
    ]) {
      assert.throws(() => cookieWriter(wrong), isBad, JSON.stringify(wrong));
    }
  });

  it('has the safest name that its attributes allow', () => {
    assert.equal(cookieWriter().name, '__Host-session');
    assert.equal(cookieWriter({ path: '/app' }).name, '__Secure-session');
    assert.equal(cookieWriter({ domain: 'example.org' }).name, '__Secure-session');
    assert.equal(cookieWriter({ secure: false }).name, 'session', 'plain HTTP: a development server, say');
    assert.equal(cookieWriter({ secure: false, path: '/app' }).name, 'session');
  });

  it('can be partitioned, and end with the browser', () => {
    assert.equal(
      cookieWriter({ partitioned: true, sameSite: 'None' }).write('SEAL', 60),
      '__Host-session=SEAL; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=None; Partitioned',
    );
    const passing = cookieWriter({ persistent: false });
    assert.equal(passing.write('SEAL', 60), '__Host-session=SEAL; Path=/; Secure; HttpOnly; SameSite=Lax');
    assert.match(passing.write('', 0), /^__Host-session=; Max-Age=0;/, 'but taking it away takes it away');
  });

  it('is found among others, by its whole name', () => {
    assert.deepEqual(readCookies('a=1; session=X; b=2', 'session'), ['X']);
    assert.deepEqual(readCookies('xsession=1;session=X', 'session'), ['X']);
    assert.deepEqual(readCookies('session="X"', 'session'), ['X']);
    assert.deepEqual(readCookies('\tsession = X ', 'session'), ['X']);
    assert.deepEqual(readCookies('session=a=b', 'session'), ['a=b']);
    for (const header of ['', 'session', ';;;', 'Session=X', 'sessionx=1', 'session=', 'session=""']) {
      assert.deepEqual(readCookies(header, 'session'), [], header);
    }
  });

  it('is found with all others of its name, in their order, and not more of them than a browser has', () => {
    assert.deepEqual(readCookies('session=first; session=second; session=first', 'session'), ['first', 'second']);
    const many = Array.from({ length: 1000 }, (_, i) => `session=${i}`).join('; ');
    assert.equal(readCookies(many, 'session').length, 32);
  });

  it('is not found under a name that a browser thinks is another', () => {
    // A neighbouring host may set these: for the browser they do not begin with __Host-.
    for (const blank of ['\u00a0', '\u0085', '\ufeff', '\u2003', '\u000b', '\u000c', '\u0000']) {
      const header = `${blank}__Host-session=planted; __Host-session${blank}=planted`;
      assert.deepEqual(readCookies(header, '__Host-session'), [], JSON.stringify(blank));
    }
  });
});

describe('a session header', () => {
  it('holds the bare seal, or a word and the seal', () => {
    const bare = headerTransport();
    assert.deepEqual(bare.read(' SEAL '), ['SEAL']);
    assert.deepEqual(bare.read('  '), []);
    assert.deepEqual(bare.read('ONE, TWO'), ['ONE', 'TWO'], 'a header that came twice');
    const bearer = headerTransport({ name: 'Authorization', scheme: 'Bearer', responseName: 'Session' });
    assert.equal(bearer.requestHeader, 'authorization');
    assert.equal(bearer.responseHeader, 'session');
    assert.deepEqual(bearer.read('bearer SEAL'), ['SEAL']);
    assert.deepEqual(bearer.read('Basic SEAL'), []);
    assert.deepEqual(bearer.read('BearerSEAL'), []);
    assert.equal(bearer.write('SEAL', 1), 'Bearer SEAL');
    assert.throws(() => headerTransport({ name: 'a b' }), isBad);
  });
});

describe('a visit', () => {
  const clock = testClock();
  const sessions = createSessionsSync<number, string>({
    ring: testRing(),
    purpose: 'visit',
    clock: clock.read,
    limits: { size: 5000 },
    highWater: { store: new MemoryHighWater() },
  });
  const exchange = (cookie?: string): Exchange & { sent: string[] } => {
    const sent: string[] = [];
    return {
      sent,
      get: (name) => (name === 'cookie' ? cookie : undefined),
      set(_name, value) {
        if (value !== undefined) sent.push(value);
        return true;
      },
    };
  };

  it('has no session when none came, and says why', async () => {
    clock.now = T0;
    const transport = cookieTransport();
    for (const [cookie, reason] of [
      [undefined, 'absent'],
      ['other=1', 'absent'],
      ['__Host-session=', 'absent'],
      ['session=rubbish', 'absent'],
      ['__Host-session=rubbish', 'malformed'],
    ] as const) {
      const visit = await openVisit(sessions, transport, exchange(cookie));
      assert.deepEqual(visit.arrived, { ok: false, reason });
      assert.equal(visit.session, undefined);
      await assert.rejects(visit.save(), /start one/);
    }
  });

  it('starts, saves and ends a session', async () => {
    clock.now = T0;
    const transport = cookieTransport();
    const first = exchange();
    const visit = await openVisit(sessions, transport, first);
    const started = await visit.start({ identity: 'ada', activity: 1, data: 'd' });
    assert.ok(started.ok);
    assert.equal(visit.session, started.session);
    assert.match(first.sent[0], /^__Host-session=[A-Za-z0-9_-]+; Max-Age=1209600; Path=\//);

    clock.now = T0 + 60_000;
    const second = exchange(first.sent[0].split(';')[0]);
    const next = await openVisit(sessions, transport, second);
    assert.deepEqual(next.arrived, { ok: true, session: started.session });
    const saved = await next.save({ activity: 2 });
    assert.ok(saved.ok && saved.session.counter === 1 && saved.session.activity === 2);
    assert.match(second.sent[0], /Max-Age=1209540;/, 'the cookie ends with the session');

    const third = exchange(second.sent[0].split(';')[0]);
    const last = await openVisit(sessions, transport, third);
    assert.deepEqual(await last.end(), { ok: true, final: true });
    assert.equal(last.session, undefined);
    assert.match(third.sent[0], /^__Host-session=; Max-Age=0;/);
    const copy = await openVisit(sessions, transport, exchange(second.sent[0].split(';')[0]));
    assert.deepEqual(copy.arrived, { ok: false, reason: 'replayed' });
  });

  it('takes of several cookies the first that opens: a planted one does not log anybody out', async () => {
    clock.now = T0;
    const seal = await sealOf(sessions, sessions.create({ activity: 5, data: 'mine' }));
    const gone = sessions.create({ activity: 6, data: 'old' });
    const ended = await sealOf(sessions, gone);
    sessions.end(gone);
    for (const others of [['rubbish'], [ended], ['rubbish', ended, seal.slice(0, -3) + 'AAA']]) {
      for (const seals of [
        [...others, seal],
        [seal, ...others],
      ]) {
        const header = seals.map((each) => `__Host-session=${each}`).join('; ');
        const visit = await openVisit(sessions, cookieTransport(), exchange(header));
        assert.equal(visit.session?.data, 'mine', header);
      }
    }
    const none = `__Host-session=${ended}; __Host-session=rubbish`;
    const visit = await openVisit(sessions, cookieTransport(), exchange(none));
    assert.deepEqual(visit.arrived, { ok: false, reason: 'replayed' }, 'of none, the reason of the first');
  });

  it('counts name and attributes of a cookie too, and hands out nothing that a browser would drop', async () => {
    clock.now = T0;
    const transport = cookieTransport();
    for (const length of [2800, 2850, 2900, 2950, 3000]) {
      const io = exchange();
      const visit = await openVisit(sessions, transport, io);
      const saved = await visit.start({ activity: 0, data: 'x'.repeat(length) });
      const seal = await sealOf(sessions, sessions.create({ activity: 0, data: 'x'.repeat(length) }));
      const whole = cookieWriter().write(seal, 1_209_600).length;
      if (whole <= 4096) {
        assert.ok(saved.ok);
        assert.equal(io.sent[0].length, whole);
      } else {
        assert.deepEqual(saved, { ok: false, reason: 'too-large', over: whole - 4096 });
        assert.deepEqual(io.sent, []);
        assert.equal(visit.session, undefined);
      }
    }
  });
});
