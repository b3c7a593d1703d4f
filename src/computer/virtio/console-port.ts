import type { GuestOutput } from '../guest-output.js';

/** More than this waiting for the guest makes `write` ask for patience. */
const HIGH_WATER = 64 * 1024;
/** A guest that never reads does not make the host grow without end. */
const MAX_BACKLOG = 64 * 1024 * 1024;

/** What a port that is held may still be given, because the guest closes it (bytes). */
const MAX_OVERRUN = 1024 * 1024;

export class ConsoleError extends Error {
  override readonly name = 'ConsoleError';
  readonly code = 'backlog';
}

/** What a port needs of its console. */
export interface PortOwner {
  isOpen(port: number): boolean;
  deliver(port: ConsolePort): void;
  /** Leaves in its queue what the guest writes to a port, or no longer. */
  hold(port: ConsolePort, on: boolean): void;
}

/** The host's end of a console port: a stream of bytes each way. */
export class ConsolePort implements GuestOutput {
  /** Called with what the guest has written; the array is the callee's. */
  onData: (bytes: Uint8Array) => void = () => undefined;
  /** Called when the guest opens or closes its end. */
  onOpen: (open: boolean) => void = () => undefined;
  /** Called once everything is delivered after a `write` that returned false. */
  onDrain: () => void = () => undefined;

  readonly #owner: PortOwner;
  #chunks: Uint8Array[] = [];
  #backlog = 0;
  #full = false;
  #open = false;
  #held = false;
  #overrun = 0;
  #ended = false;

  constructor(
    owner: PortOwner,
    readonly index: number,
    readonly name: string,
  ) {
    this.#owner = owner;
  }

  /** Whether the guest has its end open. */
  get open(): boolean {
    return this.#owner.isOpen(this.index);
  }

  /** Bytes that wait for the guest. */
  get backlog(): number {
    return this.#backlog;
  }

  /**
   * Sends bytes to the guest. They wait until it has opened the port and made room;
   * none is lost. False asks the caller to wait for `onDrain`.
   * Throws ConsoleError if 64 MiB wait already. After `end` nothing is sent.
   */
  write(bytes: Uint8Array): boolean {
    if (this.#ended) return true;
    if (bytes.length > 0) {
      if (this.#backlog + bytes.length > MAX_BACKLOG) {
        throw new ConsoleError(
          `console port ${this.index}: the guest does not read, ${this.#backlog} bytes wait already`,
        );
      }
      this.#chunks.push(bytes.slice());
      this.#backlog += bytes.length;
      this.#owner.deliver(this);
    }
    if (this.#backlog >= HIGH_WATER) this.#full = true;
    return !this.#full;
  }

  hold(): void {
    if (this.#held) return;
    this.#held = true;
    this.#overrun = 0;
    this.#owner.hold(this, true);
  }

  letGo(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#owner.hold(this, false);
  }

  get isHeld(): boolean {
    return this.#held;
  }

  /** Bytes that were on their way to the guest before all others. */
  putFirst(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.unshift(bytes);
    this.#backlog += bytes.length;
  }

  /** Takes back what the guest has not got. */
  takeBacklog(): Uint8Array {
    const bytes = new Uint8Array(this.#backlog);
    let at = 0;
    for (const chunk of this.#chunks.splice(0)) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    this.#backlog = 0;
    return bytes;
  }

  /** What waits for the guest is for nobody any more. */
  drop(): void {
    this.takeBacklog();
    if (!this.#full) return;
    this.#full = false;
    this.onDrain();
  }

  /** What the guest has written. A little may still come when the port has just been held. */
  deliver(bytes: Uint8Array): void {
    if (this.#held) this.#overrun += bytes.length;
    this.onData(bytes);
  }

  /** Whether a port that is held may be given still more. */
  get mayOverrun(): boolean {
    return !this.#held || this.#overrun < MAX_OVERRUN;
  }

  /** Nothing more will be written: when all is delivered, a guest that reads finds the end. */
  end(): void {
    this.#ended = true;
    this.#owner.deliver(this);
  }

  /** Everything is delivered, and nothing more will be. */
  get finished(): boolean {
    return this.#ended && this.#backlog === 0;
  }

  /** The next bytes to deliver. */
  peek(): Uint8Array {
    return this.#chunks[0];
  }

  /** `count` of those were delivered. */
  consume(count: number): void {
    const first = this.#chunks[0];
    if (count < first.length) this.#chunks[0] = first.subarray(count);
    else this.#chunks.shift();
    this.#backlog -= count;
    if (this.#backlog > 0 || !this.#full) return;
    this.#full = false;
    this.onDrain();
  }

  /** The guest's end may have been opened or closed. */
  noticeOpen(): void {
    const open = this.open;
    if (open === this.#open) return;
    this.#open = open;
    this.onOpen(open);
  }
}
