/** Standard input of this process, or its terminal, goes to a domain of a machine; no more at a time than that takes. */
import { Terminal, type TerminalSize } from '../../../adapters/node/terminal.js';
import { INPUT_WINDOW, type Message } from '../control/protocol.js';

/** Bytes of one message. */
const PIECE = 64 * 1024;

export class Keyboard {
  #say: (message: Message) => void = () => undefined;
  /** Bytes that are on their way. */
  #sent = 0;
  #room: () => void = () => undefined;
  #closed = false;
  #release: () => void = () => undefined;
  #pending: Promise<void> = Promise.resolve();

  /** `terminal`: each key is passed on at once and unchanged, and the size of the window; undefined: standard input. */
  constructor(
    private readonly terminal: Terminal | undefined,
    private readonly input: NodeJS.ReadStream = process.stdin,
  ) {}

  connect(say: (message: Message) => void): void {
    this.#say = say;
  }

  /** The program runs: it may read. */
  start(): void {
    if (this.#closed) return;
    const { terminal } = this;
    if (terminal === undefined) {
      this.#readInput();
      return;
    }
    this.#release = () => terminal.release();
    const resized = (size: TerminalSize): void => this.#say({ size });
    terminal.attach(
      (bytes) => this.#pass(bytes),
      () => this.#end(),
      resized,
    );
    // It may have another one since it was asked.
    if (terminal.size !== undefined) resized(terminal.size);
  }

  /** The machine has taken so much. */
  took(bytes: number): void {
    this.#sent -= bytes;
    this.#room();
  }

  /** Nobody reads any more. The terminal is as it was before. */
  close(): void {
    this.#closed = true;
    this.#room();
    this.#release();
  }

  #readInput(): void {
    const { input } = this;
    const data = (bytes: Uint8Array): void => {
      input.pause();
      const goOn = (): void => {
        if (!this.#closed) input.resume();
      };
      void this.#pass(bytes).then(goOn);
    };
    const end = (): void => this.#end();
    this.#release = () => {
      input.off('data', data).off('end', end);
      input.pause();
    };
    // One that cannot be read (it was closed, or is a folder) is at its end.
    input.on('data', data).on('end', end).on('error', end);
    if (input.readableEnded) end();
    input.resume();
  }

  /** Resolves when it is on its way. */
  #pass(bytes: Uint8Array): Promise<void> {
    // The array is the input's.
    const copy = bytes.slice();
    this.#pending = this.#pending.then(async () => {
      for (let at = 0; at < copy.length && !this.#closed; at += PIECE) {
        const input = copy.subarray(at, at + PIECE);
        while (this.#sent + input.length > INPUT_WINDOW && !this.#closed)
          await new Promise<void>((resolve) => (this.#room = resolve));
        if (this.#closed) return;
        this.#sent += input.length;
        this.#say({ input });
      }
    });
    return this.#pending;
  }

  #end(): void {
    this.#pending = this.#pending.then(() => {
      if (!this.#closed) this.#say({ end: true });
    });
  }
}
