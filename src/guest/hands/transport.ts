import type { LaidOut } from './batch.js';
import { HandsError } from './errors.js';
import type { HandsTransport } from './hands.js';
import * as M from './mailbox.js';
import type { Mailbox } from './mailbox.js';

/** How long the host's thread waits for an answer without letting others have a turn. */
const SPIN_MS = 0.25;

/** How long the hands may take for a batch. */
const ANSWER_MS = 60_000;

/** What the mailbox's host side needs from the world. */
export interface RingHost {
  /** Sends one byte to the hands' wake port. */
  wake(): void;
  /** Milliseconds, monotonic. */
  now(): number;
  /** Runs `fn` after `ms`; answers a function that calls it off. */
  after(ms: number, fn: () => void): () => void;
}

/**
 * The host's end of the mailbox. The integrator calls {@link MailboxTransport.doorbell} on the host's
 * thread whenever the ring handler's `doorbell` was called on a hart's thread.
 */
export class MailboxTransport implements HandsTransport {
  readonly size = M.DATA_SIZE;
  readonly maxCalls = M.MAX_CALLS;
  #waiter: (() => void) | undefined;
  #closed = false;
  /** The hands have not said that they are done with the last batch. */
  #unanswered = false;

  constructor(
    readonly mailbox: Mailbox,
    readonly host: RingHost,
  ) {}

  get base(): number {
    return Number(this.mailbox.u64(M.SCRATCH_BASE));
  }

  /** The ring handler has something for the host. */
  doorbell(): void {
    this.#waiter?.();
  }

  /** Waits until the hands have rung for the first time. Throws `timeout`. */
  async bound(timeoutMs: number): Promise<void> {
    await this.#until(() => this.mailbox.get(M.BOUND) === 1, timeoutMs, 'the hands did not ring');
  }

  /** From now on the hands sleep in a read on this descriptor of theirs; -1: they ring again and again. */
  setWakeFd(fd: number): void {
    this.mailbox.set(M.WAKE_FD, fd);
  }

  /** While work is expected soon: how long the handler waits before the hands go to sleep. */
  setLinger(microseconds: number): void {
    this.mailbox.set(M.LINGER, microseconds);
  }

  /**
   * While the host makes harts stand still: the ring handler does not wait for work, which would keep its hart from it.
   * Nested calls count.
   */
  restless(on: boolean): void {
    this.#restless += on ? 1 : -1;
    this.mailbox.set(M.RESTLESS, this.#restless > 0 ? 1 : 0);
    if (on) Atomics.notify(this.mailbox.words, M.STATE);
  }
  #restless = 0;

  async run(work: LaidOut): Promise<{ results: BigInt64Array; output: Uint8Array }> {
    const { mailbox } = this;
    if (this.#closed) throw new HandsError('gone', 'the hands are no more');
    if (mailbox.get(M.BOUND) === 0) throw new HandsError('misuse', 'the hands have not rung yet');
    if (this.#unanswered) {
      // The hands read their calls where the next ones would be written.
      await this.#until(() => mailbox.get(M.STATE) === M.STATE_DONE, ANSWER_MS, 'the hands did not answer');
      mailbox.set(M.STATE, M.STATE_IDLE);
      this.#unanswered = false;
    }
    for (let i = 0; i < work.count; i++) {
      const at = M.CALLS + i * M.CALL_SIZE;
      for (let j = 0; j < 7; j++) mailbox.view.setBigInt64(at + 8 * j, work.rows[7 * i + j] ?? 0n, true);
      for (let j = 0; j < 6; j++) mailbox.view.setUint16(at + 64 + 2 * j, work.refs[6 * i + j] ?? 0, true);
      mailbox.view.setUint16(at + 76, work.onFailure[i] ?? 0, true);
    }
    mailbox.bytes.set(work.input, M.DATA);
    mailbox.set(M.COUNT, work.count);
    mailbox.set(M.NEXT, M.NOT_BEGUN);
    mailbox.set(M.IN_LENGTH, work.input.length);
    mailbox.set(M.OUT_START, work.outStart);
    mailbox.set(M.OUT_END, work.outEnd);
    mailbox.set(M.STATE, M.STATE_POSTED);
    Atomics.notify(mailbox.words, M.STATE);
    if (mailbox.get(M.ASLEEP) === 1) this.host.wake();

    const done = (): boolean => mailbox.get(M.STATE) === M.STATE_DONE;
    this.#spin(done);
    this.#unanswered = true;
    try {
      await this.#until(done, ANSWER_MS, 'the hands did not answer');
    } catch (e) {
      if (!(e instanceof HandsError)) throw e;
      throw new HandsError(e.code, e.message, e.errno, mailbox.get(M.NEXT) !== M.NOT_BEGUN);
    }
    mailbox.set(M.STATE, M.STATE_IDLE);
    this.#unanswered = false;
    const results = new BigInt64Array(work.count);
    for (let i = 0; i < work.count; i++) results[i] = mailbox.view.getBigInt64(M.CALLS + i * M.CALL_SIZE + 56, true);
    return { results, output: mailbox.bytes.slice(M.DATA + work.outStart, M.DATA + work.outEnd) };
  }

  /** A short batch is over before a message between threads would arrive: looks again and again for a moment. */
  #spin(done: () => boolean): void {
    if (this.mailbox.get(M.LINGER) === 0) return;
    const end = this.host.now() + SPIN_MS;
    while (!done() && this.host.now() < end);
  }

  /**
   * Expects a process to execute the ring with `nonce` (16 bytes) in a0 and a1 while `during` runs;
   * answers the satp it had, or undefined if none rang.
   */
  async identify(nonce: Uint8Array, during: () => Promise<void>): Promise<bigint | undefined> {
    const { mailbox } = this;
    mailbox.bytes.set(nonce, M.NONCE);
    mailbox.set(M.NONCE_STATE, M.NONCE_ASKED);
    try {
      await during();
      return mailbox.get(M.NONCE_STATE) === M.NONCE_SHOWN ? mailbox.u64(M.IDENTIFIED) : undefined;
    } finally {
      mailbox.set(M.NONCE_STATE, M.NONCE_NONE);
    }
  }

  /** The OS instance is gone: whoever waits, or asks later, gets `gone`. */
  close(): void {
    this.#closed = true;
    this.mailbox.set(M.CLOSED, 1);
    this.#waiter?.();
  }

  async #until(condition: () => boolean, timeoutMs: number, what: string): Promise<void> {
    if (this.#waiter !== undefined) throw new HandsError('misuse', 'one batch at a time');
    let timedOut = false;
    const check = (): boolean => condition() || timedOut || this.#closed;
    let cancel = (): void => undefined;
    try {
      await new Promise<void>((resolve) => {
        this.#waiter = () => {
          if (check()) resolve();
        };
        cancel = this.host.after(timeoutMs, () => {
          timedOut = true;
          resolve();
        });
        this.#waiter();
      });
    } finally {
      this.#waiter = undefined;
      cancel();
    }
    if (condition()) return;
    if (this.#closed) throw new HandsError('gone', 'the hands are no more');
    throw new HandsError('timeout', `${what} within ${timeoutMs} ms`);
  }
}
