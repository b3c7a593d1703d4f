/**
 * The high-water mark: the one thing a server may keep, so that an older seal
 * of a session is refused. Without it whoever has a copy of a seal can use it
 * for as long as that seal lives, log-out or not.
 */
import { MAX_UINT48 } from './format.js';
import { SessionError } from './errors.js';

/** A session's seal, as the mark sees it. */
export interface Mark {
  /** The session's id. */
  readonly id: string;
  readonly counter: number;
  /** Milliseconds since 1970: when this seal was made. */
  readonly lastActivity: number;
  /** Milliseconds since 1970: from then on the mark is of no use. */
  readonly expires: number;
}

/** The counter of an ended session's mark: above every seal's. */
export const ENDED = MAX_UINT48;

/** Where marks are kept. */
export interface HighWater {
  /**
   * In one indivisible step: refuses a seal more than `window` below its
   * session's mark, and otherwise raises the mark to the seal's counter if that
   * is higher.
   *
   * @param now - milliseconds since 1970
   * @returns whether the seal is accepted
   */
  raise(mark: Mark, window: number, now: number): boolean | Promise<boolean>;
}

/** A store that answers at once. */
export interface SyncHighWater extends HighWater {
  raise(mark: Mark, window: number, now: number): boolean;
}

/** How the memory is bounded. */
export interface MemoryOptions {
  /** Sessions whose mark is kept; one takes about 250 bytes. Default 100,000. */
  readonly capacity?: number;
  /**
   * What becomes of the session longest without activity when there is no more
   * room. `forget` (the default): older seals of it open again. `refuse`: no
   * seal of an unknown session from before that moment opens any more, so
   * nothing is replayed, but the idlest sessions may be logged out.
   */
  readonly whenFull?: 'forget' | 'refuse';
}

/**
 * High-water marks in this process's memory: for one server. They are gone when
 * it ends, and other servers do not see them.
 */
export class MemoryHighWater implements SyncHighWater {
  // A Map keeps the order of insertion: the first entry is the one raised longest ago.
  readonly #marks = new Map<string, Mark>();
  readonly #capacity: number;
  readonly #refuse: boolean;
  #floor = 0;
  #forgotten = 0;

  constructor(options: MemoryOptions = {}) {
    this.#capacity = options.capacity ?? 100_000;
    if (!(Number.isInteger(this.#capacity) && this.#capacity > 0)) {
      throw new SessionError('bad-argument', 'capacity: a whole number of sessions above 0');
    }
    this.#refuse = options.whenFull === 'refuse';
  }

  /** Sessions whose mark is kept. */
  get size(): number {
    return this.#marks.size;
  }

  /** Marks of living sessions that had to make room: above 0 means that the capacity is too small. */
  get forgotten(): number {
    return this.#forgotten;
  }

  raise(mark: Mark, window: number, now: number): boolean {
    const known = this.#marks.get(mark.id);
    if (known === undefined && mark.lastActivity < this.#floor) return false;
    if (known !== undefined) {
      if (mark.counter < known.counter - window) return false;
      if (mark.counter <= known.counter) return true;
      this.#marks.delete(mark.id);
    }
    this.#marks.set(mark.id, mark);
    if (this.#marks.size > this.#capacity) this.#makeRoom(now);
    return true;
  }

  #makeRoom(now: number): void {
    for (const [id, mark] of this.#marks) {
      this.#marks.delete(id);
      if (mark.expires > now) {
        this.#forgotten++;
        // Seals made up to this one may be replays from now on.
        if (this.#refuse) this.#floor = Math.max(this.#floor, mark.lastActivity + 1);
      }
      return;
    }
  }
}
