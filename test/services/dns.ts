import { createSocket } from 'node:dgram';
import { askUntilAnswered } from './datagrams.js';
import { ownFolders } from './folders.js';
import { repeat } from './line-client.js';
import type { Service } from './service.js';

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

/** Every question over UDP is answered with the address that is configured. */
function nameServer(name: string, run: Service['run']): Service {
  return {
    name,
    run,
    port: 53,
    protocol: 'udp',
    async begin({ port }) {
      const socket = createSocket('udp4');
      await askUntilAnswered(socket, port, query(1, 'host.example'));
      const work = repeat(name, async (n) => {
        const answer = await askUntilAnswered(socket, port, query(2 + (n % 60000), 'host.example'));
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

const NAMED = `options { directory "/run/bind"; listen-on { any; }; listen-on-v6 { none; }; recursion no; dnssec-validation no; pid-file none; session-keyfile none; };
controls { };
zone "example" { type primary; file "/run/bind/example"; };
`;
const ZONE = `$TTL 60
@ IN SOA ns.example. root.example. 1 60 60 60 60
@ IN NS ns.example.
ns IN A 10.0.2.100
host IN A 10.1.2.3
`;

export const bind = nameServer('bind9', {
  argv: ['named', '-g', '-u', 'bind', '-c', '/run/named.conf', '-n', '2'],
  folders: ownFolders('/var/cache/bind'),
  before: [
    ['/bin/sh', '-c', 'mkdir /run/bind /run/named; chown bind /run/bind /run/named'],
    write('/run/named.conf', NAMED),
    write('/run/bind/example', ZONE),
  ],
});
