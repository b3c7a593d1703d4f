import { ownFolders } from './folders.js';
import { connectSoon } from '../testing/redis.js';
import type { Service } from './service.js';
import { repeat } from './line-client.js';

const ARGS = ['--port', '6379', '--bind', '0.0.0.0', '--protected-mode', 'no', '--save', '', '--dir', '/var/lib/redis'];
const AOF = ['--appendonly', 'yes', '--appendfsync', 'everysec', '--enable-debug-command', 'yes'];

/** With a log of all changes (AOF): a counter goes up by one each time, and is the same when all is read from the log again. */
export const redis: Service = {
  name: 'redis',
  run: {
    argv: ['redis-server', ...ARGS, ...AOF],
    user: 'redis',
    folders: ownFolders('/var/lib/redis', '/var/log/redis'),
    cwd: '/var/lib/redis',
  },
  port: 6379,
  async begin({ port }) {
    const broken: string[] = [];
    const client = await connectSoon(port, (error) => void broken.push(error.message));
    let last = 0;
    const work = repeat('redis', async () => {
      const next = await client.incr('counter');
      if (next !== ++last) throw new Error(`the counter went from ${last - 1} to ${next}`);
      await client.set(`k${next % 500}`, 'x'.repeat(next % 2000));
    });
    return {
      finish: async () => {
        const wrong = [...(await work.stop()), ...broken];
        if (wrong.length > 0) return wrong;
        await client.sendCommand(['DEBUG', 'LOADAOF']);
        const kept = Number(await client.get('counter'));
        client.destroy();
        return kept === last ? [] : [`the counter was ${last}, and is ${kept} when the log is read`];
      },
    };
  },
};
