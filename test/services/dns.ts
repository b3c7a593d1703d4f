import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { ownFolders } from './folders.js';
import { repeat } from './line-client.js';
import type { Service } from './service.js';

/** A client of a name server asks again after this time (ms), so often. */
const PATIENCE = 3000;
const ASKS = 10;
const ANSWER = Buffer.from([10, 1, 2, 3]);

/** A query for the address of a name (RFC 1035). */
function query(id: number, name: string): Buffer {
  const labels = name.split('.').flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]);
  const head = Buffer.alloc(12);
  head.writeUInt16BE(id, 0);
  head.writeUInt16BE(0x100, 2);
  head.writeUInt16BE(1, 4);
  return Buffer.concat([head, ...labels, Buffer.from([0, 0, 1, 0, 1])]);
}

/** Asks by one socket until there is an answer; what comes late for another question is dropped. */
async function ask(socket: Socket, port: number, id: number, name: string): Promise<Buffer> {
  const bytes = query(id, name);
  for (let turn = 0; turn < ASKS; turn++) {
    socket.send(bytes, port, '127.0.0.1');
    const over = AbortSignal.timeout(PATIENCE);
    try {
      for (;;) {
        const [answer] = (await once(socket, 'message', { signal: over })) as [Buffer];
        if (answer.readUInt16BE(0) === id) return answer;
      }
    } catch (error) {
      if (!over.aborted) throw error;
    }
  }
  throw new Error(`no answer to question ${id}`);
}

/** Every question over UDP is answered with the address that is configured. */
function nameServer(name: string, run: Service['run']): Service {
  return {
    name,
    run,
    port: 53,
    protocol: 'udp',
    async begin({ port }) {
      const socket = createSocket('udp4');
      await ask(socket, port, 1, 'host.example');
      const work = repeat(name, async (n) => {
        const answer = await ask(socket, port, 2 + (n % 60000), 'host.example');
        if (((answer[3] ?? 15) & 15) !== 0 || !answer.includes(ANSWER))
          throw new Error(`it answers ${answer.toString('hex')}`);
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
}

const write = (path: string, text: string): readonly [string, ...string[]] => [
  '/bin/sh',
  '-c',
  'printf "%s" "$2" > "$1"',
  'write',
  path,
  text,
];

export const dnsmasq = nameServer('dnsmasq', {
  argv: ['dnsmasq', '-k', '-C', '/dev/null', '--no-resolv', '--no-hosts', '--address=/host.example/10.1.2.3', '-x', ''],
  folders: ownFolders(),
});

const UNBOUND = `server:
  interface: 0.0.0.0
  access-control: 0.0.0.0/0 allow
  do-daemonize: no
  use-syslog: no
  chroot: ""
  pidfile: ""
  directory: "/run"
  num-threads: 2
  local-zone: "example." static
  local-data: "host.example. IN A 10.1.2.3"
`;

export const unbound = nameServer('unbound', {
  argv: ['unbound', '-d', '-c', '/run/unbound.conf'],
  folders: ownFolders(),
  before: [write('/run/unbound.conf', UNBOUND)],
});
