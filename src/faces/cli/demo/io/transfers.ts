/**
 * The other end of the guest's network card: it posts some data again and again, and gets other data as the answer each
 * time; both ends say what sum they found. Each transfer has a number and is asked for once.
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

/** Bytes of an answer. */
const ANSWER = 2 * 2 ** 20;

export class Transfers {
  /** Transfers that both ends found right. */
  good = 0;
  /** Sums that were not what they should be. */
  differing = 0;
  /** Numbers that were asked for more than once, or confirmed more than once. */
  doubled = 0;
  /** Bytes that arrived at either end. */
  bytes = 0;
  readonly #server: Server;
  readonly #answer = randomBytes(ANSWER);
  /** Sums of answers that the guest has not confirmed yet, by number. */
  readonly #open = new Map<number, string>();
  #next = 0;
  #up = '';
  #stopped = false;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch(() => response.destroy());
    });
  }

  static async listen(): Promise<Transfers> {
    const transfers = new Transfers();
    transfers.#server.listen(0, '127.0.0.1');
    await once(transfers.#server, 'listening');
    return transfers;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new TypeError('the server listens');
    return address.port;
  }

  /** Transfers that were begun and not confirmed. */
  get lost(): number {
    return this.#open.size;
  }

  /** The guest says what the sum of its own data is. */
  expect(up: string): void {
    this.#up = up;
  }

  /** The guest says what it got in a transfer. */
  confirm(number: number, sum: string): void {
    const wanted = this.#open.get(number);
    if (wanted === undefined) {
      this.doubled++;
      return;
    }
    this.#open.delete(number);
    this.bytes += ANSWER;
    if (wanted === sum) this.good++;
    else this.differing++;
  }

  /** From now on answers are empty, by which the guest knows that it has done enough. */
  stop(): void {
    this.#stopped = true;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const hash = createHash('md5');
    for await (const chunk of request as AsyncIterable<Buffer>) {
      hash.update(chunk);
      this.bytes += chunk.length;
    }
    if (this.#stopped) {
      response.end();
      return;
    }
    if (hash.digest('hex') !== this.#up) this.differing++;
    const number = Number(request.url?.slice(1));
    if (number !== this.#next) this.doubled++;
    this.#next = number + 1;
    // No answer is the same as another.
    this.#answer.writeUInt32LE(number, (number * 4096) % ANSWER);
    const answer = Buffer.from(this.#answer);
    this.#open.set(number, createHash('md5').update(answer).digest('hex'));
    response.end(answer);
  }
}
