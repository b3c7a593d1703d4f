/**
 * A log-in with Hono and sealed sessions. High-water marks in memory make a
 * log-out final on this server.
 *
 *   node dist/examples/session-web.js
 *
 * It sends itself the requests a browser would send and prints the answers.
 */
import { Hono } from 'hono';
import { createKey, createSessions, DEFAULT_POLICY, KeyRing, MemoryHighWater } from '../src/session/index.js';
import { honoSessions } from '../src/session/adapters/hono.js';

interface Activity {
  page: number;
}

// In production: new KeyRing(ringFromEnvironment(process.env)), or openRing(path) on Node.
const { content } = createKey({ policy: DEFAULT_POLICY, keys: [] }, Date.now(), (bytes) =>
  crypto.getRandomValues(bytes),
);
const sessions = createSessions<Activity, { basket: string[] }>({
  ring: new KeyRing(content),
  purpose: 'shop',
  limits: { maxAge: 7 * 86_400, idle: 3600 },
  highWater: { store: new MemoryHighWater() },
});
const session = honoSessions({ sessions });

export const app = new Hono();
app.use(session.middleware);
app.post('/login/:name', async (c) => {
  // A new session at every log-in: whatever a stranger may have planted is of no use to him.
  const saved = await session
    .of(c)
    .start({ identity: c.req.param('name'), activity: { page: 1 }, data: { basket: [] } });
  return saved.ok ? c.text('welcome') : c.text(saved.reason, 500);
});
app.get('/next', async (c) => {
  const visit = session.of(c);
  if (visit.session === undefined) return c.text('who are you?', 401);
  const page = visit.session.activity.page + 1;
  await visit.save({ activity: { page } });
  return c.text(`${visit.session.identity} is on page ${page}`);
});
app.post('/logout', async (c) => {
  await session.of(c).end();
  return c.text('bye');
});

let cookie = '';
for (const [method, path] of [
  ['GET', '/next'],
  ['POST', '/login/ada'],
  ['GET', '/next'],
  ['GET', '/next'],
] as const) {
  const response = await app.request(path, { method, headers: { cookie } });
  cookie = response.headers.get('set-cookie')?.split(';')[0] ?? cookie;
  console.log(method, path, response.status, await response.text());
}
const stolen = cookie;
await app.request('/logout', { method: 'POST', headers: { cookie } });
const replay = await app.request('/next', { headers: { cookie: stolen } });
console.log('the cookie of before the log-out:', replay.status, await replay.text());
