/** The terminal this process runs in, or what stands in its place: a pipe, a file. */
import type { ReadStream, WriteStream } from 'node:tty';
import { writeOut } from './write-out.js';

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

export class Terminal {
  #raw = false;
  /** Errors of the streams are ignored from now on. */
  #deaf = false;
  readonly #undo: (() => void)[] = [];

  constructor(
    private readonly input: ReadStream = process.stdin,
    private readonly output: WriteStream = process.stdout,
  ) {}

  /** Somebody sits there. */
  get interactive(): boolean {
    return this.input.isTTY;
  }

  /** Undefined when there is no terminal. */
  get size(): TerminalSize | undefined {
    const { columns, rows } = this.output;
    return this.output.isTTY && columns > 0 && rows > 0 ? { columns, rows } : undefined;
  }

  /** A promise while whoever reads has no room for more. */
  write(data: string | Uint8Array): Promise<void> | undefined {
    return writeOut(this.output, data);
  }

  /**
   * Passes on what is typed, each key at once and unchanged where there is a terminal. `onEnd`: the input is at
   * its end (a pipe or file). Waits with more while a promise of `onData` is open.
   */
  attach(
    onData: (bytes: Uint8Array) => Promise<void>,
    onEnd: () => void,
    onResize: (size: TerminalSize) => void,
  ): void {
    const { input, output } = this;
    const data = (bytes: Uint8Array): void => {
      input.pause();
      const go = (): void => {
        if (this.#undo.length > 0) input.resume();
      };
      onData(bytes).then(go, go);
    };
    const resize = (): void => {
      if (this.size !== undefined) onResize(this.size);
    };
    if (input.isTTY) {
      input.setRawMode(true);
      this.#raw = true;
    }
    input.on('data', data).on('end', onEnd);
    // It was at its end before somebody listened.
    if (input.readableEnded) onEnd();
    // Paused by hand before, it does not begin to flow by itself.
    input.resume();
    output.on('resize', resize);
    // A terminal that goes away must not end us with an exception before we have cleaned up.
    if (!this.#deaf) for (const stream of [input, output]) stream.on('error', () => undefined);
    this.#deaf = true;
    this.#undo.push(() => {
      input.off('data', data).off('end', onEnd);
      output.off('resize', resize);
      input.pause();
    });
  }

  /** Gives the terminal back as it was. */
  release(): void {
    for (const undo of this.#undo.splice(0)) undo();
    if (this.#raw) this.input.setRawMode(false);
    this.#raw = false;
  }
}
