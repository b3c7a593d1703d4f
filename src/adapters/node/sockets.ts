/** Node's sockets, resolver, timers and clock for the outside network. */
import { createSocket, type Socket as DgramSocket } from 'node:dgram';
import { getServers } from 'node:dns';
import { lookup as lookupName } from 'node:dns/promises';
import { connect, createServer, type Socket } from 'node:net';
import type { Clock } from '../../net/clock.js';
import { NetError, type NetErrorCode } from '../../net/errors.js';
import type { HostDatagrams, HostStream, Listener, Sockets, StreamEvents, StreamFault } from '../../net/sockets.js';
import { exchangeDns } from './dns.js';

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
  };
}

export function nodeSockets(): Sockets {
  return {
    connect: (address, port, events) => {
      const socket = connect({ host: address, port, noDelay: true, allowHalfOpen: true });
      const stream = new NodeStream(socket);
      stream.listen(events);
      socket.once('connect', () => events.connected());
      return stream;
    },
    listen,
    datagrams,
    dnsExchange: (query, stream) => exchangeDns(getServers(), query, stream),
    lookup: async (name, family) => (await lookupName(name, { family, all: true })).map((found) => found.address),
  };
}

/**
 * A stream over a Node socket. What is written in one turn of the event loop goes to the socket as one vector: the
 * guest's segments are small, a system call for each would cost more than all else.
 */
class NodeStream implements HostStream {
  readonly #socket: Socket;
  #events: StreamEvents | undefined;
  #batch: Uint8Array[] = [];
  #bytes = 0;
  #ending = false;
  #fault: StreamFault | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  listen(events: StreamEvents): void {
    this.#events = events;
    this.#socket
      .on('data', (chunk: Uint8Array) => events.data(chunk))
      .on('end', () => events.end())
      .on('error', (error) => (this.#fault ??= faultOf(error)))
      .on('close', () => events.closed(this.#fault));
  }

  write(chunk: Uint8Array): void {
    this.#batch.push(chunk);
    this.#bytes += chunk.length;
    if (this.#batch.length === 1) queueMicrotask(() => this.#flush());
  }

  end(): void {
    this.#ending = true;
    if (this.#batch.length === 0) this.#socket.end();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  reset(): void {
    if (this.#socket.destroyed) return;
    this.#fault ??= 'reset';
    // Before it is connected there is nobody to be told.
    if (this.#socket.connecting) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  #flush(): void {
    const batch = this.#batch;
    const bytes = this.#bytes;
    this.#batch = [];
    this.#bytes = 0;
    const last = batch.pop();
    if (last === undefined || this.#socket.destroyed) return;
    this.#socket.cork();
    for (const chunk of batch) this.#socket.write(chunk);
    this.#socket.write(last, (error) => {
      if (error === undefined || error === null) this.#events?.written(bytes);
    });
    this.#socket.uncork();
    if (this.#ending) this.#socket.end();
  }
}

function faultOf(error: Error): StreamFault {
  switch (codeOf(error)) {
    case 'ECONNREFUSED':
      return 'refused';
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EADDRNOTAVAIL':
      return 'unreachable';
    case 'ETIMEDOUT':
      return 'timeout';
    case 'ECONNRESET':
    case 'EPIPE':
      return 'reset';
    default:
      return 'failed';
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
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

function datagrams(
  address: string,
  port: number,
  receive: (payload: Uint8Array, address: string, port: number) => void,
): Promise<HostDatagrams> {
  return new Promise((resolve, reject) => {
    const socket: DgramSocket = createSocket('udp4', (payload, from) => receive(payload, from.address, from.port));
    let closed = false;
    socket.once('error', (error) => {
      socket.close();
      reject(cannotOpen('UDP', address, port, error));
    });
    socket.bind({ address, port, exclusive: true }, () => {
      // Errors of single datagrams (unreachable, too long) lose that datagram.
      socket.removeAllListeners('error').on('error', () => undefined);
      resolve({
        port: socket.address().port,
        send: (payload, to, toPort) => {
          if (!closed) socket.send(payload, toPort, to, () => undefined);
        },
        close: () => {
          if (closed) return;
          closed = true;
          socket.close();
        },
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
