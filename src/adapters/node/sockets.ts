/** Node's sockets, resolver, timers and clock for the outside network. */
import { readFileSync } from 'node:fs';
import resolver from 'node:dns/promises';
import { connect, createServer } from 'node:net';
import type { Clock } from '../../net/clock.js';
import { NetError, type NetErrorCode } from '../../net/errors.js';
import type { HostStream, Listener, Sockets, StreamEvents } from '../../net/sockets.js';
import { openDatagrams } from './datagrams.js';
import { exchangeDns } from './dns.js';
import { HostsFile } from './hosts-file.js';
import { codeOf, NodeStream } from './stream.js';

/** The part of the process's descriptors that guests may have. */
const FOR_GUESTS = 3 / 4;

/** Timers do not keep the process alive: open sockets and running guests do. */
export function nodeClock(): Clock {
  return {
    now: () => performance.now(),
    after: (ms, run) => {
      const timer = setTimeout(run, ms);
      timer.unref();
      return () => clearTimeout(timer);
    },
    soon: (run) => queueMicrotask(run),
    turn: (run) => setImmediate(run),
  };
}

/** `hosts`: the host's table of names. */
export function nodeSockets({ hosts = new HostsFile() }: { hosts?: HostsFile } = {}): Sockets {
  return {
    ...descriptorShare(),
    connect: (address, port, events) => {
      const socket = connect({ host: address, port, noDelay: true, allowHalfOpen: true });
      const stream = new NodeStream(socket);
      stream.listen(events);
      socket.once('connect', () => events.connected());
      return stream;
    },
    listen,
    datagrams: (address, port, receive, refused) =>
      openDatagrams(address, port, receive, refused, (error) => cannotOpen('UDP', address, port, error)),
    // Of the two resolvers of a process, this one knows what was set last by either's setServers; a named import would
    // be the function as it was before.
    dnsExchange: (query, stream, signal) => exchangeDns(resolver.getServers(), query, stream, signal),
    lookup: (name, family) => hosts.lookup(name, family),
  };
}

/** What the process may open, where it can be known: Node raises the bound to the most that is allowed. */
function descriptorShare(): Pick<Sockets, 'descriptors'> {
  try {
    const bound = Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
    return Number.isNaN(bound) ? {} : { descriptors: Math.min(65_536, Math.floor(bound * FOR_GUESTS)) };
  } catch {
    return {};
  }
}

function listen(address: string, port: number, accept: (stream: HostStream) => StreamEvents): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
      const stream = new NodeStream(socket);
      // Listening for data would start it; accept() decides when that is.
      stream.listen(accept(stream));
      socket.pause();
    });
    server.once('error', (error) => reject(cannotOpen('TCP', address, port, error)));
    server.listen({ host: address, port, exclusive: true }, () => {
      const bound = server.address();
      // Later errors concern single connections that could not be accepted; the listener stands.
      server.removeAllListeners('error').on('error', () => undefined);
      resolve({
        port: typeof bound === 'object' && bound !== null ? bound.port : port,
        close: () =>
          new Promise((closed) => {
            server.close();
            closed();
          }),
      });
    });
  });
}

function cannotOpen(kind: string, address: string, port: number, error: Error): NetError {
  const where = `${kind} port ${port} on ${address}`;
  const said: Record<string, [NetErrorCode, string]> = {
    EADDRINUSE: ['PORT_IN_USE', `${where} is taken by another program: choose another port, or 0 for any`],
    EACCES: ['PORT_DENIED', `${where} is not allowed for this user: choose a port from 1024 up`],
    EPERM: ['PORT_DENIED', `${where} is not allowed for this user: choose a port from 1024 up`],
    EADDRNOTAVAIL: ['NO_SUCH_ADDRESS', `this host has no address ${address} to listen on: 127.0.0.1 is always there`],
  };
  const [code, message] = said[codeOf(error)] ?? ['HOST_SOCKET', `${where} could not be opened: ${error.message}`];
  return new NetError(code, message, { cause: error });
}
