import { createSocket } from 'node:dgram';
import { askUntilAnswered } from './datagrams.js';
import { ownFolders } from './folders.js';
import { repeat } from './line-client.js';
import type { Service } from './service.js';

/** Of a datagram: request, number, how many there are, reserved; each 16 bits. */
const HEAD = 8;

/** Values that are written are read again, in datagrams; what has no answer in time is asked again. */
export const memcachedUdp: Service = {
  name: 'memcached-udp',
  run: { argv: ['memcached', '-u', 'memcache', '-m', '64', '-l', '0.0.0.0', '-U', '11211'], folders: ownFolders() },
  port: 11211,
  protocol: 'udp',
  async begin({ port }) {
    const socket = createSocket('udp4');
    let id = 0;
    const ask = async (text: string): Promise<string> => {
      const head = Buffer.alloc(HEAD);
      head.writeUInt16BE(++id & 0xffff, 0);
      head.writeUInt16BE(1, 4);
      const answer = await askUntilAnswered(socket, port, Buffer.concat([head, Buffer.from(text)]));
      return answer.subarray(HEAD).toString();
    };
    await ask('version\r\n');
    const work = repeat('memcached-udp', async (n) => {
      const stored = await ask(`set k${n % 100} 0 0 ${String(n).length}\r\n${n}\r\n`);
      const got = await ask(`get k${n % 100}\r\n`);
      if (stored !== 'STORED\r\n' || !got.includes(`\r\n${n}\r\nEND`)) throw new Error(`${n}: ${stored}${got}`);
    });
    return {
      finish: async () => {
        const wrong = await work.stop();
        socket.close();
        return wrong;
      },
    };
  },
};
