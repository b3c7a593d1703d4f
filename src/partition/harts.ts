/**
 * What a computer has of harts, and who has it:
 *
 *   harts     as many OS instances' harts can run at once. Each belongs to one instance, or to nobody; those that belong to
 *             nobody are the seats of the instances that share (computer/seats.ts), as long as there are such
 *   blocks    room for the state of logical harts: more than there are harts, because an instance may have harts some
 *             day that it does not have now, and harts may be shared
 *   threads   one for each logical hart that runs; kept for the next one
 */
import { ComputerError } from '../computer/errors.js';
import { FRAME_SIZE } from '../computer/memory.js';
import type { SeatTable, HartClaim } from '../computer/seat-table.js';
import { holderOf } from './assignment.js';
import type { HartSupply, HartThread, Platform } from './hart.js';

/** Where the blocks lie: frames in a row. */
export interface HartBlocks {
  readonly first: number;
  /** Frames of each. */
  readonly frames: number;
  readonly count: number;
}

/** What an OS instance that shares harts is to have of them, and has had. */
export interface HartShare {
  /** Time in proportion to that of the others who want it, 1 to 10,000. */
  readonly weight: number;
  /** Harts' worth of time that it may have at most; Infinity: no limit. */
  readonly cpu: number;
  /** Milliseconds that its harts have had, together. */
  readonly used: number;
}

/** The same, to be changed. */
export interface PartitionShare extends HartShare {
  /** Changes it, from now on; of an instance that has ended nothing. */
  set(share: HartClaim): void;
}

export class Harts {
  /** Every thread there is. */
  readonly #threads = new Set<HartThread>();
  /** Those that run nothing, the longest idle first. */
  readonly #idle: HartThread[] = [];
  /** Byte offsets of the blocks that nobody has; the last one used comes first, because the host has memory for it already. */
  readonly #blocks: number[];
  #owned = 0;
  #total = 0;
  /** Logical harts that share. */
  #sharing = 0;

  /** Starts a thread for each hart, so that they are there when they are needed; throws what that throws, and no thread remains. */
  constructor(
    private readonly platform: Platform,
    total: number,
    blocks: HartBlocks,
    private readonly seats: SeatTable,
    private readonly seatTable: number,
  ) {
    this.#blocks = Array.from({ length: blocks.count }, (_, n) => (blocks.first + n * blocks.frames) * FRAME_SIZE);
    try {
      this.add(total);
    } catch (error) {
      void this.close();
      throw error;
    }
  }

  /** How many there are. */
  get total(): number {
    return this.#total;
  }

  /** Harts that an OS instance could have to itself: those of nobody, less one for those who share. */
  get free(): number {
    return this.#total - this.#owned - (this.#sharing > 0 ? 1 : 0);
  }

  /** Adds harts, each with its thread. Throws what starting a thread throws: then there are none more than before. */
  add(count: number): void {
    for (let n = 0; n < count; n++) this.#idle.push(this.#start());
    this.#total += count;
    this.#setSeats();
  }

  /** Harts that those who share them share now; 0 if nobody does. */
  get shared(): number {
    return this.#sharing > 0 ? this.total - this.#owned : 0;
  }

  /** Harts that are an instance's own. Throws ComputerError `no-hart` if fewer than `count` are free. */
  own(count: number): HartSupply {
    this.#check(count);
    return {
      seatTable: undefined,
      take: () => {
        this.#check(1);
        const thread = this.#thread();
        this.#owned++;
        this.#setSeats();
        return thread;
      },
      giveBack: (_, thread) => {
        this.#owned--;
        this.#idle.push(thread);
        this.#setSeats();
      },
      lost: () => undefined,
    };
  }

  /**
   * Harts that an instance shares with others; `close` when it has given them back.
   * Throws ComputerError `no-hart` if there are not `count` harts, or all are instances' own; so does taking one more than
   * there are.
   */
  share(count: number, share: HartClaim): { supply: HartSupply; share: PartitionShare; close: () => void } {
    let has = 0;
    const check = (wanted: number): void => {
      if (wanted > this.total) throw new ComputerError('no-hart', `${wanted} harts asked for, there are ${this.total}`);
      if (this.#owned === this.total) {
        throw new ComputerError('no-hart', `all ${this.total} harts belong to instances that do not share them`);
      }
    };
    check(count);
    const { seats } = this;
    const index = seats.open(share);
    let present = share;
    /** What it had when it ended: its record is for the next. */
    let ended: number | undefined;
    const supply: HartSupply = {
      seatTable: this.seatTable,
      take: (block) => {
        check(has + 1);
        const thread = this.#thread();
        has++;
        seats.join(block, index);
        this.#sharing++;
        this.#setSeats();
        return thread;
      },
      giveBack: (block, thread) => {
        seats.part(block);
        has--;
        this.#sharing--;
        this.#idle.push(thread);
        this.#setSeats();
      },
      lost: (block) => seats.lose(block, holderOf(block)),
    };
    return {
      supply,
      share: {
        get weight() {
          return present.weight;
        },
        get cpu() {
          return present.cpu;
        },
        get used() {
          return ended ?? seats.used(index);
        },
        set: (to) => {
          if (ended !== undefined) return;
          present = to;
          seats.change(index, to);
        },
      },
      close: () => {
        ended = seats.used(index);
        seats.close(index);
      },
    };
  }

  #setSeats(): void {
    this.seats.setSeats(this.shared);
  }

  #check(count: number): void {
    if (count <= this.free) return;
    throw new ComputerError('no-hart', `${count} harts asked for, ${this.free} of ${this.total} are free`);
  }

  #thread(): HartThread {
    return this.#idle.shift() ?? this.#start();
  }

  /** Blocks for so many logical harts. Throws ComputerError `no-hart`, having taken none. */
  takeBlocks(count: number): number[] {
    if (count > this.#blocks.length) {
      const left = `there is room for ${this.#blocks.length} more`;
      throw new ComputerError('no-hart', `${count} harts asked for; ${left}, with those that instances may get later`);
    }
    return this.#blocks.splice(0, count);
  }

  giveBackBlocks(blocks: readonly number[]): void {
    this.#blocks.unshift(...blocks);
  }

  /** Ends all threads. */
  async close(): Promise<void> {
    await Promise.all([...this.#threads].map((thread) => thread.terminate()));
  }

  #start(): HartThread {
    const thread = this.platform.startHartThread();
    this.#threads.add(thread);
    return thread;
  }
}
