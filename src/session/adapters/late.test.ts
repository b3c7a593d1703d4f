// A response that has begun carries no cookie any more: whoever saves then must
// be told, on every framework, and the client's last seal must stay good.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import express from 'express';
import fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import { Hono } from 'hono';
import { stream } from 'hono/streaming';
import { MemoryHighWater } from '../high-water.js';
import { createSessions } from '../sessions.js';
import { testRing } from '../testing/fixed.js';
import { servers, sessionCookie } from '../testing/listen.js';
import type { Fetch } from '../testing/listen.js';
import type { Ended, Saved, Visit } from '../visit.js';
import { expressSessions } from './express.js';
import { fastifySessions } from './fastify.js';
import { honoSessions } from './hono.js';
import { httpSessions } from './node-http.js';
import { webSessions } from './web.js';

type Late = Saved<number, null> | Ended;

const { listen, keep } = servers();
const make = () =>
  createSessions<number, null>({
    ring: testRing(),
    purpose: 'late',
    clock: () => Date.UTC(2026, 0, 2),
    // The mark is what makes a wrong "ok" cost the client its session.
    highWater: { store: new MemoryHighWater(), raisedBy: 'seal' },
  });

/** What each server does when its response has begun: by path. */
async function late(path: string, visit: Visit<number, null>): Promise<Late> {
  if (path === '/end') return visit.end();
  return path === '/start' ? visit.start({ activity: 0, data: null }) : visit.save({ activity: 99 });
}

/** What each server does before that. */
async function early(path: string, visit: Visit<number, null>): Promise<void> {
  if (path === '/first') assert.ok((await visit.start({ activity: 1, data: null })).ok);
}

const frameworks: Record<string, (results: Late[]) => Promise<Fetch>> = {
  'node:http': (results) => {
    const visitOf = httpSessions({ sessions: make() });
    return listen((request, response) => {
      const path = request.url ?? '/';
      void (async () => {
        const visit = await visitOf(request, response);
        await early(path, visit);
        response.write('begun ');
        results.push(await late(path, visit));
        response.end('done');
      })();
    });
  },
  Express: (results) => {
    const session = expressSessions({ sessions: make() });
    const app = express();
    app.use(session.middleware);
    app.use(async (request, response) => {
      await early(request.path, session.of(request));
      response.write('begun ');
      results.push(await late(request.path, session.of(request)));
      response.end('done');
    });
    return listen(app);
  },
  'Fastify, in a stream': async (results) => {
    const session = fastifySessions({ sessions: make() });
    const app = fastify();
    app.addHook('onRequest', session.onRequest);
    app.get('/*', async (request, reply) => {
      const visit = session.of(request);
      await early(request.url, visit);
      async function* body() {
        yield 'begun ';
        // The stream is read ahead of the head: only now has it gone.
        while (!reply.raw.headersSent) await new Promise((resolve) => setImmediate(resolve));
        results.push(await late(request.url, visit));
        yield 'done';
      }
      return reply.send(Readable.from(body()));
    });
    return startFastify(app);
  },
  'Fastify, after its answer': async (results) => {
    const session = fastifySessions({ sessions: make() });
    const app = fastify();
    app.addHook('onRequest', session.onRequest);
    app.get('/*', async (request, reply) => {
      const visit = session.of(request);
      await early(request.url, visit);
      await reply.send('begun done');
      results.push(await late(request.url, visit));
    });
    return startFastify(app);
  },
  'Hono, in a stream': (results) => {
    const session = honoSessions({ sessions: make() });
    const app = new Hono();
    app.use(session.middleware);
    app.get('*', async (c) => {
      const visit = session.of(c);
      await early(c.req.path, visit);
      return stream(c, async (out) => {
        await out.write('begun ');
        await new Promise((resolve) => setTimeout(resolve, 20));
        results.push(await late(c.req.path, visit));
        await out.write('done');
      });
    });
    return Promise.resolve(async (path, headers = {}) => app.request(path, { headers }));
  },
  'web Request and Response': (results) => {
    const visitOf = webSessions({ sessions: make() });
    return Promise.resolve(async (path, headers = {}) => {
      const visit = await visitOf(new Request(`http://server${path}`, { headers }));
      await early(path, visit);
      const body = new ReadableStream({
        async pull(controller) {
          results.push(await late(path, visit));
          controller.enqueue(new TextEncoder().encode('begun done'));
          controller.close();
        },
      });
      return visit.apply(new Response(body));
    });
  },
};

async function startFastify(app: FastifyInstance): Promise<Fetch> {
  const address = await app.listen({ port: 0, host: '127.0.0.1' });
  keep(app.server);
  return (path, headers = {}) => fetch(`${address}${path}`, { headers });
}

/** An answer may be with the client before its server is done. */
async function until(results: readonly Late[], count: number): Promise<void> {
  const patience = Date.now() + 30_000;
  while (results.length < count && Date.now() < patience) await new Promise((resolve) => setTimeout(resolve, 1));
}

for (const [name, start] of Object.entries(frameworks)) {
  describe(`a session saved too late with ${name}`, () => {
    it('is not said to be saved, and costs the client nothing', { timeout: 60_000 }, async () => {
      const results: Late[] = [];
      const fetchFrom = await start(results);
      const first = await fetchFrom('/first');
      const cookie = sessionCookie(first) ?? assert.fail('what was saved in time went out');
      assert.equal(await first.text(), 'begun done');
      for (const path of ['/save', '/start']) {
        const response = await fetchFrom(path, { cookie });
        assert.equal(await response.text(), 'begun done');
        assert.deepEqual(response.headers.getSetCookie(), [], path);
        assert.match(response.headers.get('vary') ?? '', /Cookie/);
      }
      await until(results, 3);
      assert.deepEqual(
        results.map((result) => ('reason' in result ? result.reason : result)),
        ['too-late', 'too-late', 'too-late'],
        'the first server saved once in time and once too late',
      );
      // The same cookie, three saves later: had one of them raised the mark, it would be refused.
      const end = await fetchFrom('/end', { cookie });
      await end.text();
      await until(results, 4);
      assert.deepEqual(
        results.at(-1),
        { ok: false, final: true },
        'ended for good, though the client keeps the cookie',
      );
      await (await fetchFrom('/end', { cookie })).text();
      await until(results, 5);
      assert.deepEqual(results.at(-1), { ok: false, final: false }, 'and so there was none left to end');
    });
  });
}

describe('a session saved in time', () => {
  it('goes out with headers given to writeHead, which replace what was set', async () => {
    const visitOf = httpSessions({ sessions: make() });
    const fetchFrom = await listen((request, response) => {
      void (async () => {
        const visit = await visitOf(request, response);
        await visit.start({ activity: 1, data: null });
        const others: Record<string, unknown> = {
          '/object': { 'Set-Cookie': 'other=1', 'Cache-Control': 'public, max-age=60', Vary: 'Accept' },
          '/pairs': [
            ['Set-Cookie', 'other=1'],
            ['Set-Cookie', 'third=1'],
            ['Cache-Control', 'public'],
            ['Vary', 'Accept'],
          ],
          '/turns': ['Set-Cookie', 'other=1', 'Set-Cookie', 'third=1', 'Cache-Control', 'public', 'Vary', 'Accept'],
        };
        response.writeHead(201, 'Made', others[request.url ?? '/'] as Record<string, string>);
        response.end('x');
      })();
    });
    for (const [path, cookies] of [
      ['/object', 2],
      ['/pairs', 3],
      ['/turns', 3],
      ['/nothing', 1],
    ] as const) {
      const response = await fetchFrom(path);
      assert.equal(response.status, 201);
      assert.equal(response.statusText, 'Made');
      assert.equal(response.headers.getSetCookie().length, cookies, path);
      assert.ok(sessionCookie(response), path);
      assert.equal(response.headers.get('cache-control'), 'no-store');
      assert.equal(response.headers.get('vary'), path === '/nothing' ? 'Cookie' : 'Accept, Cookie');
    }
  });

  it("goes out with an error's page, and with a middleware that is mounted twice only once", async () => {
    const session = expressSessions({ sessions: make() });
    const app = express();
    app.set('env', 'test');
    app.use(session.middleware);
    app.use('/', session.middleware);
    app.get('/', async (request) => {
      await session.of(request).start({ activity: 1, data: null });
      throw new Error('after the save');
    });
    const response = await (await listen(app))('/');
    assert.equal(response.status, 500);
    assert.equal(response.headers.getSetCookie().length, 1);
  });

  it('goes out over HTTP/2 too, and too late is too late there', { timeout: 60_000 }, async () => {
    const visitOf = httpSessions({ sessions: make() });
    const results: Late[] = [];
    const server = createHttp2Server((request, response) => {
      void (async () => {
        const visit = await visitOf(request, response);
        await early('/first', visit);
        response.write('begun ');
        results.push(await late('/save', visit));
        response.end('done');
      })();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const request = client.request({ ':path': '/' });
    const [headers] = (await once(request, 'response')) as [Record<string, unknown>];
    request.resume();
    await once(request, 'end');
    client.close();
    server.close();
    assert.match(String(headers['set-cookie']), /^__Host-session=/);
    assert.equal(headers['cache-control'], 'no-store');
    assert.deepEqual(results, [{ ok: false, reason: 'too-late' }]);
  });
});

describe('a save under way', () => {
  it('does not bring back what an end takes away', async () => {
    const visit = await webSessions({ sessions: make() })(new Request('http://server/'));
    await visit.start({ activity: 1, data: null });
    const saving = visit.save({ activity: 2 });
    const ending = visit.end();
    assert.ok((await saving).ok);
    assert.deepEqual(await ending, { ok: true, final: true });
    assert.equal(sessionCookie(visit.apply(new Response())), '__Host-session=');
    await assert.rejects(visit.save(), /start one/);
  });
});
