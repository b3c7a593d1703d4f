/** DNS over TCP (RFC 7766): messages after their length in two octets, any number per connection. */
import type { TcpConnection } from '../tcp/connection.js';
import type { TcpEvents } from '../tcp/tcb.js';
import { get16, set16 } from '../wire/bytes.js';
import type { DnsServer } from './dns.js';

/** Bytes a guest may send ahead of its answers. */
const MAX_AHEAD = 16 * 1024;

/** Accepts a guest's connection and answers on it. */
export function dnsOverTcp(connection: TcpConnection, server: DnsServer): TcpEvents {
  let buffered = new Uint8Array(0);
  let waiting = 0;
  let ended = false;
  const finished = () => {
    if (ended && waiting === 0) connection.close();
  };
  const ask = (query: Uint8Array) => {
    waiting++;
    void server.answer(query, true, connection.tcb.ends.remoteAddress).then((reply) => {
      waiting--;
      if (reply !== undefined && reply.length <= 0xffff) {
        const framed = new Uint8Array(2 + reply.length);
        set16(framed, 0, reply.length);
        framed.set(reply, 2);
        connection.send(framed);
      }
      finished();
    });
  };
  // The guest's SYN is answered once the caller has these events.
  queueMicrotask(() => connection.accept());
  return {
    connected: () => undefined,
    writable: () => undefined,
    closed: () => undefined,
    data: (chunk) => {
      connection.consumed(chunk.length);
      const all = new Uint8Array(buffered.length + chunk.length);
      all.set(buffered);
      all.set(chunk, buffered.length);
      buffered = all;
      while (buffered.length >= 2 && buffered.length >= 2 + get16(buffered, 0)) {
        const end = 2 + get16(buffered, 0);
        ask(buffered.slice(2, end));
        buffered = buffered.slice(end);
      }
      if (waiting * 64 > MAX_AHEAD || buffered.length > 0x10001) connection.abort();
    },
    end: () => {
      ended = true;
      finished();
    },
  };
}
