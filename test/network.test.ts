/** The gateway between a guest peer and real sockets of this host, over loopback only. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { test } from 'node:test';
import { nodeClock } from '../src/adapters/node/sockets.js';
import { NetError, parseMac } from '../src/net/index.js';
import { concat, Peer, Recorder, Sink } from '../src/net/testing/peer.js';
import { dial, MAC, network, serve, text, until } from './testing/gateway.js';

test('a guest reaches a server of the host, and both ends close in order', async (t) => {
  const { guest, gateway } = network(t);
  const port = await serve(t, (socket) => socket.pipe(socket));
  const sink = new Recorder();
  dial(guest, '10.0.2.2', port, sink);
  sink.connection?.send(text('over and back'));
  sink.connection?.close();
  await until('the guest is done', () => sink.isClosed || sink.connection?.tcb.timeWaitAt !== Infinity);
  assert.equal(sink.text, 'over and back');
  assert.ok(sink.ended);
  await until('the gateway has forgotten it', () => gateway.status().tcpConnections === 0);
});

test('100 MB both ways through the gateway, checksummed', async (t) => {
  const { guest } = network(t);
  const size = 100_000_000;
  const port = await serve(t, (socket) => socket.pipe(socket));
  const sink = new Sink();
  const there = createHash('sha256');
  const back = createHash('sha256');
  sink.onData = (chunk) => back.update(chunk);
  dial(guest, '10.0.2.2', port, sink);
  let sent = 0;
  const pump = () => {
    while (sent < size) {
      const chunk = new Uint8Array(Math.min(50_000, size - sent));
      new DataView(chunk.buffer).setFloat64(0, Math.random());
      sent += chunk.length;
      there.update(chunk);
      if (sink.connection?.send(chunk) === false) return;
    }
    sink.connection?.close();
  };
  sink.onWritable = pump;
  pump();
  await until('the echo is complete', () => sink.ended, 60_000);
  assert.equal(sink.bytes, size);
  assert.equal(back.digest('hex'), there.digest('hex'));
});

test('a refused connection is refused in the guest', async (t) => {
  const { guest } = network(t);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  const sink = dial(guest, '10.0.2.2', port, new Sink());
  await until('it is closed', () => sink.isClosed);
  assert.equal(sink.fault, 'refused');
});

test('what policy forbids is refused: loopback, other networks, a policy of the user', async (t) => {
  const asked: string[] = [];
  const { guest } = network(t, {
    allow: (target) => {
      asked.push(`${target.protocol} ${target.address}:${target.port} ${target.guest}`);
      return false;
    },
  });
  for (const address of ['127.0.0.1', '224.0.0.1', '0.1.2.3', '198.51.100.7']) {
    const sink = dial(guest, address, 80, new Sink());
    await until('it is closed', () => sink.isClosed);
    assert.equal(sink.fault, 'refused', address);
  }
  assert.deepEqual(asked, ['tcp 198.51.100.7:80 10.0.2.15']);
});

test('a guest that is not allowed to reach the host does not', async (t) => {
  const { guest } = network(t, { hostAccess: false });
  let reached = false;
  const port = await serve(t, () => (reached = true));
  const sink = dial(guest, '10.0.2.2', port, new Sink());
  await until('it is closed', () => sink.isClosed);
  assert.equal(reached, false);
});

test('a reset travels both ways', async (t) => {
  const { guest } = network(t);
  let faults = 0;
  let server: Socket | undefined;
  const port = await serve(t, (socket) => {
    server = socket;
    socket.on('error', () => faults++);
  });
  const first = dial(guest, '10.0.2.2', port, new Sink());
  await until('it is open', () => first.isConnected && server !== undefined);
  server?.resetAndDestroy();
  await until('the guest sees the reset', () => first.isClosed);
  assert.equal(first.fault, 'reset');
  server = undefined;
  const second = dial(guest, '10.0.2.2', port, new Sink());
  await until('it is open', () => second.isConnected && server !== undefined);
  second.connection?.abort();
  await until('the server sees the reset', () => faults === 1);
});

test('a half-closed connection goes on in the other direction', async (t) => {
  const { guest } = network(t);
  const port = await serve(t, (socket) => {
    socket.resume();
    socket.on('end', () => setTimeout(() => socket.end('after your end'), 30));
  });
  const sink = new Recorder();
  dial(guest, '10.0.2.2', port, sink);
  sink.connection?.close();
  await until('the guest has the answer', () => sink.ended);
  assert.equal(sink.text, 'after your end');
});

test('a host that does not read stops the guest, and no memory grows without bound', async (t) => {
  const { guest } = network(t);
  let server: Socket | undefined;
  const port = await serve(t, (socket) => {
    socket.pause();
    server = socket;
  });
  const sink = dial(guest, '10.0.2.2', port, new Sink());
  await until('it is open', () => sink.isConnected && server !== undefined);
  const size = 40_000_000;
  const big = new Uint8Array(size);
  sink.connection?.send(big);
  sink.connection?.close();
  await new Promise((resolve) => setTimeout(resolve, 300));
  const taken = size - (sink.connection?.queued ?? 0);
  assert.ok(taken < 20_000_000, `${taken} bytes were taken from a guest whose peer reads nothing`);
  let read = 0;
  server?.on('data', (chunk) => (read += chunk.length));
  server?.resume();
  await until('all is read', () => read === size);
});

test('a guest that does not read stops the host', async (t) => {
  const { guest, gateway } = network(t);
  let written = 0;
  const port = await serve(t, (socket) => {
    const pump = () => {
      while (socket.write(new Uint8Array(65536), () => (written += 65536)));
      socket.once('drain', pump);
    };
    pump();
  });
  const sink = new Sink();
  // No connection to report consumption to: the window shuts.
  const connection = guest.connect('10.0.2.2', port, sink);
  // The last bytes of a window are not offered when they are less than a segment (silly window avoidance).
  const nearly = 1024 * 1024 - 1460;
  await until('the window is full', () => sink.bytes > nearly);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const before = written;
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(written, before, 'the host was still being read');
  assert.ok(sink.bytes <= 1024 * 1024);
  connection.consumed(512 * 1024);
  await until('the flow goes on', () => sink.bytes > nearly + 512 * 1024);
  assert.equal(gateway.status().tcpConnections, 1);
});

test('a forwarded port leads to a guest, with the gateway as the client', async (t) => {
  const { guest, gateway } = network(t);
  const clients: number[] = [];
  guest.listen(6379, (connection) => {
    clients.push(connection.tcb.ends.remoteAddress);
    const sink = new Sink();
    sink.connection = connection;
    sink.onData = (chunk) => connection.send(chunk.slice());
    sink.end = () => connection.close();
    return sink;
  });
  const forward = await gateway.forward({ guest: '10.0.2.15', guestPort: 6379 });
  const socket = connect(forward.port, '127.0.0.1');
  const received: Uint8Array[] = [];
  socket.on('data', (chunk) => received.push(chunk));
  socket.end('PING\r\n');
  await once(socket, 'close');
  assert.equal(new TextDecoder().decode(concat(received)), 'PING\r\n');
  assert.deepEqual(clients, [0x0a000202]);
  await forward.close();
  const refused = connect(forward.port, '127.0.0.1');
  const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNREFUSED');
});

test('a forwarded port whose guest refuses resets the client', async (t) => {
  const { gateway } = network(t);
  const forward = await gateway.forward({ guest: '10.0.2.15', guestPort: 1 });
  const socket = connect(forward.port, '127.0.0.1');
  let code: string | undefined;
  socket.on('error', (error: NodeJS.ErrnoException) => (code = error.code));
  await until('the client is reset', () => socket.closed);
  assert.equal(code, 'ECONNRESET');
  await until('the gateway has forgotten it', () => gateway.status().tcpConnections === 0);
});

test('a port that is taken is an error that says what to do', async (t) => {
  const { gateway } = network(t);
  const port = await serve(t, () => undefined);
  await assert.rejects(
    gateway.forward({ port, guest: '10.0.2.15', guestPort: 80 }),
    (error) => error instanceof NetError && error.code === 'PORT_IN_USE' && error.message.includes(`${port}`),
  );
  await assert.rejects(
    gateway.forward({ host: '192.0.2.1', guest: '10.0.2.15', guestPort: 80 }),
    (error) => error instanceof NetError && error.code === 'NO_SUCH_ADDRESS',
  );
  await assert.rejects(
    gateway.forward({ guest: '10.9.9.9', guestPort: 80 }),
    (error) => error instanceof NetError && error.code === 'BAD_CONFIG',
  );
});

test('a guest moves to another port in the middle of a conversation', async (t) => {
  const { guest, gateway, sw, port } = network(t);
  const second = sw.attach({ name: 'second' });
  guest.listen(6379, (connection) => {
    const sink = new Sink();
    sink.connection = connection;
    sink.onData = (chunk) => connection.send(chunk.slice());
    sink.end = () => connection.close();
    return sink;
  });
  const forward = await gateway.forward({ guest: '10.0.2.15', guestPort: 6379 });
  const socket = connect(forward.port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.setNoDelay(true);
  let answered = '';
  let sent = '';
  let last = Date.now();
  let longest = 0;
  socket.on('data', (chunk) => {
    answered += chunk.toString('latin1');
    longest = Math.max(longest, Date.now() - last);
    last = Date.now();
  });
  const timer = setInterval(() => {
    const word = `${sent.length};`;
    sent += word;
    socket.write(word);
  }, 2);
  t.after(() => clearInterval(timer));
  await until('the conversation runs', () => answered.length > 50);
  for (const [from, to] of [
    [port, second],
    [second, port],
  ]) {
    const gate = sw.hold({ mac: parseMac(MAC) });
    // From here on the guest is nowhere: its frames of this time are lost.
    from.onFrame = () => true;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const released = Date.now();
    guest.link.move(to);
    gate.release(to);
    longest = 0;
    await until('it goes on', () => last > released);
    assert.ok(longest < 1500 + 150, `the client waited ${longest} ms for a pause of 1500 ms`);
  }
  clearInterval(timer);
  await until('every word was answered', () => answered.length === sent.length);
  assert.equal(answered, sent);
});

/** Sends `size` bytes to an echo and checks what comes back; gives a function that tells when all is there. */
function echoBulk(sink: Sink, size: number): () => boolean {
  const there = createHash('sha256');
  const back = createHash('sha256');
  sink.onData = (chunk) => back.update(chunk);
  let sent = 0;
  const pump = () => {
    while (sent < size) {
      const chunk = new Uint8Array(Math.min(30_000, size - sent));
      new DataView(chunk.buffer).setFloat64(0, Math.random());
      sent += chunk.length;
      there.update(chunk);
      if (sink.connection?.send(chunk) === false) return;
    }
    sink.connection?.close();
  };
  sink.onWritable = pump;
  pump();
  return () => {
    if (!sink.ended) return false;
    assert.equal(sink.bytes, size);
    assert.equal(back.digest('hex'), there.digest('hex'));
    return true;
  };
}

test('a guest moves again and again in the middle of a large transfer', async (t) => {
  const { guest, sw, port } = network(t);
  const homes = [sw.attach({ name: 'second' }), port];
  const server = await serve(t, (socket) => socket.pipe(socket));
  const sink = dial(guest, '10.0.2.2', server, new Sink());
  const size = 150_000_000;
  const done = echoBulk(sink, size);
  for (let hop = 0; hop < 6; hop++) {
    await until('more has come', () => sink.bytes > (hop + 1) * 15_000_000);
    const gate = sw.hold({ mac: parseMac(MAC) });
    homes[(hop + 1) % 2].onFrame = () => true;
    await new Promise((resolve) => setTimeout(resolve, 50));
    const before = sink.bytes;
    guest.link.move(homes[hop % 2]);
    gate.release(homes[hop % 2]);
    await until('it goes on', () => sink.bytes > before, 1000);
  }
  await until('the echo is complete', done, 60_000);
});

test('a guest with few buffers gets everything, and nothing overflows', async (t) => {
  const { guest, port } = network(t);
  const server = await serve(t, (socket) => socket.pipe(socket));
  // A ring of 16 buffers that the guest empties now and then.
  const ring: Uint8Array[] = [];
  const inner = port.onFrame;
  let told = 0;
  port.onFrame = (frame) => {
    if (ring.length === 16) {
      told++;
      return false;
    }
    ring.push(frame);
    return true;
  };
  const timer = setInterval(() => {
    for (let i = 0; i < 40; i++) {
      for (const frame of ring.splice(0)) inner?.(frame);
      port.ready();
    }
  }, 1);
  t.after(() => clearInterval(timer));
  const sink = dial(guest, '10.0.2.2', server, new Sink());
  await until('it is open', () => sink.isConnected);
  await until('the echo is complete', echoBulk(sink, 20_000_000), 60_000);
  assert.ok(told > 100);
  assert.equal(port.counters.overflowed, 0);
});

test('a guest that takes no frames at all does not stop the others', async (t) => {
  const { guest, gateway, sw } = network(t);
  const dead = sw.attach({ name: 'dead' });
  const peer = new Peer({ port: dead, clock: nodeClock(), ip: '10.0.2.16', mac: '52:54:00:00:00:02' });
  const flood = await serve(t, (socket) => {
    const pump = () => {
      while (socket.write(new Uint8Array(65536)));
      socket.once('drain', pump);
    };
    pump();
  });
  for (let i = 0; i < 20; i++) {
    const sink = dial(peer, '10.0.2.2', flood, new Sink());
    await until('it is open', () => sink.isConnected);
  }
  dead.onFrame = () => false;
  await new Promise((resolve) => setTimeout(resolve, 100));
  const echo = await serve(t, (socket) => socket.pipe(socket));
  const sink = dial(guest, '10.0.2.2', echo, new Sink());
  await until('the echo is complete', echoBulk(sink, 5_000_000));
  assert.equal(gateway.status().tcpConnections >= 20, true);
});
