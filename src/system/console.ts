/** An OS instance's console, as whoever sits before it sees it. */
import type { GuestOutput } from '../computer/guest-output.js';
import type { OsEnd, OsInstance } from '../guest/os-instance.js';
import type { ConsoleDevice } from './boot-arguments.js';
import { checkCount, MOST_CHARACTERS } from './checks.js';
import { SystemError } from './errors.js';
import { checkTimeout, startTimer } from './timeout.js';

/** Text that is kept for `waitFor` and for messages when nobody asks for it. */
const KEPT = 512 * 1024;
/** Looking for a pattern takes at most one part in so many of the time: what a guest writes may be long. */
const LOOKS_PART = 8;
const CTRL_O = 0x0f;
const DEFAULT_TIMEOUT = 60_000;
/** Of what a guest wrote, in a message. */
const LINES = 15;

/** How long to wait. */
export interface WaitOptions {
  /** Milliseconds; a minute unless told. */
  readonly timeout?: number;
}

/**
 * A consumer of what the guest writes. The array may be shared with others and must not be written. A listener that
 * has no room for more gives a promise: until it resolves the guest cannot write, and only a few KiB that were on
 * their way still come.
 */
export type ConsoleListener = (bytes: Uint8Array) => unknown;

interface Waiter {
  readonly pattern: RegExp;
  readonly found: (text: RegExpExecArray) => void;
  readonly ended: (end: OsEnd) => void;
}

/** A guest's console: what it writes, what is typed. */
export class Console {
  readonly #os: OsInstance;
  readonly #listeners = new Set<ConsoleListener>();
  readonly #outputs: readonly GuestOutput[];
  /** Listeners that have no room, and how many promises of theirs are open. */
  readonly #full = new Map<ConsoleListener, number>();
  #mayHold = true;
  readonly #decoder = new TextDecoder();
  readonly #waiters = new Set<Waiter>();
  #drained: (() => void)[] = [];
  readonly #text = new Tail(KEPT);
  readonly #unread = new Tail(KEPT);
  /** When patterns are looked for next, and what will do it if nothing comes before. */
  #nextLook = 0;
  #look: ReturnType<typeof setTimeout> | undefined;
  #end: OsEnd | undefined;

  constructor(
    os: OsInstance,
    /** Where what is typed goes. What is shown comes from every console the guest has. */
    readonly device: ConsoleDevice,
    /** The kernel takes Ctrl-O on this console, and what follows it, for itself: see `takesSysRq`. */
    private readonly sysRq: boolean,
    /** The kernel's command line. */
    readonly commandLine: string,
  ) {
    this.#os = os;
    const show = (bytes: Uint8Array): void => this.#show(bytes);
    this.#outputs = [os.terminal, os.serial, os.debugConsole];
    for (const output of this.#outputs) output.onData = show;
    const drained = (): void => {
      for (const resolve of this.#drained.splice(0)) resolve();
    };
    os.terminal.onDrain = drained;
    os.serial.onDrain = drained;
    void os.ended.then((end) => this.#close(end));
  }

  /** What the guest has written, at most the last half million characters of it. */
  get text(): string {
    return this.#text.last();
  }

  /**
   * For a message: what the guest has written last, or, when that is nothing, why that may be and what makes it write
   * more.
   */
  lastWords(lines = LINES): string {
    const tail = this.text.trimEnd().split(/\r?\n/).slice(-lines).join('\n');
    if (tail !== '') return `its console's last lines:\n${tail}`;
    const why = /(^|\s)quiet(\s|$)/.test(this.commandLine)
      ? 'its kernel was told to be quiet: with the boot argument ignore_loglevel it says what it does'
      : `it was not asked to be quiet, and has no driver for the console ${this.device}, or has stopped before that`;
    return `it has printed nothing on its console; ${why} (its command line: ${this.commandLine})`;
  }

  /** Calls `listener` with what the guest writes from now on. Gives a function that ends that. */
  listen(listener: ConsoleListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
      if (this.#full.delete(listener)) this.#goOn();
    };
  }

  /**
   * From now on no listener makes the guest wait: what one has no room for it does not get. For a guest that is to shut
   * down, which it cannot while it waits.
   */
  letGo(): void {
    this.#mayHold = false;
    for (const output of this.#outputs) output.letGo();
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
    const escaped = this.sysRq ? doubled(bytes) : bytes;
    const room = this.device === 'ttyS0' ? this.#os.serial.write(bytes) : this.#os.terminal.write(escaped);
    if (!room) await new Promise<void>((resolve) => this.#drained.push(resolve));
  }

  /** Tells the guest the size of the terminal (a serial port has no way to know it). Throws SystemError `invalid`. */
  resize(columns: number, rows: number): void {
    checkCount('columns', columns, 1, MOST_CHARACTERS);
    checkCount('rows', rows, 1, MOST_CHARACTERS);
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
        reject(new SystemError(code, `${what} while ${String(pattern)} was waited for; ${this.lastWords()}`));
      };
      const timer = startTimer(() => fail('timeout', `nothing in ${timeout} ms`), checkTimeout(timeout));
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
    this.#text.add(text);
    this.#unread.add(text);
    for (const listener of this.#listeners) {
      if (!this.#mayHold && this.#full.has(listener)) continue;
      const room = listener(bytes);
      if (room instanceof Promise) this.#holdFor(listener, room);
    }
    if (this.#waiters.size > 0) this.#matchSoon();
  }

  #holdFor(listener: ConsoleListener, room: Promise<unknown>): void {
    this.#full.set(listener, (this.#full.get(listener) ?? 0) + 1);
    if (this.#mayHold) for (const output of this.#outputs) output.hold();
    const done = (): void => {
      const open = this.#full.get(listener);
      if (open === undefined) return;
      if (open > 1) this.#full.set(listener, open - 1);
      else this.#full.delete(listener);
      this.#goOn();
    };
    room.then(done, done);
  }

  /** Lets the guest write again once every listener has room. */
  #goOn(): void {
    if (this.#full.size > 0 || this.#end !== undefined) return;
    for (const output of this.#outputs) output.letGo();
  }

  #matchSoon(): void {
    const wait = this.#nextLook - performance.now();
    if (wait <= 0) return this.#match();
    this.#look ??= setTimeout(() => {
      this.#look = undefined;
      this.#match();
    }, wait);
  }

  /** Gives each waiter, first come first, the first match in what nobody has had yet. */
  #match(): void {
    const start = performance.now();
    for (const waiter of [...this.#waiters]) {
      waiter.pattern.lastIndex = 0;
      const unread = this.#unread.last();
      const match = waiter.pattern.exec(unread);
      if (match === null) continue;
      this.#unread.replace(unread.slice(match.index + match[0].length));
      waiter.found(match);
    }
    const end = performance.now();
    this.#nextLook = end + (end - start) * (LOOKS_PART - 1);
  }

  #close(end: OsEnd): void {
    this.#end = end;
    clearTimeout(this.#look);
    this.#match();
    for (const resolve of this.#drained.splice(0)) resolve();
    for (const waiter of [...this.#waiters]) waiter.ended(end);
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

/** The last characters of a text that grows without end; adding to it costs what is added. */
class Tail {
  #text = '';

  constructor(private readonly most: number) {}

  add(text: string): void {
    this.#text += text;
    if (this.#text.length > 2 * this.most) this.#text = this.#text.slice(-this.most);
  }

  replace(text: string): void {
    this.#text = text;
  }

  /** At most `most` of them. */
  last(): string {
    if (this.#text.length > this.most) this.#text = this.#text.slice(-this.most);
    return this.#text;
  }
}
