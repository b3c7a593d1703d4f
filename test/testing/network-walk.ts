/**
 * A random walk through the states that the gateway's connections can be in, ended by closing the gateway wherever the
 * walk happens to be. Run by itself: `node network-walk.js SEED ROUNDS`. It says what still keeps the process alive
 * after each round, and has to end without being told to.
 */
import { createSocket, type Socket as Datagrams } from 'node:dgram';
import { setServers } from 'node:dns';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { nodeClock, nodeSockets } from '../../src/adapters/node/sockets.js';
import { Gateway, Switch, type Forward } from '../../src/net/index.js';
import { Peer, Sink } from '../../src/net/testing/peer.js';
import { seeded } from '../../src/net/testing/random.js';

const GUEST = '10.0.2.15';
const QUERY = Uint8Array.of(18, 52, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4, 110, 111, 110, 101, 2, 105, 116, 0, 0, 1, 0, 1);

/** The host's side of a walk: a server whose connections do whatever the dice say, and a name server that is silent. */
class Host {
  readonly sockets = new Set<Socket>();
  readonly server: Server;
  readonly silent: Datagrams = createSocket('udp4');
  readonly echo: Datagrams = createSocket('udp4', (data, from) => this.echo.send(data, from.port, from.address));

  constructor(random: () => number) {
    this.server = createServer({ allowHalfOpen: true, pauseOnConnect: random() < 0.3 }, (socket) => this.adopt(socket));
  }

  adopt(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => this.sockets.delete(socket));
    socket.on('data', () => undefined);
  }

  async open(): Promise<void> {
    this.server.listen(0, '127.0.0.1');
    this.silent.bind(0, '127.0.0.1');
    this.echo.bind(0, '127.0.0.1');
    await Promise.all([this.server, this.silent, this.echo].map((what) => once(what, 'listening')));
    setServers([`127.0.0.1:${this.silent.address().port}`]);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  close(): void {
    this.server.close();
    this.silent.close();
    this.echo.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

/** Gives what is left of it, by name. */
export async function walk(seed: number): Promise<string[]> {
  const random = seeded(seed);
  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)];
  const host = new Host(random);
  await host.open();
  const sw = new Switch();
  const clock = nodeClock();
  const gateway = new Gateway({
    port: sw.attach({ name: 'gateway' }),
    sockets: nodeSockets(),
    clock,
    udpIdle: 50,
    // A guest's side that is forgotten soon: what the host has still to write outlives it.
    tcp: { timeWait: 2 },
  });
  const guest = new Peer({ port: sw.attach({ name: 'a' }), clock, ip: GUEST, mac: '52:54:00:00:00:01' });
  const sinks: Sink[] = [];
  const forwards: Forward[] = [];
  for (const port of [80, 81]) {
    guest.listen(port, (connection) => {
      const sink = new Sink();
      // Port 81 reads nothing: what comes in stays queued.
      if (port === 80) sink.connection = connection;
      sinks.push(sink);
      return sink;
    });
  }
  const dial = (address: string, port: number): void => {
    const sink = new Sink();
    sink.connection = guest.connect(address, port, sink);
    sinks.push(sink);
  };
  const forward = (protocol: 'tcp' | 'udp', guestPort: number): void => {
    gateway.forward({ protocol, guest: GUEST, guestPort }).then(
      (open) => forwards.push(open),
      // The walk may have ended meanwhile.
      () => undefined,
    );
  };
  const client = (): void => {
    const open = pick(forwards);
    if (open?.protocol === 'tcp') host.adopt(connect({ port: open.port, host: '127.0.0.1', allowHalfOpen: true }));
    else if (open !== undefined) host.echo.send('hello', open.port, '127.0.0.1');
  };
  const bytes = (): Uint8Array => new Uint8Array(1 + Math.floor(random() ** 4 * 2_000_000));
  const steps: (() => unknown)[] = [
    () => dial('10.0.2.2', host.port),
    () => dial('10.0.2.2', host.port),
    () => dial('10.0.2.2', 1),
    () => dial('10.0.2.3', 53),
    () => pick(sinks)?.connection?.send(bytes()),
    () => pick(sinks)?.connection?.send(bytes()),
    () => pick(sinks)?.connection?.close(),
    () => pick(sinks)?.connection?.abort(),
    () => pick([...host.sockets])?.write(bytes()),
    () => pick([...host.sockets])?.write(bytes()),
    () => pick([...host.sockets])?.end(),
    () => pick([...host.sockets])?.pause(),
    () => pick([...host.sockets])?.resume(),
    () => pick([...host.sockets])?.destroy(),
    () => forward('tcp', pick([80, 81, 82]) ?? 80),
    () => forward('udp', 7),
    client,
    client,
    // Both sides have ended, and the gateway still has what the guest sent: the host's peer reads nothing.
    async () => {
      const connection = sinks.at(-1)?.connection;
      if (random() < 0.5 || connection === undefined) return;
      for (const each of host.sockets) each.pause();
      for (let n = 0; n < 300 && connection.queued < 1000 && connection.tcb.sndWnd > 700_000; n++) {
        connection.send(new Uint8Array(65_536));
        await sleep(1);
      }
      connection.close();
      for (const each of host.sockets) each.end();
      await sleep(30);
    },
    () => void pick(forwards)?.close(),
    () => guest.sendUdp(5000 + Math.floor(random() * 4), '10.0.2.2', host.echo.address().port, new Uint8Array(9)),
    () => guest.sendUdp(6000, '10.0.2.3', 53, QUERY),
    () => pick(sinks)?.connection?.send(Uint8Array.of(0, QUERY.length, ...QUERY)),
    () => turn(),
    () => turn(),
    () => sleep(random() * 4),
  ];
  const length = 5 + Math.floor(random() * 120);
  for (let n = 0; n < length; n++) await pick(steps)?.();
  if (random() < 0.5) forward(pick(['tcp', 'udp']) ?? 'tcp', 80);
  await gateway.close();
  // Not by the other side's end, but by its own: what is there now is the other side's.
  const left = await settled(
    (name) => name === 'TCPSocketWrap',
    () => host.sockets.size,
  );
  host.close();
  // The guest's own timers do not keep the process: its stack needs no care.
  return [
    ...left,
    ...(await settled(
      (name) => /^(TCP|UDP|Timeout|GetAddr|FSReq)/.test(name),
      () => 0,
    )),
  ];
}

/** What of the kind keeps the process alive beyond `most`, given the time to let go of what it lets go of. */
async function settled(kind: (name: string) => boolean, most: () => number): Promise<string[]> {
  let left: string[] = [];
  for (let n = 0; n < 50; n++) {
    left = process.getActiveResourcesInfo().filter(kind);
    if (left.length <= most()) return [];
    await sleep(10);
  }
  return left;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [first, rounds] = process.argv.slice(2).map(Number);
  for (let seed = first; seed < first + rounds; seed++) {
    const left = await walk(seed);
    if (left.length > 0) console.log(`seed ${seed} leaves ${left.join(' ')}`);
  }
  console.log('done');
}
