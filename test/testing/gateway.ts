/** A gateway on a switch, with a guest that is a peer of ours, for tests over loopback. */
import assert from 'node:assert/strict';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { nodeClock, nodeSockets } from '../../src/adapters/node/sockets.js';
import { Gateway, Switch, type GatewayOptions, type Port } from '../../src/net/index.js';
import { Peer, Sink } from '../../src/net/testing/peer.js';

export const MAC = '52:54:00:00:00:01';

export interface Net {
  sw: Switch;
  gateway: Gateway;
  guest: Peer;
  port: Port;
}

export function network(t: TestContext, options: Partial<GatewayOptions> = {}): Net {
  const sw = new Switch();
  const clock = nodeClock();
  const gateway = new Gateway({ port: sw.attach({ name: 'gateway' }), sockets: nodeSockets(), clock, ...options });
  const port = sw.attach({ name: 'guest' });
  const mtu = options.mtu ?? 1500;
  const guest = new Peer({ port, clock, ip: '10.0.2.15', mac: MAC, mtu });
  t.after(() => gateway.close());
  return { sw, gateway, guest, port };
}

export async function serve(t: TestContext, handle: (socket: Socket) => void): Promise<number> {
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    t.after(() => socket.destroy());
    handle(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** Waits until `done`, at most some seconds. */
export async function until(what: string, done: () => boolean, ms = 10_000): Promise<void> {
  const end = Date.now() + ms;
  while (!done()) {
    if (Date.now() > end) assert.fail(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

export function dial(guest: Peer, address: string, port: number, sink: Sink): Sink {
  sink.connection = guest.connect(address, port, sink);
  return sink;
}
