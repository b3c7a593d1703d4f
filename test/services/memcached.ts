import type { Service } from './service.js';
import { ownFolders } from './folders.js';
import { Connection, repeat } from './line-client.js';

/** Values that are written are read again, over one connection. */
export const memcached: Service = {
  name: 'memcached',
  run: { argv: ['memcached', '-u', 'memcache', '-m', '64', '-l', '0.0.0.0'], folders: ownFolders() },
  port: 11211,
  async begin({ port }) {
    const c = await Connection.soon(port);
    const work = repeat('memcached', async (n) => {
      c.send(`set k${n % 100} 0 0 ${String(n).length}\r\n${n}\r\n`);
      await c.until('STORED\r\n');
      c.send(`get k${n % 100}\r\n`);
      const got = await c.until('END\r\n');
      if (!got.includes(`\r\n${n}\r\n`)) throw new Error(`${n} was written, and read was ${JSON.stringify(got)}`);
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
