// The same story through every adapter, over real requests: a first visit, a
// second one that counts on, a forged cookie, and the end.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, describe, it } from 'node:test';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { MemoryHighWater } from '../high-water.js';
import { createSessionsSync } from '../node/sessions.js';
import { createSessions } from '../sessions.js';
import { testRing } from '../testing/fixed.js';
import { headerTransport } from '../transport.js';
import type { Visit } from '../visit.js';
import { expressSessions } from './express.js';
import { fastifySessions } from './fastify.js';
import { honoSessions } from './hono.js';
import { httpSessions } from './node-http.js';
import { webSessions } from './web.js';

type Fetch = (path: string, headers?: Record<string, string>) => Promise<Response>;

const options = { ring: testRing(), purpose: 'adapters', clock: () => Date.UTC(2026, 0, 2) };
const make = () =>
  createSessions<{ visits: number }, string>({ ...options, highWater: { store: new MemoryHighWater() } });

/** What each server answers: it counts the visits of a session, twice over, so that saving again replaces. */
async function answer(path: string, visit: Visit<{ visits: number }, string>): Promise<string> {
  if (path === '/look') return visit.arrived.ok ? 'seen' : visit.arrived.reason;
  if (path === '/end') return `ended ${(await visit.end()).final}`;
  const visits = (visit.session?.activity.visits ?? 0) + 1;
  await (visit.session === undefined
    ? visit.start({ activity: { visits: 0 }, data: 'd' })
    : visit.save({ activity: { visits: 0 } }));
  const saved = await visit.save({ activity: { visits } });
  assert.ok(saved.ok);
  return `visit ${visits}`;
}

const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
});

async function listen(listener: RequestListener): Promise<Fetch> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return (path, headers = {}) => fetch(`http://127.0.0.1:${port}${path}`, { headers });
}

const adapters: Record<string, () => Promise<Fetch>> = {
  'web Request and Response': () => {
    const visitOf = webSessions({ sessions: make() });
    return Promise.resolve(async (path, headers = {}) => {
      const request = new Request(`http://server${path}`, { headers });
      const visit = await visitOf(request);
      const body = await answer(path, visit);
      // As from fetch: headers that cannot be changed, and a cookie of somebody else.
      const response = new Response(body, { headers: { 'set-cookie': 'other=1; Path=/' } });
      return visit.apply(response);
    });
  },
  Hono: () => {
    const session = honoSessions({ sessions: make() });
    const app = new Hono();
    app.use(session.middleware);
    app.get('*', async (c) => {
      c.header('set-cookie', 'other=1; Path=/');
      return c.text(await answer(c.req.path, session.of(c)));
    });
    return Promise.resolve(async (path, headers = {}) => app.request(path, { headers }));
  },
  'node:http': () => {
    const visitOf = httpSessions({ sessions: make() });
    return listen((request, response) => {
      response.setHeader('set-cookie', 'other=1; Path=/');
      visitOf(request, response)
        .then((visit) => answer(request.url ?? '/', visit))
        .then(
          (body) => response.end(body),
          (error: unknown) => response.writeHead(500).end(String(error)),
        );
    });
  },
  Express: () => {
    const session = expressSessions({ sessions: make() });
    const app = express();
    app.use(session.middleware);
    app.use(async (request, response) => {
      response.append('set-cookie', 'other=1; Path=/');
      response.send(await answer(request.path, session.of(request)));
    });
    return listen(app);
  },
  Fastify: async () => {
    const session = fastifySessions({ sessions: make() });
    const app = fastify();
    app.addHook('onRequest', (_request, reply, done) => {
      reply.header('set-cookie', 'other=1; Path=/');
      done();
    });
    app.addHook('onRequest', session.onRequest);
    app.get('/*', async (request) => answer(request.url, session.of(request)));
    await app.ready();
    servers.push(app.server);
    const address = await app.listen({ port: 0, host: '127.0.0.1' });
    return (path, headers = {}) => fetch(`${address}${path}`, { headers });
  },
};

function sessionCookie(response: Response): string {
  const cookies = response.headers.getSetCookie().filter((cookie) => cookie.startsWith('__Host-session='));
  assert.equal(cookies.length, 1, 'exactly one session cookie');
  assert.equal(response.headers.getSetCookie().length, 2, 'and the cookie of somebody else is still there');
  return cookies[0].split(';')[0];
}

for (const [name, start] of Object.entries(adapters)) {
  describe(`sessions with ${name}`, () => {
    it('go from request to request', async () => {
      const fetchFrom = await start();
      const first = await fetchFrom('/');
      assert.equal(await first.text(), 'visit 1');
      const second = await fetchFrom('/', { cookie: `a=b; ${sessionCookie(first)}` });
      assert.equal(await second.text(), 'visit 2');
      const third = await fetchFrom('/', { cookie: sessionCookie(second) });
      assert.equal(await third.text(), 'visit 3');

      const replayed = await fetchFrom('/look', { cookie: sessionCookie(first) });
      assert.equal(await replayed.text(), 'replayed');
      const forged = sessionCookie(third).slice(0, -3) + 'AAA';
      assert.equal(await (await fetchFrom('/look', { cookie: forged })).text(), 'tampered');
      const look = await fetchFrom('/look', { cookie: sessionCookie(third) });
      assert.equal(await look.text(), 'seen');
      assert.equal(look.headers.getSetCookie().length, 1, 'looking hands out nothing');

      const end = await fetchFrom('/end', { cookie: sessionCookie(third) });
      assert.equal(await end.text(), 'ended true');
      assert.equal(sessionCookie(end), '__Host-session=');
      assert.equal(await (await fetchFrom('/look', { cookie: sessionCookie(third) })).text(), 'replayed');
    });
  });
}

describe('adapters with other settings', () => {
  it('get their header into a response whose headers are fixed', async () => {
    const visit = await webSessions({ sessions: make() })(new Request('http://server/'));
    await visit.start({ activity: { visits: 0 }, data: 'd' });
    const response = visit.apply(Response.redirect('http://server/elsewhere'));
    assert.equal(response.status, 302);
    assert.equal(response.headers.get('location'), 'http://server/elsewhere');
    assert.match(response.headers.get('set-cookie') ?? '', /^__Host-session=/);
  });

  it('take synchronous sessions, and a header instead of a cookie', async () => {
    const sessions = createSessionsSync<{ visits: number }, string>(options);
    const session = honoSessions({ sessions, transport: headerTransport() });
    const app = new Hono();
    app.use(session.middleware);
    app.get('*', async (c) => c.text(await answer(c.req.path, session.of(c))));
    const first = await app.request('/');
    const seal = first.headers.get('session') ?? assert.fail();
    assert.equal(await (await app.request('/', { headers: { session: seal } })).text(), 'visit 2');
  });

  it('say so when the middleware has not run', async () => {
    const session = honoSessions({ sessions: make() });
    const app = new Hono();
    app.onError((error, c) => c.text(error.message));
    app.get('/', (c) => c.text(String(session.of(c).arrived.ok)));
    assert.match(await (await app.request('/')).text(), /the session middleware has not run/);
  });

  it('hand a failing store of marks to the framework instead of guessing', async () => {
    const store = { raise: () => Promise.reject(new Error('store is down')) };
    const good = createSessions<{ visits: number }, string>(options);
    const sealed = await good.seal(good.create({ activity: { visits: 0 }, data: '' }));
    assert.ok(sealed.ok);
    const session = expressSessions({
      sessions: createSessions<{ visits: number }, string>({ ...options, highWater: { store } }),
    });
    const app = express();
    app.set('env', 'test');
    app.use(session.middleware);
    app.get('/', (request, response) => void response.send(String(session.of(request).arrived.ok)));
    const fetchFrom = await listen(app);
    assert.equal((await fetchFrom('/', { cookie: `__Host-session=${sealed.seal}` })).status, 500);
  });
});
