/** What the demonstration says while it works: to standard error, each line with the seconds since its beginning. */
import { progressPrinter } from '../progress.js';

export class Telling {
  readonly #printer;
  readonly #start = performance.now();
  #last = 0;

  constructor(private readonly stream: NodeJS.WriteStream = process.stderr) {
    this.#printer = progressPrinter(stream);
  }

  /** One line that stays. */
  say(text: string): void {
    this.#printer.end();
    this.stream.write(`\r${this.stream.isTTY ? '\x1b[K' : ''}${this.#stamp()} ${text}\n`);
  }

  /** How far something is that takes its time; on a terminal the line is rewritten. */
  progress(text: string, done: number, of: number): void {
    const now = performance.now();
    const last = done === of;
    // A log wants a line now and then, a terminal one that moves.
    if (!last && now - this.#last < (this.stream.isTTY ? 100 : 5000)) return;
    this.#last = now;
    const message = `${this.#stamp()} ${text}: ${Math.floor((100 * done) / of)} %`;
    this.#printer.report({ step: 'verify', message, fraction: done / of });
  }

  end(): void {
    this.#printer.end();
  }

  #stamp(): string {
    return `[${((performance.now() - this.#start) / 1000).toFixed(1).padStart(6)} s]`;
  }
}
