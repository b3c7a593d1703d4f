/** One connection to a service that never mends itself: what breaks must be seen to break. */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const PATIENCE = 60_000;

export class Connection {
  readonly broken: string[] = [];
  #got: Buffer = Buffer.alloc(0);
  #notice: () => void = () => undefined;
  #closing = false;

  private constructor(readonly socket: Socket) {
    socket.on('data', (bytes) => {
      this.#got = Buffer.concat([this.#got, bytes]);
      this.#notice();
    });
    socket.on('error', (error) => this.broken.push(error.message));
    socket.on('close', () => {
      if (!this.#closing) this.broken.push('the connection was closed');
      this.#notice();
    });
  }

  /** As soon as somebody answers. */
  static async soon(port: number): Promise<Connection> {
    for (const end = performance.now() + PATIENCE; ; await sleep(100)) {
      const socket = await new Promise<Socket | undefined>((resolve) => {
        const trying = connect({ host: '127.0.0.1', port, noDelay: true });
        trying.once('connect', () => resolve(trying)).once('error', () => resolve(undefined));
      });
      // A forward takes connections before anybody listens behind it: those are closed at once.
      if (socket !== undefined) {
        const stays = await Promise.race([
          sleep(300).then(() => true),
          new Promise<boolean>((resolve) =>
            socket.once('close', () => resolve(false)).once('error', () => resolve(false)),
          ),
        ]);
        if (stays) return new Connection(socket);
        socket.destroy();
      }
      if (performance.now() > end) throw new Error(`nobody answers at port ${port}`);
    }
  }

  send(data: string | Uint8Array): void {
    this.socket.write(data);
  }

  /** Waits until `enough` finds its end in what has come; answers that, and forgets it. */
  async take(enough: (got: Buffer) => number | undefined): Promise<Buffer> {
    for (const end = performance.now() + PATIENCE; ;) {
      const length = enough(this.#got);
      if (length !== undefined) {
        const taken = this.#got.subarray(0, length);
        this.#got = this.#got.subarray(length);
        return taken;
      }
      if (this.broken.length > 0) throw new Error(this.broken[0]);
      if (performance.now() > end) throw new Error(`no answer after ${this.#got.length} bytes`);
      await Promise.race([new Promise<void>((resolve) => (this.#notice = resolve)), sleep(1000)]);
    }
  }

  async until(text: string): Promise<string> {
    const taken = await this.take((got) => {
      const at = got.indexOf(text);
      return at < 0 ? undefined : at + text.length;
    });
    return taken.toString();
  }

  close(): void {
    this.#closing = true;
    this.socket.destroy();
  }
}

/** Does something again and again until it is told to stop; what it throws ends it, and is told. */
export function repeat(
  what: string,
  turn: (n: number) => Promise<void>,
): { stop(): Promise<string[]>; turns(): number } {
  let stopped = false;
  let n = 0;
  const done = (async (): Promise<string[]> => {
    for (; !stopped; n++) {
      try {
        await turn(n);
      } catch (error) {
        return [`${what}, turn ${n}: ${error instanceof Error ? error.message : String(error)}`];
      }
    }
    return n === 0 ? [`${what}: not even once`] : [];
  })();
  return {
    stop: () => {
      stopped = true;
      return done;
    },
    turns: () => n,
  };
}
