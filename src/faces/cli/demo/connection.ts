/** Connections of the demonstration. None of them mends what breaks: a connection that breaks is what is looked for. */
import { RespClient, type Reply } from './resp-client.js';

/** The commands of the demonstration. */
export class RedisConnection {
  private constructor(private readonly client: RespClient) {}

  /** Connects to a port of 127.0.0.1. `onBroken` is told when the connection breaks before it is closed by us. */
  static async connect(port: number, onBroken: (error: Error) => void): Promise<RedisConnection> {
    return new RedisConnection(await RespClient.connect(port, onBroken));
  }

  get isOpen(): boolean {
    return this.client.isOpen;
  }

  ping(): Promise<Reply> {
    return this.client.send('PING');
  }

  /** `OK` when it is set. */
  set(key: string, value: string): Promise<Reply> {
    return this.client.send('SET', key, value);
  }

  /** The value, or null when there is none. */
  get(key: string): Promise<Reply> {
    return this.client.send('GET', key);
  }

  /** Counts; the answer is the new value. */
  async incr(key: string): Promise<number> {
    return Number(await this.client.send('INCR', key));
  }

  async info(section: string): Promise<string> {
    return String(await this.client.send('INFO', section));
  }

  destroy(): void {
    this.client.destroy();
  }
}

/** Connects as soon as somebody answers. Rejects with the last failure when nobody does in time (ms). */
export async function connectSoon(
  port: number,
  onBroken: (error: Error) => void,
  timeout = 60_000,
): Promise<RedisConnection> {
  const end = performance.now() + timeout;
  for (;;) {
    // Before Redis listens, the gateway may open a connection and close it again: that is not what is counted.
    let answered = false;
    try {
      const client = await RedisConnection.connect(port, (error) => {
        if (answered) onBroken(error);
      });
      await client.ping();
      answered = true;
      return client;
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
