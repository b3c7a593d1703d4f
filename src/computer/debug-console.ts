/**
 * Where the text goes that a guest prints through the SBI's debug console, from any of its harts to
 * the main thread. The page:
 *
 *   0x000  lock
 *   0x004  bytes ever written      0x008  bytes ever read
 *   0x00c  1: the reader has no room
 *   0x010  1: there is something for the main thread to do
 *   0x014  1: a hart waits for room
 *   0x800  ring                    2 KiB
 *
 * What does not fit is not taken, and the guest is told so: its text never piles up on the host.
 */
import type { GuestOutput } from './guest-output.js';
import { lock, unlock } from './state-page.js';

const LOCK = 0x000;
const WRITTEN = 0x004;
const READ = 0x008;
const HELD = 0x00c;
const KICKED = 0x010;
const WAITED_FOR = 0x014;
const RING = 0x800;
const RING_SIZE = 0x800;

/** The page of a debug console's state, as both sides of it see it. */
export class DebugConsolePage {
  protected readonly words: Int32Array;
  protected readonly ring: Uint8Array;
  readonly #page: number;

  constructor(buffer: SharedArrayBuffer, offset: number) {
    this.words = new Int32Array(buffer);
    this.ring = new Uint8Array(buffer, offset + RING, RING_SIZE);
    this.#page = offset >>> 2;
  }

  protected at(word: number): number {
    return this.#page + (word >>> 2);
  }
  protected load(word: number): number {
    return Atomics.load(this.words, this.at(word));
  }
  protected store(word: number, value: number): void {
    Atomics.store(this.words, this.at(word), value);
  }
}

/** A hart's side. */
export class DebugConsole extends DebugConsolePage {
  constructor(
    buffer: SharedArrayBuffer,
    offset: number,
    private readonly doorbell: () => void,
  ) {
    super(buffer, offset);
  }

  /** Takes text as far as there is room; how many bytes. With less than all, `full` says how long that lasts. */
  write(text: Uint8Array): number {
    lock(this.words, this.at(LOCK));
    let at = this.load(WRITTEN);
    const room = this.load(HELD) !== 0 ? 0 : RING_SIZE - ((at - this.load(READ)) | 0);
    const count = Math.max(0, Math.min(room, text.length));
    for (let i = 0; i < count; i++) this.ring[at++ & (RING_SIZE - 1)] = text[i];
    this.store(WRITTEN, at);
    if (count < text.length) this.store(WAITED_FOR, 1);
    unlock(this.words, this.at(LOCK));
    if (count > 0 && Atomics.exchange(this.words, this.at(KICKED), 1) === 0) this.doorbell();
    return count;
  }

  /** Nothing can be written now. */
  full(): boolean {
    return this.load(HELD) !== 0 || ((this.load(WRITTEN) - this.load(READ)) | 0) >= RING_SIZE;
  }
}

/** The main thread's side. */
export class DebugConsoleOutput extends DebugConsolePage implements GuestOutput {
  onData: (bytes: Uint8Array) => void = () => undefined;
  #detached = false;

  constructor(
    buffer: SharedArrayBuffer,
    offset: number,
    private readonly wakeHarts: () => void,
  ) {
    super(buffer, offset);
  }

  /** To be called after a doorbell. */
  poll(): void {
    if (this.#detached || Atomics.exchange(this.words, this.at(KICKED), 0) === 0) return;
    lock(this.words, this.at(LOCK));
    let at = this.load(READ);
    // A guest reaches none of these words, but a negative count must not become a length.
    const text = new Uint8Array(Math.max(0, Math.min((this.load(WRITTEN) - at) | 0, RING_SIZE)));
    for (let i = 0; i < text.length; i++) text[i] = this.ring[at++ & (RING_SIZE - 1)];
    this.store(READ, this.load(WRITTEN));
    unlock(this.words, this.at(LOCK));
    if (text.length > 0) this.onData(text);
    this.#wake();
  }

  hold(): void {
    if (!this.#detached) this.store(HELD, 1);
  }

  letGo(): void {
    if (this.#detached) return;
    this.store(HELD, 0);
    this.#wake();
  }

  /** The guest is gone, and its memory with it. */
  detach(): void {
    this.#detached = true;
  }

  #wake(): void {
    if (this.load(HELD) === 0 && Atomics.exchange(this.words, this.at(WAITED_FOR), 0) !== 0) this.wakeHarts();
  }
}
