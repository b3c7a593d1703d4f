/** The host's end of the network cases: what a connection is for is its first byte (programs/io.c). */
import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';

/** What is sent down, again and again. */
export const STREAM = new Uint8Array(256 * 1024).map((_, i) => (i * 7 + (i >> 8)) & 0xff);

export class BenchServer {
  private constructor(
    readonly server: Server,
    readonly port: number,
  ) {}

  static async listen(): Promise<BenchServer> {
    const server = createServer({ noDelay: true }, serve);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the server has no port');
    return new BenchServer(server, address.port);
  }

  close(): void {
    this.server.close();
  }
}

function serve(socket: Socket): void {
  // A guest that has measured enough resets its connection.
  socket.on('error', () => socket.destroy());
  socket.once('data', (first: Buffer) => {
    const rest = first.subarray(1);
    switch (String.fromCharCode(first[0])) {
      case 'd':
        return sendDown(socket);
      case 'u':
        return countUp(socket, rest.length);
      case 'r':
        if (rest.length > 0) socket.write(rest);
        socket.on('data', (bytes: Buffer) => socket.write(bytes));
        return;
      default:
        socket.end('c');
    }
  });
}

function sendDown(socket: Socket): void {
  const send = (): void => {
    while (!socket.destroyed && socket.write(STREAM));
  };
  socket.on('drain', send).on('end', () => socket.destroy());
  socket.resume();
  send();
}

/** At the end says how many bytes came, as 8 bytes, little-endian. */
function countUp(socket: Socket, already: number): void {
  let bytes = already;
  socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
  socket.on('end', () => {
    const answer = Buffer.alloc(8);
    answer.writeBigUInt64LE(BigInt(bytes));
    socket.end(answer);
  });
}
