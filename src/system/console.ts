/** An OS instance's console, as whoever sits before it sees it. */
import type { OsEnd, OsInstance } from '../guest/os-instance.js';
import type { ConsoleDevice } from './boot-arguments.js';
import { SystemError } from './errors.js';

/** Text that is kept for `waitFor` and for messages when nobody asks for it. */
const KEPT = 512 * 1024;
const CTRL_O = 0x0f;
const DEFAULT_TIMEOUT = 60_000;

export interface WaitOptions {
  /** Milliseconds; a minute unless told. */
  readonly timeout?: number;
}

/** A consumer of what the guest writes. The array may be shared with others and must not be written. */
export type ConsoleListener = (bytes: Uint8Array) => void;

interface Waiter {
  readonly pattern: RegExp;
  readonly found: (text: RegExpExecArray) => void;
  readonly ended: (end: OsEnd) => void;
}

export class Console {
  readonly #os: OsInstance;
  readonly #listeners = new Set<ConsoleListener>();
  readonly #decoder = new TextDecoder();
  readonly #waiters = new Set<Waiter>();
  #drained: (() => void)[] = [];
  #text = '';
  #unread = '';
  #end: OsEnd | undefined;

  constructor(
    os: OsInstance,
    /** Where what is typed goes. What is shown comes from every console the guest has. */
    readonly device: ConsoleDevice,
    /** The kernel takes Ctrl-O on this console, and what follows it, for itself: see `takesSysRq`. */
    private readonly sysRq: boolean,
  ) {
    this.#os = os;
    const show = (bytes: Uint8Array): void => this.#show(bytes);
    os.onDebugConsole = show;
    os.terminal.onData = show;
    os.serial.onData = show;
    os.terminal.onDrain = () => {
      for (const resolve of this.#drained.splice(0)) resolve();
    };
    void os.ended.then((end) => this.#close(end));
  }

  /** What the guest has written, at most the last half million characters of it. */
  get text(): string {
    return this.#text;
  }

  /** Calls `listener` with what the guest writes from now on. Gives a function that ends that. */
  listen(listener: ConsoleListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The kernel heeds `pressSysRq`. */
  get hearsSysRq(): boolean {
    return this.sysRq && this.#end === undefined && this.#os.terminal.open;
  }

  /** Presses a magic SysRq key (Linux, Documentation/admin-guide/sysrq.rst), which is for the kernel, not for a program. */
  pressSysRq(key: string): void {
    if (this.hearsSysRq) this.#os.terminal.write(new TextEncoder().encode(`\x0f${key}`));
  }

  /** Types into the console. Resolves when there is room for more; nothing is lost before that either. */
  async write(data: string | Uint8Array): Promise<void> {
    if (this.#end !== undefined) return;
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    if (this.device === 'ttyS0') {
      this.#os.serial.write(bytes);
      return;
    }
    if (!this.#os.terminal.write(this.sysRq ? doubled(bytes) : bytes))
      await new Promise<void>((resolve) => this.#drained.push(resolve));
  }

  /** Tells the guest the size of the terminal (a serial port has no way to know it). */
  resize(columns: number, rows: number): void {
    if (this.#end === undefined) this.#os.console.resize(columns, rows);
  }

  /**
   * Waits until `pattern` appears in what the guest has written since the last match, and gives the match.
   * Throws SystemError `timeout`, or `ended` when the guest can write no more; the message quotes its last lines.
   *
   *     await guest.console.waitFor(/login: $/);
   */
  waitFor(pattern: string | RegExp, { timeout = DEFAULT_TIMEOUT }: WaitOptions = {}): Promise<RegExpExecArray> {
    const compiled = typeof pattern === 'string' ? new RegExp(escape(pattern)) : pattern;
    return new Promise((resolve, reject) => {
      const fail = (code: 'timeout' | 'ended', what: string): void => {
        settle();
        reject(
          new SystemError(code, `${what} while ${String(pattern)} was waited for; it wrote:\n${this.#lastLines()}`),
        );
      };
      const timer = setTimeout(() => fail('timeout', `nothing in ${timeout} ms`), timeout);
      const waiter: Waiter = {
        pattern: compiled,
        found: (match) => {
          settle();
          resolve(match);
        },
        ended: (end) => fail('ended', `${this.#os.name} ended (${end.kind})`),
      };
      const settle = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
      };
      this.#waiters.add(waiter);
      this.#match();
      if (this.#end !== undefined && this.#waiters.has(waiter)) waiter.ended(this.#end);
    });
  }

  #show(bytes: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: true });
    this.#text = (this.#text + text).slice(-KEPT);
    this.#unread = (this.#unread + text).slice(-KEPT);
    for (const listener of this.#listeners) listener(bytes);
    if (this.#waiters.size > 0) this.#match();
  }

  /** Gives each waiter, first come first, the first match in what nobody has had yet. */
  #match(): void {
    for (const waiter of [...this.#waiters]) {
      waiter.pattern.lastIndex = 0;
      const match = waiter.pattern.exec(this.#unread);
      if (match === null) continue;
      this.#unread = this.#unread.slice(match.index + match[0].length);
      waiter.found(match);
    }
  }

  #close(end: OsEnd): void {
    this.#end = end;
    for (const resolve of this.#drained.splice(0)) resolve();
    for (const waiter of [...this.#waiters]) waiter.ended(end);
  }

  #lastLines(): string {
    return this.#text.trimEnd().split(/\r?\n/).slice(-12).join('\n');
  }
}

/** Every Ctrl-O twice, which the kernel gives to the program as one. */
function doubled(bytes: Uint8Array): Uint8Array {
  let count = 0;
  for (const byte of bytes) if (byte === CTRL_O) count++;
  if (count === 0) return bytes;
  const result = new Uint8Array(bytes.length + count);
  let at = 0;
  for (const byte of bytes) {
    result[at++] = byte;
    if (byte === CTRL_O) result[at++] = byte;
  }
  return result;
}

function escape(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
