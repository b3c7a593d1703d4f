/**
 * Two plain node:http servers that share a key ring in a file: what one seals,
 * the other opens.
 *
 *   node dist/examples/session-http.js
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { httpSessions } from '../src/session/adapters/node-http.js';
import { createSessionsSync, openRing } from '../src/session/node/index.js';

const folder = await mkdtemp(join(tmpdir(), 'session-http-'));
const keys = join(folder, 'keys.json');

async function start(name: string): Promise<Server> {
  const ring = await openRing(keys, { create: true });
  const sessions = createSessionsSync<{ visits: number }, null>({ ring, purpose: 'counter' });
  const visitOf = httpSessions({ sessions });
  const server = createServer((request, response) => {
    visitOf(request, response)
      .then(async (visit) => {
        const visits = (visit.session?.activity.visits ?? 0) + 1;
        const activity = { visits };
        await (visit.session === undefined ? visit.start({ activity, data: null }) : visit.save({ activity }));
        response.end(`${name} has seen you, and it is your visit ${visits}`);
      })
      .catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

const servers = await Promise.all([start('one'), start('two')]);
let cookie = '';
for (let i = 0; i < 6; i++) {
  const { port } = servers[i % 2].address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { cookie } });
  cookie = response.headers.getSetCookie()[0].split(';')[0];
  console.log(await response.text());
}
for (const server of servers) {
  server.closeAllConnections();
  server.close();
}
await rm(folder, { recursive: true });
