import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { expressSessions } from './adapters/express.js';
import { fastifySessions } from './adapters/fastify.js';
import { honoSessions } from './adapters/hono.js';
import { webSessions } from './adapters/web.js';
import { keepNowhere, keepPrivate, tellCaches, varyBy } from './caching.js';
import { createSessionsSync } from './node/sessions.js';
import { testRing } from './testing/fixed.js';
import { servers, sessionCookie } from './testing/listen.js';
import type { Fetch } from './testing/listen.js';
import { headerTransport } from './transport.js';
import type { Visit } from './visit.js';

describe('what caches are told', () => {
  it('Vary gets one name more, once', () => {
    assert.equal(varyBy(undefined, 'cookie'), 'Cookie');
    assert.equal(varyBy('Accept, Accept-Encoding', 'cookie'), 'Accept, Accept-Encoding, Cookie');
    assert.equal(varyBy('COOKIE', 'cookie'), 'COOKIE');
    assert.equal(varyBy('*', 'cookie'), '*');
    assert.equal(varyBy('X-Cookie', 'cookie'), 'X-Cookie, Cookie');
    assert.equal(varyBy('', 'session'), 'session');
  });

  it('a response that was made looking at the session is for one, unless its author says otherwise', () => {
    assert.equal(keepPrivate(undefined), 'private, no-cache');
    assert.equal(keepPrivate(' '), 'private, no-cache');
    assert.equal(keepPrivate('max-age=60'), 'private, max-age=60');
    assert.equal(keepPrivate('no-cache'), 'private, no-cache');
    for (const said of ['public, max-age=60', 'S-MaxAge=3, Public', 's-maxage=5', 'no-store', 'Private, max-age=1']) {
      assert.equal(keepPrivate(said), said);
    }
    // Only about one header, or inside of quotes: nothing is decided by that.
    for (const said of ['private="set-cookie", max-age=60', 'x="public, no-store"', 'max-age=60, x-public=1']) {
      assert.equal(keepPrivate(said), `private, ${said}`);
    }
  });

  it('a response with a seal in it is kept nowhere, whatever its author says', () => {
    for (const said of [undefined, 'public, max-age=60', 'private', 'x="no-store"']) {
      assert.equal(keepNowhere(said), 'no-store');
    }
    assert.equal(keepNowhere('public, no-transform'), 'no-store, no-transform');
    const headers = new Map([
      ['cache-control', 'public, max-age=600'],
      ['cdn-cache-control', 'max-age=600'],
      ['cloudflare-cdn-cache-control', 'max-age=600'],
      ['surrogate-control', 'max-age=600'],
      ['x-accel-expires', '600'],
      ['etag', '"x"'],
    ]);
    const editor = {
      get: (name: string) => headers.get(name.toLowerCase()),
      set: (name: string, value: string) => void headers.set(name.toLowerCase(), value),
      delete: (name: string) => void headers.delete(name),
      names: () => headers.keys(),
    };
    tellCaches(editor, { requestHeader: 'cookie', looked: true, carries: true });
    assert.deepEqual(
      [...headers],
      [
        ['cache-control', 'no-store'],
        ['etag', '"x"'],
        ['vary', 'Cookie'],
      ],
    );
  });
});

const { listen, keep } = servers();
const make = () =>
  createSessionsSync<number, null>({ ring: testRing(), purpose: 'caching', clock: () => Date.UTC(2026, 0, 2) });

/** Ways to come by something of the session. Each must count, the least of them too. */
const looks: Record<string, (visit: Visit<number, null>) => unknown> = {
  '/nothing': () => 'the visit alone',
  '/arrived': (visit) => visit.arrived.ok,
  '/session': (visit) => visit.session,
  '/in': (visit) => 'session' in visit,
  '/keys': (visit) => Object.keys(visit).length,
  '/copy': (visit) => ({ ...visit }),
};

const frameworks: Record<string, () => Promise<Fetch>> = {
  Express: () => {
    const session = expressSessions({ sessions: make() });
    const app = express();
    app.use(session.middleware);
    app.use(async (request, response) => {
      if (request.path === '/start') await session.of(request).start({ activity: 1, data: null });
      if (request.path in looks) looks[request.path](session.of(request));
      // After the session's part is known: what comes last must not win.
      if (request.path !== '/in') response.set('Cache-Control', 'max-age=600').set('Vary', 'Accept');
      response.send('x');
    });
    return listen(app);
  },
  Fastify: async () => {
    const session = fastifySessions({ sessions: make() });
    const app = fastify();
    app.addHook('onRequest', session.onRequest);
    app.get('/*', async (request, reply) => {
      if (request.url === '/start') await session.of(request).start({ activity: 1, data: null });
      if (request.url in looks) looks[request.url](session.of(request));
      if (request.url !== '/in') void reply.headers({ 'cache-control': 'max-age=600', vary: 'Accept' });
      return 'x';
    });
    const address = await app.listen({ port: 0, host: '127.0.0.1' });
    keep(app.server);
    return (path, headers = {}) => fetch(`${address}${path}`, { headers });
  },
  Hono: () => {
    const session = honoSessions({ sessions: make() });
    const app = new Hono();
    app.use(session.middleware);
    app.get('*', async (c) => {
      if (c.req.path === '/start') await session.of(c).start({ activity: 1, data: null });
      if (c.req.path in looks) looks[c.req.path](session.of(c));
      const said = c.req.path === '/in' ? {} : { 'Cache-Control': 'max-age=600', Vary: 'Accept' };
      return c.body('x', 200, said);
    });
    return Promise.resolve(async (path, headers = {}) => app.request(path, { headers }));
  },
};

for (const [name, start] of Object.entries(frameworks)) {
  describe(`caches before ${name}`, () => {
    it('are told of every look at a session, and of every seal', async () => {
      const fetchFrom = await start();
      const asked = async (path: string, cookie?: string) => {
        const { headers } = await fetchFrom(path, cookie === undefined ? {} : { cookie });
        return [headers.get('vary'), headers.get('cache-control')];
      };
      const response = await fetchFrom('/start');
      assert.equal(response.headers.get('cache-control'), 'no-store', 'a seal goes to one client');
      const cookie = sessionCookie(response);
      // Without a cookie too: the next visitor has one, and must get another answer.
      for (const with_ of [undefined, cookie]) {
        for (const path of Object.keys(looks)) {
          const expected = path === '/in' ? 'private, no-cache' : 'private, max-age=600';
          const vary = path === '/in' ? 'Cookie' : 'Accept, Cookie';
          assert.deepEqual(await asked(path, with_), [vary, expected], path);
        }
        assert.deepEqual(await asked('/static', with_), ['Accept, Cookie', 'max-age=600'], 'nobody looked');
      }
    });
  });
}

describe('caches before the web adapter', () => {
  it('are told of a redirect and of an answer from elsewhere, whose headers cannot be changed', async () => {
    const visitOf = webSessions({ sessions: make() });
    const visit = await visitOf(new Request('http://server/'));
    await visit.start({ activity: 1, data: null });
    const moved = visit.apply(Response.redirect('http://server/elsewhere', 301));
    assert.equal(moved.headers.get('cache-control'), 'no-store', 'or the browser would keep it for good');
    const other = await visitOf(new Request('http://server/'));
    const fetched = other.apply(await fetch('data:text/plain,x'));
    assert.equal(fetched.headers.get('vary'), 'Cookie');
    assert.equal(await fetched.text(), 'x');
    assert.equal(other.apply(Response.error()).type, 'error', 'what cannot be changed goes on as it is');
  });

  it('hear of the header that brings the session, where that is no cookie', async () => {
    const visitOf = webSessions({
      sessions: make(),
      transport: headerTransport({ name: 'Authorization', scheme: 'Bearer', responseName: 'Session' }),
    });
    const visit = await visitOf(new Request('http://server/'));
    assert.equal(visit.apply(new Response()).headers.get('vary'), 'authorization');
  });
});
