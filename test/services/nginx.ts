import { ownFolders } from './folders.js';
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection, repeat } from './line-client.js';
import type { Service } from './service.js';

const CONFIG = `user www-data;
worker_processes 2;
daemon off;
pid /run/nginx.pid;
error_log stderr;
events { worker_connections 256; }
http {
  access_log /var/log/nginx/access.log;
  keepalive_requests 1000000;
  server { listen 80; root /usr; location / { try_files $uri =404; } }
}
`;
const SMALL = '/share/base-files/motd';
/** Some ten megabytes. */
const LARGE = '/lib/postgresql/17/bin/postgres';
/** Between two new connections (ms), each of which is looked at for some 300 ms before it is used. */
const BETWEEN = 50;

async function get(c: Connection, path: string): Promise<Buffer> {
  c.send(`GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`);
  const head = await c.until('\r\n\r\n');
  if (!head.startsWith('HTTP/1.1 200 ')) throw new Error(`${path}: ${head.split('\r\n')[0]}`);
  const length = Number(/^content-length: (\d+)/im.exec(head)?.[1]);
  return c.take((got) => (got.length < length ? undefined : length));
}

/** Two workers: a connection that is kept, new ones all the time, and a large file that is taken slowly, again and again. */
export const nginx: Service = {
  name: 'nginx',
  run: {
    argv: ['nginx', '-c', '/run/test.conf'],
    folders: ownFolders('/var/lib/nginx', '/var/log/nginx'),
    before: [['/bin/sh', '-c', `printf '%s' "$1" > /run/test.conf`, 'write', CONFIG]],
  },
  port: 80,
  async begin({ port }) {
    const c = await Connection.soon(port);
    const expected = String(await get(c, SMALL));
    const sum = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
    const large = sum(await get(c, LARGE));
    const kept = repeat('nginx, a connection that is kept', async () => {
      if (String(await get(c, SMALL)) !== expected) throw new Error('another page');
      await sleep(5);
    });
    const fresh = repeat('nginx, new connections', async () => {
      const one = await Connection.soon(port);
      if (String(await get(one, SMALL)) !== expected) throw new Error('another page');
      one.close();
      await sleep(BETWEEN);
    });
    const slow = repeat('nginx, a large file', async () => {
      const one = await Connection.soon(port);
      const valve = setInterval(() => {
        one.socket.pause();
        setTimeout(() => one.socket.resume(), 40);
      }, 60);
      try {
        if (sum(await get(one, LARGE)) !== large) throw new Error('another file');
      } finally {
        clearInterval(valve);
        one.close();
      }
    });
    return {
      finish: async () => {
        const wrong = (await Promise.all([kept.stop(), fresh.stop(), slow.stop()])).flat();
        c.close();
        return [...wrong, ...c.broken];
      },
    };
  },
};
