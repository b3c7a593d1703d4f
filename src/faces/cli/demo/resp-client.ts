/**
 * A Redis client of one connection, as much as the demonstration needs of RESP2 (the protocol's name for itself):
 * commands are arrays of bulk strings, replies are statuses, errors, integers and bulk strings. It never reconnects,
 * because what breaks must be seen to break.
 *
 *     *2\r\n $3\r\nGET\r\n $3\r\nkey\r\n   ──►
 *                                        ◄──   $5\r\nvalue\r\n   or   $-1\r\n   or   -ERR text\r\n
 *
 * Strings are latin1: a character is an octet.
 */
import { connect as connectSocket, type Socket } from 'node:net';

export type Reply = string | number | null;

interface Waiting {
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

/** What Redis itself answered with an error (`-ERR ...`). The connection goes on. */
export class RedisReplyError extends Error {
  override readonly name = 'RedisReplyError';
}

const CR = 13;

export class RespClient {
  /** In the order of their commands: Redis answers in that order. */
  readonly #waiting: Waiting[] = [];
  #unread: Buffer = Buffer.alloc(0);
  #open = true;

  private constructor(
    private readonly socket: Socket,
    onBroken: (error: Error) => void,
  ) {
    socket.on('data', (piece: Buffer) => {
      try {
        this.#read(piece);
      } catch (error) {
        socket.destroy(error instanceof Error ? error : new Error(String(error)));
      }
    });
    let failure: Error | undefined;
    socket.on('error', (error) => (failure = error));
    socket.on('close', () => {
      const broken = this.#open;
      this.#end(failure ?? new Error('the connection to Redis was closed by the other side'));
      if (broken) onBroken(failure ?? new Error('the connection to Redis was closed by the other side'));
    });
  }

  /**
   * Connects to a port of 127.0.0.1, or to a UNIX socket. Rejects when nobody listens there.
   * `onBroken` is told when the connection ends before {@link destroy}.
   */
  static connect(to: number | string, onBroken: (error: Error) => void): Promise<RespClient> {
    const where = typeof to === 'number' ? { host: '127.0.0.1', port: to } : { path: to };
    return new Promise((resolve, reject) => {
      const socket = connectSocket({ ...where, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new RespClient(socket, onBroken));
      });
    });
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** One command. Rejects with {@link RedisReplyError} for an error of Redis, with another error when the connection ends. */
  send(...command: readonly string[]): Promise<Reply> {
    if (!this.#open) return Promise.reject(new Error(`the connection to Redis is closed: ${command[0]} was not sent`));
    const text = command.map((word) => `$${word.length}\r\n${word}\r\n`).join('');
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.socket.write(`*${command.length}\r\n${text}`, 'latin1');
    });
  }

  /** Hangs up; what was not answered is rejected. */
  destroy(): void {
    this.#end(new Error('the connection to Redis was closed'));
    this.socket.destroy();
  }

  #end(error: Error): void {
    this.#open = false;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #read(piece: Buffer): void {
    const data = this.#unread.length === 0 ? piece : Buffer.concat([this.#unread, piece]);
    let at = 0;
    for (;;) {
      const lineEnd = data.indexOf(CR, at);
      // The line feed must be there too.
      if (lineEnd < 0 || lineEnd + 2 > data.length) break;
      const kind = String.fromCharCode(data[at]);
      const line = data.toString('latin1', at + 1, lineEnd);
      let next = lineEnd + 2;
      if (kind === '$' && line !== '-1') {
        const length = wholeNumber(line);
        if (next + length + 2 > data.length) break;
        this.#answer(data.toString('latin1', next, next + length));
        next += length + 2;
      } else if (kind === '-') {
        this.#fail(new RedisReplyError(`Redis: ${line}`));
      } else if (kind === ':') {
        this.#answer(wholeNumber(line));
      } else if (kind === '+' || kind === '$') {
        this.#answer(kind === '+' ? line : null);
      } else {
        throw new Error(`this is no answer of Redis to what was asked: ${JSON.stringify(kind + line)}`);
      }
      at = next;
    }
    this.#unread = data.subarray(at);
  }

  #answer(reply: Reply): void {
    this.#next().resolve(reply);
  }

  #fail(error: Error): void {
    this.#next().reject(error);
  }

  #next(): Waiting {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) throw new Error('Redis answered what was not asked');
    return waiting;
  }
}

function wholeNumber(text: string): number {
  if (!/^-?\d{1,15}$/.test(text)) throw new Error(`not a number of Redis: ${JSON.stringify(text)}`);
  return Number(text);
}
