/**
 * An account by request: what was asked for at one end, and what arrived at the other.
 *
 *     who asks (lanes) ──▶ OS ──▶ device, direct or interposed ──▶ the disk: `write`, `read`, `flush` ──▶ token
 *            └────────── says in the end what it asked for ──▶ `settle` ──────────┘
 *
 * A lane is somebody who asks for one thing after the other. Its writes are numbered from 1, and each says how many
 * flushes of the lane had been answered before (its epoch). From that follows what can be known without any other
 * knowledge of the way in between:
 *
 * | count       | meaning                                                                                            |
 * |-------------|----------------------------------------------------------------------------------------------------|
 * | `lost`      | a write whose number never came; a read that was asked for and never came; a token left open       |
 * | `doubled`   | a write whose number came before; reads or flushes beyond those asked for; a token ended twice     |
 * | `reordered` | a write that came behind a later one of its lane; a write of a new epoch while a write before it   |
 * |             | was not followed by a flush that was begun after it was done, and that was done itself             |
 *
 * An OS may make one flush of several that are asked for at one time, so fewer flushes than asked for are in order
 * as long as the epochs hold.
 */

/** A write as it names itself. */
export interface Stamp {
  readonly lane: number;
  /** From 1, in the order in which the lane asks. */
  readonly number: number;
  /** Flushes of the lane that had been answered when it asked. */
  readonly epoch: number;
}

/** A request that was taken: to be completed or given up, once. */
export interface Token {
  complete(): void;
  /** It was answered with an error. */
  giveUp(): void;
}

/** What a lane asked for in all, and was answered. */
export interface Asked {
  readonly writes: number;
  readonly reads: number;
  readonly flushes: number;
}

export interface LedgerCounts {
  /** Requests that were taken: writes, reads and flushes. */
  readonly requests: number;
  readonly completed: number;
  readonly givenUp: number;
  readonly lost: number;
  readonly doubled: number;
  readonly reordered: number;
}

interface Lane {
  /** Numbers up to this one came, but for those that are missing. */
  highest: number;
  readonly missing: Set<number>;
  epoch: number;
  /** Writes that were taken and are not ended. */
  open: number;
  /** A flush that is done has covered the writes up to this number. */
  flushed: number;
}

/** More numbers than these are not kept one by one: a number beyond is none that the lane can have given. */
const MOST_MISSING = 2 ** 20;

const LEAST: Asked = { writes: 0, reads: 0, flushes: 0 };

export class Ledger {
  readonly #lanes = new Map<number, Lane>();
  readonly #asked = new Map<number, Asked>();
  readonly #taken = { writes: 0, reads: 0, flushes: 0 };
  #open = 0;
  #completed = 0;
  #givenUp = 0;
  #doubled = 0;
  #reordered = 0;
  /** Stamps that no lane can have given. */
  #strange = 0;

  /** A write came. Its token covers the time until it is answered. */
  write({ lane: name, number, epoch }: Stamp): Token {
    const lane = this.#lane(name);
    this.#taken.writes++;
    if (number > lane.highest) {
      if (number - lane.highest > MOST_MISSING) this.#strange++;
      else {
        for (let n = lane.highest + 1; n < number; n++) lane.missing.add(n);
        // Of a new epoch: what came before it must have been flushed.
        if (epoch < lane.epoch || (epoch > lane.epoch && lane.flushed < number - 1)) this.#reordered++;
        lane.epoch = Math.max(lane.epoch, epoch);
        lane.highest = number;
      }
    } else if (lane.missing.delete(number)) this.#reordered++;
    else this.#doubled++;
    lane.open++;
    return this.#token(() => lane.open--);
  }

  read(): Token {
    this.#taken.reads++;
    return this.#token();
  }

  flush(): Token {
    this.#taken.flushes++;
    const covers = [...this.#lanes.values()]
      .filter(({ open }) => open === 0)
      .map((lane) => [lane, lane.highest] as const);
    return this.#token((completed) => {
      if (completed) for (const [lane, number] of covers) lane.flushed = Math.max(lane.flushed, number);
    });
  }

  /** A lane has ended, and says what it had asked for and was answered. */
  settle(lane: number, asked: Asked): void {
    this.#asked.set(lane, asked);
  }

  /** The account as it stands; what a lane asked for counts when it has been settled, and nothing may be under way then. */
  get counts(): LedgerCounts {
    const asked = [...this.#asked.values()].reduce(sum, LEAST);
    const settled = this.#asked.size > 0 && [...this.#lanes.keys()].every((lane) => this.#asked.has(lane));
    const { writes, reads, flushes } = this.#taken;
    let lost = this.#strange;
    for (const { missing } of this.#lanes.values()) lost += missing.size;
    let doubled = this.#doubled;
    if (settled) {
      for (const [lane, { writes: wanted }] of this.#asked) {
        const { highest } = this.#lane(lane);
        lost += Math.max(0, wanted - highest);
        // Nobody asked for it.
        doubled += Math.max(0, highest - wanted);
      }
      lost += Math.max(0, asked.reads - reads) + this.#open;
      doubled += Math.max(0, reads - asked.reads) + Math.max(0, flushes - asked.flushes);
    }
    return {
      requests: writes + reads + flushes,
      completed: this.#completed,
      givenUp: this.#givenUp,
      lost,
      doubled,
      reordered: this.#reordered,
    };
  }

  #token(ended: (completed: boolean) => void = () => undefined): Token {
    this.#open++;
    let open = true;
    const end = (completed: boolean): void => {
      if (!open) {
        this.#doubled++;
        return;
      }
      open = false;
      this.#open--;
      if (completed) this.#completed++;
      else this.#givenUp++;
      ended(completed);
    };
    return { complete: () => end(true), giveUp: () => end(false) };
  }

  #lane(name: number): Lane {
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = { highest: 0, missing: new Set(), epoch: 0, open: 0, flushed: 0 };
      this.#lanes.set(name, lane);
    }
    return lane;
  }
}

const sum = (a: Asked, b: Asked): Asked => ({
  writes: a.writes + b.writes,
  reads: a.reads + b.reads,
  flushes: a.flushes + b.flushes,
});
