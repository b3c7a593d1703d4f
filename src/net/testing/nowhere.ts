/** A host on which nothing can be reached. */
import { NetError } from '../errors.js';
import type { HostStream, Sockets } from '../sockets.js';

/** A stream that never does anything. */
export const SILENT: HostStream = {
  write: () => undefined,
  end: () => undefined,
  pause: () => undefined,
  resume: () => undefined,
  reset: () => undefined,
};

export function nowhere(): Sockets {
  return {
    connect: (_address, _port, events) => {
      queueMicrotask(() => events.closed('unreachable'));
      return SILENT;
    },
    listen: () => Promise.reject(new NetError('HOST_SOCKET', 'no sockets here')),
    datagrams: () => Promise.resolve({ port: 1, send: () => undefined, close: () => undefined }),
    dnsExchange: () => Promise.reject(new Error('no server')),
    lookup: () => Promise.resolve([]),
  };
}
