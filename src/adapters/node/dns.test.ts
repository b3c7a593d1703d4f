import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { exchangeDns } from './dns.js';

const QUERY = Uint8Array.of(0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 97, 0, 0, 1, 0, 1);

/** A name server over UDP that sends the given replies to each query. */
async function server(t: TestContext, replies: (query: Buffer) => Uint8Array[]): Promise<string> {
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => {
    for (const reply of replies(query)) socket.send(reply, from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => socket.close());
  return `127.0.0.1:${socket.address().port}`;
}

function reply(query: Uint8Array, note: number): Uint8Array {
  const out = Uint8Array.from([...query, note]);
  out[2] = 0x81;
  return out;
}

test('a reply with another ID is not taken for the answer', async (t) => {
  const address = await server(t, (query) => {
    const forged = reply(query, 1);
    forged[0] ^= 1;
    return [forged, query.subarray(0, 5), reply(query, 2)];
  });
  const answer = await exchangeDns([address], QUERY, false);
  assert.equal(answer.at(-1), 2);
});

test('the next server is asked when one is not there', async (t) => {
  const gone = createSocket('udp4');
  gone.bind(0, '127.0.0.1');
  await once(gone, 'listening');
  const { port } = gone.address();
  gone.close();
  const good = await server(t, (query) => [reply(query, 7)]);
  const answer = await exchangeDns([`127.0.0.1:${port}`, good], QUERY, false);
  assert.equal(answer.at(-1), 7);
});

test('over TCP, in pieces', async (t) => {
  const tcp = createServer((socket) => {
    const received: Buffer[] = [];
    socket.on('data', (chunk) => {
      received.push(chunk);
      const all = Buffer.concat(received);
      if (all.length < 2 + QUERY.length) return;
      const answer = reply(all.subarray(2), 9);
      socket.write(Uint8Array.of(0));
      setTimeout(() => socket.write(Uint8Array.of(answer.length, ...answer.subarray(0, 4))), 10);
      setTimeout(() => socket.write(answer.subarray(4)), 20);
    });
  });
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  t.after(() => tcp.close());
  const { port } = tcp.address() as AddressInfo;
  const answer = await exchangeDns([`127.0.0.1:${port}`], QUERY, true);
  assert.deepEqual([...answer], [...reply(QUERY, 9)]);
});

test('a server that closes, and no server at all, are errors', async (t) => {
  const tcp = createServer((socket) => socket.destroy());
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  t.after(() => tcp.close());
  const { port } = tcp.address() as AddressInfo;
  await assert.rejects(exchangeDns([`127.0.0.1:${port}`], QUERY, true));
  await assert.rejects(exchangeDns([], QUERY, false), /no name server/);
});
