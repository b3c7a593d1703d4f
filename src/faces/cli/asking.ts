/** What commands that speak to a machine have in common: what they print, and what they tell of a failure. */
import { writeOut } from '../../adapters/node/write-out.js';
import type { Interruption } from './interruption.js';

/** Whoever reads standard output. */
export class Reader {
  readonly #gone = new AbortController();
  #printed: Promise<unknown> = Promise.resolve();

  constructor() {
    // It may go at any later moment too: the listener stays.
    process.stdout.on('error', () => this.#gone.abort());
  }

  /** Aborted when it has gone. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Prints no more at a time than it takes: the pieces wait for each other. */
  readonly print = (piece: string | Uint8Array): void => {
    this.#printed = this.#printed.then(() => writeOut(process.stdout, piece));
  };

  /** Resolves when all is printed, or nobody reads it any more; rejects where it cannot be written, as on a full disk. */
  async printed(): Promise<void> {
    await this.#printed;
    const failure: NodeJS.ErrnoException | null = process.stdout.errored;
    if (failure !== null && failure.code !== 'EPIPE')
      throw Object.assign(new Error(`standard output: ${failure.message}`), { code: failure.code ?? 'failed' });
  }
}

/** Does what a command is for. Where `json` is wanted, a failure is printed as an object too; of an interruption only the status is told. */
export async function telling(json: boolean, interruption: Interruption, work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (interruption.status !== undefined) return interruption.status;
    if (json && error instanceof Error && 'code' in error) {
      const { message } = error;
      process.stdout.write(`${JSON.stringify({ error: { code: String(error.code), message } })}\n`);
    }
    throw error;
  }
}
