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
  /**
   * The identity's generation: what `endIdentity` returned last, 0 while it was
   * not called or when that has expired.
   *
   * @param identity - purpose, audience and identity: a text that nobody else has
   */
  generation?(identity: string, now: number): number | Promise<number>;
  /**
   * In one indivisible step: gives an identity the next generation, which is
   * `now` or, if that is not higher, one more than the last.
   *
   * @param expires - milliseconds since 1970: from then on no seal of an earlier generation opens anyhow
   * @returns the new generation
   */
  endIdentity?(identity: string, expires: number, now: number): number | Promise<number>;
}

/** A store that answers at once. */
export interface SyncHighWater extends HighWater {
  raise(mark: Mark, window: number, now: number): boolean;
  generation?(identity: string, now: number): number;
  endIdentity?(identity: string, expires: number, now: number): number;
}

/** How the memory is bounded. */
export interface MemoryOptions {
  /** Sessions whose mark is kept, and identities that were ended; one takes about 250 bytes. Default 100,000. */
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
  // The first entry is the identity ended longest ago.
  readonly #generations = new Map<string, { readonly generation: number; readonly expires: number }>();
  readonly #capacity: number;
  readonly #refuse: boolean;
  #floor = 0;
  #generationFloor = 0;
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

  /** Marks of living sessions, and ends of identities, that had to make room: above 0 means that the capacity is too small. */
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
    // Never a shorter life than before: a session may be ended by a state of it that is older than its seals.
    const expires = Math.max(mark.expires, known?.expires ?? 0);
    this.#marks.set(mark.id, expires === mark.expires ? mark : { ...mark, expires });
    if (this.#marks.size > this.#capacity) this.#makeRoom(now);
    return true;
  }

  generation(identity: string, now: number): number {
    const known = this.#generations.get(identity);
    return known !== undefined && known.expires > now ? known.generation : this.#generationFloor;
  }

  endIdentity(identity: string, expires: number, now: number): number {
    const generation = Math.max(now, this.generation(identity, now) + 1);
    this.#generations.delete(identity);
    this.#generations.set(identity, { generation, expires });
    if (this.#generations.size > this.#capacity) this.#forgetIdentity(now);
    return generation;
  }

  #forgetIdentity(now: number): void {
    for (const [identity, { generation, expires }] of this.#generations) {
      this.#generations.delete(identity);
      if (expires > now) {
        this.#forgotten++;
        // Whoever was sealed before that may be of the identity that is forgotten.
        if (this.#refuse) this.#generationFloor = Math.max(this.#generationFloor, generation);
      }
      return;
    }
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
