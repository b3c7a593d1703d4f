/** A client that never lets go of its server. */
import type { RedisConnection } from './redis.js';

export const COUNTER = 'steady';

/** Counts up in the server all the time, one command after the other: each must be carried out exactly once. */
export class SteadyClient {
  answered = 0;
  fault: string | undefined;
  #stopped = false;
  readonly #work: Promise<void>;

  constructor(private readonly redis: RedisConnection) {
    this.#work = this.#count().catch((e: unknown) => {
      this.fault ??= String(e);
    });
  }

  async #count(): Promise<void> {
    while (!this.#stopped) {
      const n = await this.redis.incr(COUNTER);
      this.answered++;
      if (n !== this.answered) this.fault ??= `the server says ${n} to command ${this.answered}`;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#work;
  }
}
