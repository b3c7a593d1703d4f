/**
 * What sessions of one kind ask of their store of marks, and what they make of
 * its answers. The store is somebody else's code: an answer that is not what was
 * asked for is an error, never a yes.
 */
import { SessionError } from './errors.js';
import { abandon, isThenable } from './later.js';
import type { HighWater, Mark } from './high-water.js';
import { NEW_IDENTITY } from './generation.js';
import type { CheckedLimits } from './limits.js';
import type { HighWaterOptions, SessionOptions } from './options.js';
import type { Session } from './types.js';

type Answer<T> = T | Promise<T>;

function isAccepted(value: unknown): value is boolean {
  return typeof value === 'boolean';
}

function isGeneration(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function notAnswered(cause: unknown): SessionError {
  if (cause instanceof SessionError) return cause;
  return new SessionError('high-water', 'the store of high-water marks did not answer', { cause });
}

function checked<T>(answer: unknown, is: (value: unknown) => value is T): T {
  if (is(answer)) return answer;
  throw new SessionError('high-water', `the store of high-water marks answered ${typeof answer} ${String(answer)}`);
}

/** Asks now. */
function askSync<T>(ask: () => unknown, is: (value: unknown) => value is T): T {
  let answer: unknown;
  try {
    answer = ask();
  } catch (error) {
    throw notAnswered(error);
  }
  if (isThenable(answer)) {
    abandon(answer);
    throw new SessionError('async-store', LATER);
  }
  return checked(answer, is);
}

const LATER = 'this store of marks answers later: use createSessions, which waits for it';

/** Asks and waits. */
async function askAsync<T>(ask: () => unknown, is: (value: unknown) => value is T): Promise<T> {
  try {
    return checked(await ask(), is);
  } catch (error) {
    throw notAnswered(error);
  }
}

/** The same questions, whichever way they are asked. */
class Questions {
  readonly raisedBySeal: boolean;
  readonly identities: boolean;
  private readonly store: HighWater;
  private readonly window: number;
  private readonly limits: CheckedLimits;
  private readonly scope: string;

  constructor(options: HighWaterOptions, limits: CheckedLimits, scope: string) {
    this.store = options.store;
    this.window = options.window ?? 0;
    this.raisedBySeal = options.raisedBy === 'seal';
    this.identities = options.identities === true;
    this.limits = limits;
    this.scope = scope;
    if (!(Number.isInteger(this.window) && this.window >= 0)) {
      throw new SessionError('bad-argument', 'highWater.window: a whole number from 0');
    }
    const { generation, endIdentity } = this.store;
    if (this.identities && (generation === undefined || endIdentity === undefined)) {
      throw new SessionError('bad-argument', 'highWater.identities: this store has no generation and endIdentity');
    }
  }

  /**
   * A mark is kept for twice the skew beyond its session: the server that counts
   * its life may be ahead by one, and then another, whose clock says that the
   * session has just ended, accepts it for one more.
   */
  protected askRaise(session: Session<unknown, unknown>, counter: number, now: number): Answer<boolean> {
    const mark: Mark = {
      id: session.id,
      counter,
      lastActivity: session.lastActivity,
      expires: session.expires + 2 * this.limits.skew,
    };
    return this.store.raise(mark, this.window, now);
  }

  protected askGeneration(identity: string, now: number): Answer<number> | undefined {
    return this.store.generation?.(this.scope + identity, now);
  }

  protected askEnd(identity: string, now: number): Answer<number> | undefined {
    if (!this.identities) throw new SessionError('bad-argument', 'to end an identity set highWater.identities');
    if (identity === '') throw new SessionError('bad-argument', 'an identity to end: it is empty');
    return this.store.endIdentity?.(this.scope + identity, now + this.limits.maxAge + 2 * this.limits.skew, now);
  }

  /** Whether sealing has to ask for the generation, or has it. */
  protected lacksGeneration(session: Session<unknown, unknown>): boolean {
    return this.identities && session.identity !== '' && (session.generation ?? NEW_IDENTITY) < 0;
  }

  /**
   * The generation to seal; undefined when the session is from before its
   * identity was ended: a state that a server has held all the while.
   */
  protected generationFrom(session: Session<unknown, unknown>, current: number): number | undefined {
    const before = session.generation === undefined && session.issued + this.limits.skew < current;
    return before ? undefined : current;
  }
}

/** Marks whose store answers at once. */
export class SyncMarks extends Questions {
  raise(session: Session<unknown, unknown>, counter: number, now: number): boolean {
    return askSync(() => this.askRaise(session, counter, now), isAccepted);
  }

  generationOf(session: Session<unknown, unknown>, now: number): number | undefined {
    if (!this.lacksGeneration(session)) return Math.max(0, session.generation ?? 0);
    return this.generationFrom(
      session,
      askSync(() => this.askGeneration(session.identity, now), isGeneration),
    );
  }

  /** Whether an opened session is neither older than its mark nor from before its identity's end. */
  accepts(session: Session<unknown, unknown>, now: number): boolean {
    if (this.identities && session.identity !== '') {
      const generation = askSync(() => this.askGeneration(session.identity, now), isGeneration);
      if ((session.generation ?? 0) < generation) return false;
    }
    return this.raise(session, session.counter, now);
  }

  endIdentity(identity: string, now: number): void {
    askSync(() => this.askEnd(identity, now), isGeneration);
  }
}

/** Marks whose store may answer later. */
export class AsyncMarks extends Questions {
  raise(session: Session<unknown, unknown>, counter: number, now: number): Promise<boolean> {
    return askAsync(() => this.askRaise(session, counter, now), isAccepted);
  }

  async generationOf(session: Session<unknown, unknown>, now: number): Promise<number | undefined> {
    if (!this.lacksGeneration(session)) return Math.max(0, session.generation ?? 0);
    return this.generationFrom(session, await askAsync(() => this.askGeneration(session.identity, now), isGeneration));
  }

  async accepts(session: Session<unknown, unknown>, now: number): Promise<boolean> {
    if (!this.identities || session.identity === '') return this.raise(session, session.counter, now);
    // Both questions at once: one round trip.
    const [accepted, generation] = await Promise.all([
      this.raise(session, session.counter, now),
      askAsync(() => this.askGeneration(session.identity, now), isGeneration),
    ]);
    return accepted && (session.generation ?? 0) >= generation;
  }

  async endIdentity(identity: string, now: number): Promise<void> {
    await askAsync(() => this.askEnd(identity, now), isGeneration);
  }
}

type Options = Pick<SessionOptions<unknown, unknown>, 'highWater' | 'purpose' | 'audience'>;

/** One store serves several kinds: their identities must not meet. JSON's end is where the identity begins. */
function scopeOf(options: Options): string {
  return JSON.stringify([options.purpose, options.audience ?? '']);
}

/** @throws SessionError `bad-argument`, and `async-store` for a store that is known to answer later */
export function syncMarks(options: Options, limits: CheckedLimits): SyncMarks | undefined {
  if (options.highWater === undefined) return undefined;
  const marks = new SyncMarks(options.highWater, limits, scopeOf(options));
  // An async function gives itself away. What else answers later does with its first answer.
  if (Object.prototype.toString.call(options.highWater.store.raise) === '[object AsyncFunction]') {
    throw new SessionError('async-store', LATER);
  }
  return marks;
}

/** @throws SessionError `bad-argument` */
export function asyncMarks(options: Options, limits: CheckedLimits): AsyncMarks | undefined {
  return options.highWater === undefined ? undefined : new AsyncMarks(options.highWater, limits, scopeOf(options));
}
