import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { Caller } from './caller.js';

test('however many wait until a caller has room, they wait as one, and all go on', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  const caller = new Caller(socket);
  await caller.room();
  client.pause();
  for (let i = 0; i < 8; i++) caller.tell({ output: 'x'.repeat(2 ** 20) });
  const waiting = Array.from({ length: 20 }, () => caller.room());
  assert.equal(socket.listenerCount('drain'), 1);
  client.resume();
  await Promise.all(waiting);
  assert.equal(socket.writableLength, 0);
  assert.equal(socket.listenerCount('drain'), 0);
  client.destroy();
  server.close();
});
