/**
 * Who of those that share harts comes first: weights and limits, over the words of a seat table (seat-table.ts), under its
 * lock.
 *
 * Each OS instance has a virtual time. It advances while its harts have seats, by the time they have them (each by its
 * own), divided by the instance's weight; whose virtual time is least comes first. So the instances that compute get time
 * as their weights say, however many harts each has, and one that does not leaves its time to them.
 *
 * That of one who has slept would be far behind: it is set to that of the others (their mean, by weight), less CREDIT, so
 * that it comes first for a moment, and no more. If there are no others it is where they were when they left (CLOCK). So
 * one who had a seat because nobody else wanted it is not ahead of those who come; who is ahead had time that others
 * waited for, in a turn that took long, and makes up for it, asleep or not, up to DEBT.
 *
 * With several seats one instance's share can be more than its harts can use. Its weight counts as what they can use then
 * (EFFECTIVE: the readjustment of infeasible weights in Surplus Fair Scheduling, Chandra and others, OSDI 2000), so that the
 * others have the rest as theirs say.
 *
 * A limit (`cpu`) is a bucket of time that fills by so many milliseconds in each, up to PERIOD's worth. Whose bucket is
 * empty gets no seat until half of it is full.
 */
import * as S from '../hart/state.js';
import type { SharedWords } from './handshake.js';
import type { Sharing } from './seats.js';

/** How long one who computes has its seat before others who compute may have it (ms). */
export const SLICE = 3;
/** What one who wakes is ahead by, of its own time (ms). */
const CREDIT = 3;
/** What one may have to make up for at most, of its own time (ms): longer turns there are none, but where the host stands still. */
const DEBT = 250;
/** What one who does not sleep may be behind by (ms), where there are several seats. */
const LAG = 50;
/** So long after it was told to leave its seat (ms) a hart is not waited for. */
export const PATIENCE = 1;
/** One who has a seat looks at its clock more often than this (ms). */
const STUCK = 10;
/** One who waits looks again after this (ms): who has a seat may be stuck where no signal reaches it. */
export const LOOK_AGAIN = 50;
/** One who wakes takes the seat of one who is ahead of it by more than this, of its own time (ms). */
const GRANULARITY = 0.1;
/** What a limit's bucket holds: what it lets through in so many milliseconds. */
const PERIOD = 20;
/** No slice is shorter because a bucket is nearly empty (ms). */
const LEAST_SLICE = 0.2;

/** What container engines take for one who says nothing (cgroup v2, cpu.weight). */
export const DEFAULT_WEIGHT = 100;
export const MAX_WEIGHT = 10_000;

/** No virtual time is this. */
const NOBODY = -Infinity;

/** The record of an instance: doubles. */
export const WEIGHT = 0;
export const VIRTUAL = 1;
/** Harts' worth of time that it may have; Infinity: no limit. */
export const CPU = 2;
export const BUCKET = 3;
export const FILLED_AT = 4;
/** Milliseconds that its harts have had seats, or have run on without, together. */
export const USED = 5;
/** 1: its bucket has been empty, and is not half full yet. */
export const EMPTY = 6;
/** What its weight counts as. */
const EFFECTIVE = 7;
export const SHARE_DOUBLES = 8;

/** The record of a hart: its block and its instance's record (words), then doubles. */
export const BLOCK = 0;
export const OWNER = 1;
/** Until when its time is counted; while it waits: since when it does. */
export const SINCE = 1;
export const SLICE_END = 2;
/** When it was told to leave its seat; RUNS_ON: that was taken, and its thread has not looked since. */
export const TOLD = 3;
const RUNS_ON = Infinity;
export const PLACE_DOUBLES = 4;

/** Records as they lie in memory; offsets count doubles. */
export class Shares implements Sharing {
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  /** Harts of each instance that want seats; of those whose weight is more than they can use less than nothing. */
  readonly #wanting: Int32Array;
  /** When what is being done is done: one reading of the clock for all of it. */
  now = 0;

  /** Byte offsets: of words, of a double (the virtual time of those who want seats, or did last), and of the records. */
  constructor(
    buffer: SharedArrayBuffer,
    private readonly header: { readonly seats: number; readonly places: number; readonly clock: number },
    private readonly sharesAt: number,
    private readonly placesAt: number,
  ) {
    this.#words = new Int32Array(buffer);
    this.#doubles = new Float64Array(buffer);
    this.#wanting = new Int32Array((placesAt - sharesAt) / (8 * SHARE_DOUBLES));
  }

  get seats(): number {
    return this.#words[this.header.seats >>> 2];
  }
  get places(): number {
    return this.#words[this.header.places >>> 2];
  }
  memberAt(place: number): number {
    return this.#words[this.#place(place) * 2 + BLOCK] >>> 0;
  }

  /** Index of an instance's record, and of a hart's, among the doubles. */
  share(index: number): number {
    return (this.sharesAt >>> 3) + index * SHARE_DOUBLES;
  }
  #place(place: number): number {
    return (this.placesAt >>> 3) + place * PLACE_DOUBLES;
  }
  #ownerOf(place: number): number {
    return this.share(this.#words[this.#place(place) * 2 + OWNER]);
  }

  /** The place of a hart, -1 if it shares nothing. */
  placeOf(h: number): number {
    for (let place = 0; place < this.places; place++) if (this.memberAt(place) === h) return place;
    return -1;
  }

  /** Puts a hart of the instance with that record into a place, or nobody with 0. */
  setMember(place: number, h: number, owner: number): void {
    const at = this.#place(place) * 2;
    this.#words[at + OWNER] = owner;
    this.#words[at + BLOCK] = h;
    this.#doubles[this.#place(place) + TOLD] = 0;
  }

  /** Counts what everybody has had of time until now. To come before anything else. */
  account(now: number, words: SharedWords): void {
    const d = this.#doubles;
    this.now = now;
    this.#readjust(words);
    for (let place = 0; place < this.places; place++) {
      const h = this.memberAt(place);
      const at = this.#place(place);
      if (h === 0 || (words.load(h + S.SEAT) < S.SEAT_HELD && d[at + TOLD] !== RUNS_ON)) continue;
      const owner = this.#ownerOf(place);
      const time = Math.max(0, now - d[at + SINCE]);
      d[at + SINCE] = now;
      d[owner + USED] += time;
      d[owner + VIRTUAL] += time / d[owner + EFFECTIVE];
      if (d[owner + CPU] !== Infinity) d[owner + BUCKET] -= time;
    }
    for (let place = 0; place < this.places; place++) {
      if (this.memberAt(place) !== 0) this.#refill(this.#ownerOf(place), words);
    }
    if (this.seats > 1) this.#keepTogether(words);
    const mean = this.#mean(words, -1);
    if (mean !== NOBODY) d[this.header.clock >>> 3] = mean;
  }

  /** What weights count as for those who want seats and may have them. */
  #readjust(words: SharedWords): void {
    const d = this.#doubles;
    const wanting = this.#wanting.fill(0);
    let weights = 0;
    for (let place = 0; place < this.places; place++) {
      const h = this.memberAt(place);
      if (h === 0) continue;
      const owner = this.#ownerOf(place);
      d[owner + EFFECTIVE] = d[owner + WEIGHT];
      if (words.load(h + S.SEAT) === S.SEAT_NONE || d[owner + EMPTY] === 1) continue;
      if (wanting[this.#words[this.#place(place) * 2 + OWNER]]++ === 0) weights += d[owner + WEIGHT];
    }
    if (this.seats < 2) return;
    let left = this.seats;
    let rate = 0;
    // The greatest weight of a hart first: when it is not too much none is.
    for (let most = this.#heaviest(); most >= 0; most = this.#heaviest()) {
      const weight = this.get(most, WEIGHT);
      const harts = wanting[most];
      rate = weights / left;
      if (weight <= harts * rate) break;
      wanting[most] = -harts;
      weights -= weight;
      left -= harts;
      rate = weight / harts;
    }
    for (let index = 0; index < wanting.length; index++) {
      if (wanting[index] < 0) this.set(index, EFFECTIVE, -wanting[index] * rate);
    }
  }

  /** Of the instances that want seats, and whose weight is not known to be too much: that of the greatest for a hart; -1: none. */
  #heaviest(): number {
    const wanting = this.#wanting;
    let best = -1;
    for (let index = 0; index < wanting.length; index++) {
      if (wanting[index] <= 0) continue;
      if (best < 0 || this.get(index, WEIGHT) * wanting[best] > this.get(best, WEIGHT) * wanting[index]) best = index;
    }
    return best;
  }

  #refill(owner: number, words: SharedWords): void {
    const d = this.#doubles;
    const rate = d[owner + CPU];
    if (rate === Infinity) return;
    const most = rate * PERIOD;
    d[owner + BUCKET] = Math.min(most, d[owner + BUCKET] + Math.max(0, this.now - d[owner + FILLED_AT]) * rate);
    d[owner + FILLED_AT] = this.now;
    if (d[owner + BUCKET] <= 0) d[owner + EMPTY] = 1;
    else if (d[owner + EMPTY] === 1 && d[owner + BUCKET] >= most / 2) {
      this.#joinOthers(owner, words);
      d[owner + EMPTY] = 0;
    }
  }

  /** How long until the hart may have a seat, if one is free (ms); 0: now. */
  emptyFor(h: number): number {
    const d = this.#doubles;
    const owner = this.#ownerOf(this.placeOf(h));
    if (d[owner + EMPTY] === 0) return 0;
    return Math.max(LEAST_SLICE, PERIOD / 2 - d[owner + BUCKET] / d[owner + CPU]);
  }

  /** The hart wants a seat that it did not want until now. */
  arrive(h: number, words: SharedWords): void {
    const mine = this.#ownerOf(this.placeOf(h));
    for (let place = 0; place < this.places; place++) {
      const member = this.memberAt(place);
      // With another hart of its own that wants one it has not slept.
      if (member !== 0 && this.#ownerOf(place) === mine && words.load(member + S.SEAT) !== S.SEAT_NONE) return;
    }
    this.#joinOthers(mine, words);
  }

  /** An instance that wanted nothing, or might have nothing, is one of those who want seats. */
  #joinOthers(share: number, words: SharedWords): void {
    const mean = this.#others(words, share);
    const d = this.#doubles;
    const weight = d[share + WEIGHT];
    // Where the others are light, and far apart, the first of them may be further behind than CREDIT of a heavy one's time.
    const least = Math.min(mean - CREDIT / weight, this.#least(words, share) - (2 * GRANULARITY) / weight);
    d[share + VIRTUAL] = Math.min(mean + DEBT / weight, Math.max(least, d[share + VIRTUAL]));
  }

  /** The mean virtual time of those but `except` who want seats, or did last. */
  #others(words: SharedWords, except: number): number {
    const mean = this.#mean(words, except);
    return mean === NOBODY ? this.#doubles[this.header.clock >>> 3] : mean;
  }

  /** The least virtual time of those but `except` who want seats and may have them. */
  #least(words: SharedWords, except: number): number {
    let least = Infinity;
    for (let place = 0; place < this.places; place++) {
      const h = this.memberAt(place);
      if (h === 0 || words.load(h + S.SEAT) === S.SEAT_NONE) continue;
      const owner = this.#ownerOf(place);
      if (owner === except || this.#doubles[owner + EMPTY] === 1) continue;
      least = Math.min(least, this.#doubles[owner + VIRTUAL]);
    }
    return least;
  }

  /** The hart waits from now on. */
  queue(h: number): void {
    this.#doubles[this.#place(this.placeOf(h)) + SINCE] = this.now;
  }

  next(words: SharedWords): number {
    const d = this.#doubles;
    let best = -1;
    for (let place = 0; place < this.places; place++) {
      const h = this.memberAt(place);
      if (h === 0 || words.load(h + S.SEAT) !== S.SEAT_WANTED) continue;
      if (d[this.#ownerOf(place) + EMPTY] === 0 && (best < 0 || this.#before(place, best))) best = place;
    }
    if (best < 0) return 0;
    const at = this.#place(best);
    const owner = this.#ownerOf(best);
    const most = d[owner + CPU] === Infinity ? SLICE : Math.max(LEAST_SLICE, Math.min(SLICE, d[owner + BUCKET]));
    d[at + SINCE] = this.now;
    d[at + SLICE_END] = this.now + most;
    return this.memberAt(best);
  }

  /** Whether one who waits comes before another: of two harts of one instance, the one that waits longer. */
  #before(place: number, other: number): boolean {
    const d = this.#doubles;
    const [mine, theirs] = [this.#ownerOf(place), this.#ownerOf(other)];
    if (mine === theirs) return d[this.#place(place) + SINCE] < d[this.#place(other) + SINCE];
    return d[mine + VIRTUAL] < d[theirs + VIRTUAL];
  }

  displaced(h: number, words: SharedWords): number {
    const d = this.#doubles;
    const mine = this.#ownerOf(this.placeOf(h));
    if (d[mine + EMPTY] !== 0) return 0;
    const stuck = this.#stuck(h, words);
    if (stuck !== 0) return stuck;
    let most = d[mine + VIRTUAL] + GRANULARITY / d[mine + WEIGHT];
    let victim = 0;
    for (let place = 0; place < this.places; place++) {
      const member = this.memberAt(place);
      if (member === 0 || words.load(member + S.SEAT) !== S.SEAT_HELD) continue;
      const owner = this.#ownerOf(place);
      if (owner === mine || d[owner + VIRTUAL] <= most) continue;
      most = d[owner + VIRTUAL];
      victim = member;
    }
    return victim;
  }

  /** Who has a seat, and has not looked for long after the end of its slice; 0: nobody. */
  #stuck(but: number, words: SharedWords): number {
    for (let place = 0; place < this.places; place++) {
      const h = this.memberAt(place);
      if (h === 0 || h === but || words.load(h + S.SEAT) !== S.SEAT_HELD) continue;
      if (this.now - this.sliceEnd(place) > STUCK) return h;
    }
    return 0;
  }

  told(h: number): void {
    this.#doubles[this.#place(this.placeOf(h)) + TOLD] = this.now;
  }

  taken(h: number): void {
    this.#doubles[this.#place(this.placeOf(h)) + TOLD] = RUNS_ON;
  }

  /** The hart's thread has looked, or is dead: it does not run on. To come after `account`. */
  looks(h: number): void {
    const at = this.#place(this.placeOf(h)) + TOLD;
    if (this.#doubles[at] === RUNS_ON) this.#doubles[at] = 0;
  }

  overdue(words: SharedWords): number {
    for (let place = 0; place < this.places; place++) {
      const h = this.memberAt(place);
      if (h === 0 || words.load(h + S.SEAT) !== S.SEAT_LEAVE) continue;
      if (this.now - this.#doubles[this.#place(place) + TOLD] >= PATIENCE) return h;
    }
    return 0;
  }

  /** Somebody is told to leave a seat, and has not. */
  anyLeaves(words: SharedWords): boolean {
    for (let place = 0; place < this.places; place++) {
      const h = this.memberAt(place);
      if (h !== 0 && words.load(h + S.SEAT) === S.SEAT_LEAVE) return true;
    }
    return false;
  }

  /** When the slice of the hart in a place is over. Read by the hart that has it, which alone can be given another. */
  sliceEnd(place: number): number {
    return this.#doubles[this.#place(place) + SLICE_END];
  }

  #keepTogether(words: SharedWords): void {
    const mean = this.#mean(words, -1);
    for (let place = 0; place < this.places; place++) {
      const h = this.memberAt(place);
      if (h === 0 || words.load(h + S.SEAT) === S.SEAT_NONE) continue;
      const owner = this.#ownerOf(place);
      const d = this.#doubles;
      if (d[owner + EMPTY] === 1) continue;
      const weight = d[owner + EFFECTIVE];
      d[owner + VIRTUAL] = Math.min(mean + DEBT / weight, Math.max(mean - LAG / weight, d[owner + VIRTUAL]));
    }
  }

  /**
   * Mean virtual time, by weight, of those but `except` who want seats and may have them (an instance with several such
   * harts counts as often); NOBODY: there are none.
   */
  #mean(words: SharedWords, except: number): number {
    const d = this.#doubles;
    let weights = 0;
    let sum = 0;
    for (let place = 0; place < this.places; place++) {
      const h = this.memberAt(place);
      if (h === 0 || words.load(h + S.SEAT) === S.SEAT_NONE) continue;
      const owner = this.#ownerOf(place);
      if (owner === except || d[owner + EMPTY] === 1) continue;
      weights += d[owner + EFFECTIVE];
      sum += d[owner + EFFECTIVE] * d[owner + VIRTUAL];
    }
    return weights > 0 ? sum / weights : NOBODY;
  }

  /** Gives an instance another weight. What it is behind or ahead by it keeps, as time of its own, within bounds. */
  changeWeight(index: number, weight: number, words: SharedWords): void {
    const share = this.share(index);
    const d = this.#doubles;
    const others = this.#others(words, share);
    d[share + VIRTUAL] = others + ((d[share + VIRTUAL] - others) * d[share + WEIGHT]) / weight;
    d[share + WEIGHT] = weight;
    this.#joinOthers(share, words);
  }

  /** Adds the harts of an instance that wait for a seat. */
  waiting(index: number, words: SharedWords, into: number[]): void {
    for (let place = 0; place < this.places; place++) {
      const h = this.memberAt(place);
      if (h === 0 || words.load(h + S.SEAT) !== S.SEAT_WANTED || into.includes(h)) continue;
      if (this.#ownerOf(place) === this.share(index)) into.push(h);
    }
  }

  /** What the bucket of a limit holds. */
  bucketOf(cpu: number): number {
    return cpu * PERIOD;
  }

  get(share: number, field: number): number {
    return this.#doubles[this.share(share) + field];
  }
  set(share: number, field: number, value: number): void {
    this.#doubles[this.share(share) + field] = value;
  }
}
