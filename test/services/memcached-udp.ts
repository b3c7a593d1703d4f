import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { ownFolders } from './folders.js';
import { repeat } from './line-client.js';
import type { Service } from './service.js';

/** Of a datagram: request, number, how many there are, reserved; each 16 bits. */
const HEAD = 8;
const PATIENCE = 3000;
const ASKS = 10;

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
      const own = ++id & 0xffff;
      const head = Buffer.alloc(HEAD);
      head.writeUInt16BE(own, 0);
      head.writeUInt16BE(1, 4);
      for (let turn = 0; turn < ASKS; turn++) {
        socket.send(Buffer.concat([head, Buffer.from(text)]), port, '127.0.0.1');
        const over = AbortSignal.timeout(PATIENCE);
        try {
          for (;;) {
            const [answer] = (await once(socket, 'message', { signal: over })) as [Buffer];
            if (answer.readUInt16BE(0) === own) return answer.subarray(HEAD).toString();
          }
        } catch (error) {
          if (!over.aborted) throw error;
        }
      }
      throw new Error(`no answer to ${text}`);
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
