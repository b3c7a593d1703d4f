/** Clients of a Redis in a guest: the usual library as it is, but it must not mend what breaks. */
import { createClient } from 'redis';

export type RedisConnection = ReturnType<typeof connection>;

function connection(port: number) {
  return createClient({
    socket: { host: '127.0.0.1', port, reconnectStrategy: false },
    disableOfflineQueue: true,
    RESP: 2,
  });
}

/** Connects. `onBroken` is told when the connection breaks before it is closed by us. */
async function connect(port: number, onBroken: (error: Error) => void): Promise<RedisConnection> {
  const client = connection(port);
  client.on('error', onBroken);
  await client.connect();
  return client;
}

/** Connects as soon as somebody answers. Rejects with the last failure when nobody does in time. */
export async function connectSoon(
  port: number,
  onBroken: (error: Error) => void,
  timeout = 60_000,
): Promise<RedisConnection> {
  const end = performance.now() + timeout;
  for (;;) {
    try {
      const client = await connect(port, () => undefined);
      await client.ping();
      client.removeAllListeners('error');
      client.on('error', onBroken);
      return client;
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
