/** DNS messages to the host's resolvers, as they are: the first server that answers wins. */
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';

const TIMEOUT_MS = 2500;

/** `servers` as dns.getServers() gives them: `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1`, `[2001:db8::1]:5353`. */
export async function exchangeDns(
  servers: readonly string[],
  query: Uint8Array,
  stream: boolean,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  let last: unknown = new Error('the host has no name server');
  for (const server of servers.slice(0, 3)) {
    const { host, port } = parseServer(server);
    signal?.throwIfAborted();
    try {
      return await (stream ? overTcp(host, port, query, signal) : overUdp(host, port, query, signal));
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

function parseServer(text: string): { host: string; port: number } {
  const bracketed = /^\[(.*)\](?::(\d+))?$/.exec(text);
  if (bracketed !== null) return { host: bracketed[1], port: Number(bracketed[2] ?? 53) };
  if (isIPv6(text)) return { host: text, port: 53 };
  const [host, port] = text.split(':');
  return { host, port: Number(port ?? 53) };
}

/** A socket per query: its random port, besides the ID, is what keeps forged replies out. */
function overUdp(host: string, port: number, query: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
    const timer = setTimeout(() => finish(() => reject(new Error(`${host} did not answer`))), TIMEOUT_MS);
    let finished = false;
    const finish = (how: () => void) => {
      if (finished) return;
      finished = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', aborted);
      socket.close();
      how();
    };
    const aborted = () => finish(() => reject(new Error('the query was given up')));
    signal?.addEventListener('abort', aborted);
    socket.on('error', (error) => finish(() => reject(error)));
    socket.on('message', (reply) => {
      // Another ID is a stray or a forgery: wait for the right one.
      if (reply.length >= 12 && reply[0] === query[0] && reply[1] === query[1]) finish(() => resolve(reply));
    });
    socket.on('connect', () => {
      if (!finished) socket.send(query);
    });
    socket.connect(port, host);
  });
}

function overTcp(host: string, port: number, query: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: TIMEOUT_MS });
    let received = Buffer.alloc(0);
    const aborted = () => socket.destroy();
    signal?.addEventListener('abort', aborted);
    socket.on('connect', () => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(query.length);
      socket.write(Buffer.concat([length, query]));
    });
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE()) return;
      resolve(received.subarray(2, 2 + received.readUInt16BE()));
      socket.destroy();
    });
    socket.on('timeout', () => socket.destroy(new Error(`${host} did not answer`)));
    socket.on('error', reject);
    socket.on('close', () => {
      signal?.removeEventListener('abort', aborted);
      reject(new Error(`${host} closed the connection`));
    });
  });
}
