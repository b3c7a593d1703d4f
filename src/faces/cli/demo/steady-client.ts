/**
 * The client that must notice nothing: one connection, a command every few milliseconds, whether or not the one before
 * was answered. The command counts, so the answers tell what was lost or done twice.
 */
import { RedisConnection } from './connection.js';

const KEY = 'steady';

/** The longest time between two replies, and when it began. */
export interface Gap {
  readonly ms: number;
  readonly from: number;
}

export class SteadyClient {
  /** When each reply came (ms of `performance.now()`). */
  readonly replies: number[] = [];
  sent = 0;
  /** Replies that were not the number after the one before: something was lost, doubled or out of order. */
  wrong = 0;
  broken = 0;
  lastError: Error | undefined;
  #client: RedisConnection | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #expected = 0;
  readonly #pending = new Set<Promise<void>>();

  get answered(): number {
    return this.replies.length;
  }

  /** Connects and begins. */
  async start(port: number, every: number): Promise<void> {
    const client = await RedisConnection.connect(port, (error) => this.#break(error));
    this.#client = client;
    await client.set(KEY, '0');
    this.#timer = setInterval(() => this.#send(client), every);
  }

  /** Sends no more, and waits until everything is answered or cannot be any more, at most `timeout` milliseconds. */
  async finish(timeout = 10_000): Promise<void> {
    clearInterval(this.#timer);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeout);
    });
    await Promise.race([Promise.all(this.#pending), late]);
    clearTimeout(timer);
  }

  /** Hangs up. */
  close(): void {
    clearInterval(this.#timer);
    const client = this.#client;
    this.#client = undefined;
    if (client?.isOpen === true) client.destroy();
  }

  /** The longest time between two replies one of which came between `from` and `to`. */
  longestGap(from = -Infinity, to = Infinity): Gap {
    let longest: Gap = { ms: 0, from: 0 };
    for (let i = 1; i < this.replies.length; i++) {
      const [before, after] = [this.replies[i - 1], this.replies[i]];
      if (after >= from && before <= to && after - before > longest.ms) longest = { ms: after - before, from: before };
    }
    return longest;
  }

  /** Times between replies while nothing moves, sorted: what a client is used to. */
  usualGaps(from: number, to: number): number[] {
    const times = this.replies.filter((t) => t >= from && t <= to);
    return times
      .slice(1)
      .map((t, i) => t - times[i])
      .sort((a, b) => a - b);
  }

  #send(client: RedisConnection): void {
    if (!client.isOpen) return;
    this.sent++;
    const reply = client.incr(KEY).then(
      (n) => {
        this.replies.push(performance.now());
        if (n !== ++this.#expected) this.wrong++;
        this.#expected = n;
      },
      (error: unknown) => {
        this.lastError = error instanceof Error ? error : new Error(String(error));
      },
    );
    this.#pending.add(reply);
    void reply.then(() => this.#pending.delete(reply));
  }

  #break(error: Error): void {
    if (this.#client === undefined) return;
    this.broken++;
    this.lastError = error;
  }
}
