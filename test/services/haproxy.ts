import { ownFolders } from './folders.js';
import { Connection, repeat } from './line-client.js';
import type { Service } from './service.js';

const CONFIG = `defaults
  mode http
  timeout client 1h
  timeout server 1h
  timeout connect 1m
frontend in
  bind :80
  default_backend behind
backend behind
  server self 127.0.0.1:81
frontend behind
  bind 127.0.0.1:81
  http-request return status 200 content-type text/plain lf-string "<%[req.hdr(x-number)]>"
`;

/** A master and its worker: requests over a connection that stays go through to a second one behind it, which answers with what was asked. */
export const haproxy: Service = {
  name: 'haproxy',
  run: {
    argv: ['haproxy', '-W', '-db', '-f', '/run/haproxy.cfg'],
    folders: ownFolders('/var/lib/haproxy'),
    before: [['/bin/sh', '-c', `printf '%s' "$1" > /run/haproxy.cfg`, 'write', CONFIG]],
  },
  port: 80,
  async begin({ port }) {
    const c = await Connection.soon(port);
    const work = repeat('haproxy', async (n) => {
      c.send(`GET / HTTP/1.1\r\nHost: test\r\nX-Number: ${n}\r\n\r\n`);
      const head = await c.until('\r\n\r\n');
      const body = await c.until('>');
      if (!head.startsWith('HTTP/1.1 200 ') || body !== `<${n}>`) throw new Error(`${head}${body}`);
    });
    return {
      finish: async () => {
        const wrong = [...(await work.stop()), ...c.broken];
        c.close();
        return wrong;
      },
    };
  },
};
