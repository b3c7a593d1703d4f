// Against a real Redis server on a socket of its own, and against servers that break off or talk nonsense.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { RedisReplyError, RespClient } from './resp-client.js';

const folder = mkdtempSync(join(tmpdir(), 'resp-'));
after(() => rmSync(folder, { recursive: true }));

/** For connections that must not break. */
const never = (error: Error): void => assert.fail(error);

describe('with Redis itself', () => {
  const socket = join(folder, 'redis.sock');
  let server: ChildProcess | undefined;
  before(async () => {
    const args = ['--port', '0', '--unixsocket', socket, '--save', '', '--appendonly', 'no', '--dir', folder];
    const started = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    server = started;
    let log = '';
    for await (const piece of started.stdout) {
      log += String(piece);
      if (/ready to accept connections/i.test(log)) break;
    }
    started.stdout.resume();
  });
  after(async () => {
    if (server === undefined || server.exitCode !== null) return;
    const exit = once(server, 'exit');
    server.kill();
    await exit;
  });

  test('every kind of reply, in the order of the commands', async () => {
    const client = await RespClient.connect(socket, never);
    const octets = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join('');
    const replies = await Promise.allSettled([
      client.send('SET', 'octets', octets),
      client.send('GET', 'octets'),
      client.send('GET', 'nothing'),
      client.send('INCR', 'count'),
      client.send('INCR', 'octets'),
      client.send('SET', 'empty', ''),
      client.send('GET', 'empty'),
      client.send('DECRBY', 'count', '3'),
    ]);
    const values = replies.map((r) => (r.status === 'fulfilled' ? r.value : (r.reason as unknown)));
    assert.ok(values[4] instanceof RedisReplyError && /not an integer/.test(values[4].message));
    values.splice(4, 1);
    assert.deepEqual(values, ['OK', octets, null, 1, 'OK', '', -2]);
    client.destroy();
  });

  test('values of many pieces', async () => {
    const client = await RespClient.connect(socket, never);
    const value = 'v'.repeat(3_000_000) + '\r\n+OK\r\n';
    await client.send('SET', 'long', value);
    const replies = await Promise.all([client.send('GET', 'long'), client.send('GET', 'long'), client.send('PING')]);
    assert.deepEqual(replies, [value, value, 'PONG']);
    client.destroy();
  });

  test('a connection that Redis ends is told once, and rejects what waits and what comes', async () => {
    const broken: Error[] = [];
    const client = await RespClient.connect(socket, (error) => broken.push(error));
    const other = await RespClient.connect(socket, never);
    const id = String(await client.send('CLIENT', 'ID'));
    const waits = client.send('BLPOP', 'list', '0');
    const refused = assert.rejects(waits, /closed by the other side/);
    await other.send('CLIENT', 'KILL', 'ID', id);
    await refused;
    assert.equal(client.isOpen, false);
    await assert.rejects(client.send('PING'), /closed: PING was not sent/);
    assert.equal(broken.length, 1);
    other.destroy();
  });
});

describe('with other servers', () => {
  /** A server that does `talk` with each who connects. */
  async function listening(name: string, talk: (socket: Socket) => void): Promise<{ path: string; close(): void }> {
    const path = join(folder, name);
    const server = createServer(talk).listen(path);
    await once(server, 'listening');
    return { path, close: () => server.close() };
  }

  test('an answer cut anywhere is put together', async () => {
    const text = '+OK\r\n$3\r\na\r\n\r\n:12\r\n$-1\r\n';
    const server = await listening('cut', (socket) => {
      socket.once('data', () => {
        void (async () => {
          for (const octet of text) {
            socket.write(octet);
            await delay(1);
          }
        })();
      });
    });
    const client = await RespClient.connect(server.path, never);
    assert.deepEqual(await Promise.all(['A', 'B', 'C', 'D'].map((c) => client.send(c))), ['OK', 'a\r\n', 12, null]);
    client.destroy();
    server.close();
  });

  for (const [name, text, said] of [
    ['http', 'HTTP/1.1 400 Bad Request\r\n', /no answer of Redis/],
    ['length', '$x\r\n', /not a number/],
    ['more', '+OK\r\n+OK\r\n', /what was not asked/],
  ] as const) {
    test(`nonsense ends the connection: ${name}`, async () => {
      const server = await listening(name, (socket) => void socket.once('data', () => socket.write(text)));
      const told = new Promise<Error>((resolve) => {
        void RespClient.connect(server.path, resolve).then((client) => client.send('PING').catch(() => undefined));
      });
      assert.match((await told).message, said);
      server.close();
    });
  }

  test('nobody there', async () => {
    await assert.rejects(RespClient.connect(join(folder, 'none'), never), { code: 'ENOENT' });
  });
});
