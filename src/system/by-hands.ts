/**
 * What is done at a running OS instance with the help of its hands: one thing after the other, in a time, and not beyond
 * its end.
 */
import { HandsError } from '../guest/hands/errors.js';
import type { Hands } from '../guest/hands/hands.js';
import type { OsInstance } from '../guest/os-instance.js';
import { SystemError } from './errors.js';
import { startTimer } from './timeout.js';

/** How long a guest may take for its part, unless told (ms). */
export const HANDS_TIMEOUT = 30_000;

/** What this needs of its surroundings. */
export interface ByHandsHost {
  readonly os: OsInstance;
  /** Undefined: there are none. */
  readonly hands: () => Hands | undefined;
  readonly isPaused: () => boolean;
  /** Resolves when what the instance had is the computer's again. */
  readonly ended: Promise<unknown>;
}

/** Work at one OS instance, by its hands. */
export class ByHands {
  #last: Promise<unknown> = Promise.resolve();
  #isOver = false;

  constructor(private readonly host: ByHandsHost) {
    void host.os.ended.then(() => (this.#isOver = true));
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** The hands. Throws SystemError `ended`, `no-hands`, `paused`. */
  hands(): Hands {
    const { os, hands, isPaused } = this.host;
    if (this.#isOver) throw new SystemError('ended', `${os.name} has ended`);
    const there = hands();
    if (there === undefined) {
      const message = `there are no hands in ${os.name}, by which it could be asked: boot it as a Carrier`;
      throw new SystemError('no-hands', message);
    }
    if (isPaused()) throw new SystemError('paused', `${os.name} is paused: its hands do nothing`);
    return there;
  }

  /**
   * What the guest does. Throws SystemError `timeout`, `ended` (once what it had is the computer's), or `refused` for what
   * its hands cannot do; `what` says in words what is not done then.
   */
  async within<T>(timeout: number, what: string, work: () => Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = startTimer(() => reject(new SystemError('timeout', `${what} within ${timeout} ms`)), timeout);
    });
    const over = this.host.os.ended.then(async () => Promise.reject(await this.ended()));
    const done = work().catch(async (error: unknown) => {
      if (!(error instanceof HandsError)) throw error;
      if (error.code === 'gone') throw await this.ended();
      throw new SystemError('refused', `${what}: ${error.message}`, { cause: error });
    });
    try {
      return await Promise.race([done, late, over]);
    } finally {
      clearTimeout(timer);
      // Whoever comes too late has nothing more to say.
      for (const each of [done, late, over]) each.catch(() => undefined);
    }
  }

  async ended(): Promise<SystemError> {
    await this.host.ended;
    return new SystemError('ended', `${this.host.os.name} has ended, and what it had is nobody's`);
  }

  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work);
    this.#last = mine.catch(() => undefined);
    return mine;
  }
}

/** What the guest's kernel did not do. */
export const refused = (message: string, errno: number): SystemError =>
  new SystemError('refused', `${message} (errno ${errno})`);
