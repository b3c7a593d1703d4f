/** Who has asked for something, as the machine sees it: somebody to tell, until it has had enough. */
import type { Socket } from 'node:net';
import { ControlError } from './errors.js';
import type { JsonObject } from './lines.js';
import { INPUT_WINDOW, parseMessage, type Answer, type Message } from './protocol.js';

/** Bytes that wait for somebody who does not read. */
const MOST_WAITING = 16 * 2 ** 20;
/** Messages that nobody has asked for yet, at most. */
const MOST_MESSAGES = 1000;
/** How long an answer may take to be read at the end (ms). */
const LINGER = 2000;

export class Caller {
  /** Aborted when the caller has had enough, or is gone, or the machine ends. */
  readonly enough: AbortSignal;
  /** Resolves when the connection is closed. */
  readonly gone: Promise<void>;
  readonly #enough = new AbortController();
  #answered = false;
  /** What was said after the request, and nobody has asked for yet. */
  #messages: Message[] = [];
  #onMessage: ((message: Message) => void) | undefined;
  /** Bytes of input that wait. */
  #untaken = 0;
  /** Resolves when all that waits to be read has been, or the caller is gone: one for all who wait for that. */
  #drained: Promise<void> | undefined;
  /** Why it was ended by us. */
  #why: ControlError | undefined;

  constructor(private readonly socket: Socket) {
    this.enough = this.#enough.signal;
    this.gone = new Promise((resolve) => socket.once('close', () => resolve()));
    const end = (): void => this.#enough.abort();
    socket.on('error', end).once('end', end).once('close', end);
  }

  tell(event: JsonObject): void {
    if (this.#answered || this.enough.aborted) return;
    this.#write({ event });
    if (this.socket.writableLength <= MOST_WAITING) return;
    this.#why = new ControlError('too-slow', `more than ${MOST_WAITING} bytes wait to be read`);
    this.#enough.abort();
  }

  /** A line that follows the request. Whoever sends more than it may is refused. */
  hear(line: string): void {
    const message = parseMessage(line);
    if ('input' in message) this.#untaken += message.input.length;
    if (this.#untaken > INPUT_WINDOW || this.#messages.length >= MOST_MESSAGES)
      throw new ControlError('invalid', 'more is typed than there is room for');
    if (this.#onMessage === undefined) this.#messages.push(message);
    else this.#onMessage(message);
  }

  /** Tells of what the caller says, also of what it has said already. */
  set onMessage(listener: (message: Message) => void) {
    this.#onMessage = listener;
    for (const message of this.#messages.splice(0)) listener(message);
  }

  /** So many bytes of input are where they belong: as many more may come. */
  took(bytes: number): void {
    this.#untaken -= bytes;
    this.tell({ taken: bytes });
  }

  /** Resolves when less than a quarter of what may wait to be read does. */
  async room(): Promise<void> {
    while (this.socket.writableLength > MOST_WAITING / 4 && !this.enough.aborted)
      await (this.#drained ??= this.#drain());
  }

  async #drain(): Promise<void> {
    await Promise.race([new Promise((resolve) => this.socket.once('drain', resolve)), this.gone]);
    this.#drained = undefined;
  }

  /** Resolves when the caller has had enough. Rejects with ControlError `too-slow` if it does not read. */
  async untilEnough(): Promise<void> {
    if (!this.enough.aborted) {
      await new Promise<void>((resolve) => this.enough.addEventListener('abort', () => resolve(), { once: true }));
    }
    this.checkPace();
  }

  checkPace(): void {
    if (this.#why !== undefined) throw this.#why;
  }

  done(done: JsonObject): void {
    this.#last({ done });
  }

  refuse(error: unknown): void {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'failed';
    this.#last({ error: { code, message: error instanceof Error ? error.message : String(error) } });
  }

  /** The machine ends: so does what is done for the caller. */
  hangUp(): void {
    this.#enough.abort();
  }

  #last(answer: Answer): void {
    if (this.#answered) return;
    this.#write(answer);
    this.#answered = true;
    this.socket.end();
    // Whoever does not close its end does not keep the machine.
    const timer = setTimeout(() => this.socket.destroy(), LINGER);
    this.socket.once('close', () => clearTimeout(timer));
  }

  #write(answer: Answer): void {
    if (!this.socket.destroyed && this.socket.writable) this.socket.write(`${JSON.stringify(answer)}\n`);
  }
}
