// Sessions on a framework's store of cookies. RequestCookies and ResponseCookies
// of @edge-runtime/cookies are what Next.js makes its `cookies()` of.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RequestCookies, ResponseCookies } from '@edge-runtime/cookies';
import { MemoryHighWater } from '../high-water.js';
import type { SyncHighWater } from '../high-water.js';
import { createSessionsSync } from '../node/sessions.js';
import { testRing } from '../testing/fixed.js';
import { cookieStoreSessions } from './web.js';
import type { CookieStore } from './web.js';

function make(store: SyncHighWater = new MemoryHighWater()) {
  return createSessionsSync<number, string>({
    ring: testRing(),
    purpose: 'store',
    clock: () => Date.UTC(2026, 0, 2),
    highWater: { store, raisedBy: 'seal', identities: true },
  });
}

/** What Next.js's `cookies()` is in a server action: reads the request's cookies, then those that were set. */
function nextCookies(header = ''): { store: CookieStore; response: Headers } {
  const request = new RequestCookies(new Headers({ cookie: header }));
  const response = new Headers();
  const set = new ResponseCookies(response);
  const store: CookieStore = {
    get: (name) => set.get(name) ?? request.get(name),
    set: (name, value, attributes) => set.set(name, value, attributes),
  };
  return { store, response };
}

/** While a page is drawn Next.js lets nobody set a cookie. */
function nextCookiesOfAPage(header: string): CookieStore {
  const request = new RequestCookies(new Headers({ cookie: header }));
  return {
    get: (name) => request.get(name),
    set() {
      throw new Error('Cookies can only be modified in a Server Action or Route Handler.');
    },
  };
}

const pair = (headers: Headers) => headers.getSetCookie()[0].split(';')[0];

describe("sessions on a framework's store of cookies", () => {
  it('go from request to request, with the attributes of the transport', async () => {
    const visitOf = cookieStoreSessions({ sessions: make() });
    const first = nextCookies();
    const visit = await visitOf(first.store);
    assert.deepEqual(visit.arrived, { ok: false, reason: 'absent' });
    assert.ok((await visit.start({ identity: 'ada', activity: 1, data: 'd' })).ok);
    const [cookie] = first.response.getSetCookie();
    assert.match(cookie, /^__Host-session=[\w-]+; Path=\/; .*Max-Age=1209600; Secure; HttpOnly; SameSite=lax$/);

    const second = nextCookies(pair(first.response));
    const next = await visitOf(second.store);
    assert.ok(next.arrived.ok);
    assert.ok((await next.save({ activity: 2 })).ok);
    assert.equal(second.response.getSetCookie().length, 1);

    const third = nextCookies(pair(second.response));
    const last = await visitOf(third.store);
    assert.equal(last.session?.activity, 2);
    assert.deepEqual(await last.end(), { ok: true, final: true });
    assert.match(third.response.getSetCookie()[0], /^__Host-session=; .*(Max-Age=0|Expires=Thu, 01 Jan 1970)/);
  });

  it('cannot be saved where the framework forbids it, and say so without losing anything', async () => {
    const sessions = make();
    const visitOf = cookieStoreSessions({ sessions });
    const first = nextCookies();
    await (await visitOf(first.store)).start({ identity: 'ada', activity: 1, data: 'd' });
    const header = pair(first.response);
    const visit = await visitOf(nextCookiesOfAPage(header));
    assert.equal(visit.session?.activity, 1);
    const saved = await visit.save({ activity: 2 });
    assert.ok(!saved.ok && saved.reason === 'too-late');
    assert.match(String(saved.cause), /Server Action/);
    assert.equal(visit.session.activity, 1);
    assert.ok((await visitOf(nextCookies(header).store)).arrived.ok, 'the cookie is as good as before');
    assert.deepEqual(await visit.end(), { ok: false, final: true });
    assert.ok(!(await visitOf(nextCookies(header).store)).arrived.ok);
  });

  it('try every cookie of the name when they get the header', async () => {
    const visitOf = cookieStoreSessions({ sessions: make() });
    const first = nextCookies();
    await (await visitOf(first.store)).start({ activity: 7, data: 'd' });
    const header = `__Host-session=planted; ${pair(first.response)}; __Host-session=other`;
    const alone = await visitOf(nextCookies(header).store);
    assert.equal(alone.arrived.ok, false, 'a store knows but one');
    const visit = await visitOf(nextCookies(header).store, header);
    assert.equal(visit.session?.activity, 7);
  });

  it('set again what the client had when the store of marks fails', async () => {
    const marks = new MemoryHighWater();
    let down = false;
    const store: SyncHighWater = {
      raise(mark, window, now) {
        if (down) throw new Error('down');
        return marks.raise(mark, window, now);
      },
      generation: () => 0,
      endIdentity: () => 0,
    };
    const visitOf = cookieStoreSessions({ sessions: make(store) });
    const first = nextCookies();
    await (await visitOf(first.store)).start({ activity: 1, data: 'd' });
    const second = nextCookies(pair(first.response));
    const visit = await visitOf(second.store);
    down = true;
    await assert.rejects(visit.save({ activity: 2 }), /did not answer/);
    down = false;
    assert.equal(pair(second.response), pair(first.response));
    assert.match(second.response.getSetCookie()[0], /Max-Age=1209600/);
    assert.ok((await visitOf(nextCookies(pair(second.response)).store)).arrived.ok);
  });

  it('can end with the browser, be partitioned, and be of plain HTTP', async () => {
    const set: unknown[] = [];
    const store: CookieStore = { get: () => undefined, set: (...args) => void set.push(args) };
    for (const cookie of [
      { persistent: false },
      { partitioned: true, sameSite: 'None' },
      { secure: false, path: '/app', domain: 'example.org' },
    ] as const) {
      const visit = await cookieStoreSessions({ sessions: make(), cookie })(store);
      await visit.start({ activity: 1, data: 'd' });
    }
    const shared = { path: '/', secure: true, httpOnly: true, sameSite: 'lax' };
    assert.deepEqual(
      set.map((args) => [(args as unknown[])[0], (args as unknown[])[2]]),
      [
        ['__Host-session', shared],
        ['__Host-session', { ...shared, sameSite: 'none', partitioned: true, maxAge: 1209600 }],
        ['session', { ...shared, secure: false, path: '/app', domain: 'example.org', maxAge: 1209600 }],
      ],
    );
  });

  it('refuse what is too large for a cookie before it is set', async () => {
    const { store, response } = nextCookies();
    const visit = await cookieStoreSessions({ sessions: make() })(store);
    const saved = await visit.start({ activity: 1, data: 'x'.repeat(2950) });
    assert.ok(!saved.ok && saved.reason === 'too-large');
    assert.deepEqual(response.getSetCookie(), []);
  });
});
