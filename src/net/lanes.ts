/**
 * What waits for one station of the switch: a lane for each station that sends to it, served in turns (deficit round
 * robin). Who floods a station fills a lane of its own, and waits for itself.
 *
 *   from a ─▶ ▒▒▒▒▒▒▒▒▒▒▒ ─┐
 *   from b ─▶ ▒           ─┼─▶ a round: about 64 KiB of the heaviest, of others in proportion, then the next
 *   from c ─▶ ▒▒▒         ─┘
 *
 * All lanes together hold `limit` bytes; however full they are, each sender still has room for an eighth of that.
 */
import { Queue } from './queue.js';

/** What a lane may deliver in one round, in bytes; a frame costs its length and what any frame costs. */
const ROUND = 64 * 1024;
export const FRAME_COST = 4096;
/** Frames that may wait for one station, whatever their size; and those that one sender always has room for. */
const MAX_FRAMES = 8192;
const MAX_OWN_FRAMES = MAX_FRAMES / 8;

export class Lane<S> {
  readonly queue = new Queue<Uint8Array>();
  bytes = 0;
  /** What it may still deliver in this round. */
  credit = 0;
  /** Among the lanes that have something. */
  listed = false;

  constructor(readonly from: S) {}
}

export class Lanes<S> {
  readonly #bySender = new Map<S, Lane<S>>();
  readonly #listed = new Queue<Lane<S>>();
  readonly #waiting = new Set<Lane<S>>();
  bytes = 0;
  frames = 0;

  /** The largest weight of a sender. */
  #heaviest = 1;

  constructor(
    readonly limit: number,
    private readonly weightOf: (from: S) => number = () => 1,
  ) {}

  /** Senders have other weights than before, or there are others. */
  weigh(): void {
    this.#heaviest = 0;
    for (const from of this.#bySender.keys()) this.#heaviest = Math.max(this.#heaviest, this.weightOf(from));
  }

  /** Takes a frame if there is room. The second answer: whether the sender may go on sending. */
  push(from: S, frame: Uint8Array): { taken: boolean; roomy: boolean } {
    let lane = this.#bySender.get(from);
    if (lane === undefined) {
      lane = new Lane(from);
      this.#bySender.set(from, lane);
      this.weigh();
    }
    const common = this.bytes + frame.length <= this.limit && this.frames < MAX_FRAMES;
    const own = lane.bytes + frame.length <= this.limit / 8 && lane.queue.length < MAX_OWN_FRAMES;
    if (!common && !own) return this.#wait(lane, NOT_TAKEN);
    lane.queue.push(frame);
    lane.bytes += frame.length;
    this.bytes += frame.length;
    this.frames++;
    if (!lane.listed) {
      lane.listed = true;
      lane.credit = 0;
      this.#listed.push(lane);
    }
    const roomy =
      this.bytes * 2 <= this.limit || (lane.bytes * 16 <= this.limit && lane.queue.length < MAX_OWN_FRAMES / 2);
    return roomy ? TAKEN : this.#wait(lane, TAKEN_BUT_WAIT);
  }

  /** The frame that is next; undefined if nothing waits. */
  peek(): Uint8Array | undefined {
    for (;;) {
      const lane = this.#listed.peek();
      if (lane === undefined) return undefined;
      const frame = lane.queue.peek();
      if (frame === undefined) {
        this.#listed.shift();
        lane.listed = false;
      } else if (lane.credit > 0) return frame;
      else {
        lane.credit += (ROUND * this.weightOf(lane.from)) / this.#heaviest;
        // Alone, it need not go round.
        if (this.#listed.length > 1) {
          this.#listed.shift();
          this.#listed.push(lane);
        }
      }
    }
  }

  /** Takes the frame that `peek` gave out of its lane. */
  shift(frame: Uint8Array): void {
    const lane = this.#listed.peek();
    if (lane?.queue.peek() !== frame) return;
    lane.queue.shift();
    lane.credit -= frame.length + FRAME_COST;
    lane.bytes -= frame.length;
    this.bytes -= frame.length;
    this.frames--;
  }

  /** Senders that were told to wait and may go on now. */
  release(): S[] {
    if (this.#waiting.size === 0) return NOBODY;
    const released: S[] = [];
    for (const lane of this.#waiting) {
      if (this.bytes * 4 > this.limit && lane.bytes * 32 > this.limit) continue;
      this.#waiting.delete(lane);
      released.push(lane.from);
    }
    return released;
  }

  /** Drops everything. Gives the senders that were told to wait: they wait for nothing. */
  clear(): S[] {
    const released = [...this.#waiting].map((lane) => lane.from);
    this.#bySender.clear();
    this.#waiting.clear();
    this.#listed.clear();
    this.bytes = this.frames = 0;
    return released;
  }

  /** The sender is gone; what it sent is delivered all the same. */
  forget(from: S): void {
    const lane = this.#bySender.get(from);
    if (lane === undefined) return;
    this.#bySender.delete(from);
    this.#waiting.delete(lane);
    this.weigh();
  }

  #wait(lane: Lane<S>, answer: { taken: boolean; roomy: boolean }): { taken: boolean; roomy: boolean } {
    this.#waiting.add(lane);
    return answer;
  }
}

const TAKEN = { taken: true, roomy: true };
const TAKEN_BUT_WAIT = { taken: true, roomy: false };
const NOT_TAKEN = { taken: false, roomy: false };
const NOBODY: never[] = [];
