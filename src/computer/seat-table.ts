/**
 * The seats of a computer (seats.ts) and what those who share them have had of them, in shared memory that no guest reaches:
 *
 *   0x00  lock
 *   0x04  seats: how many harts can run at once
 *   0x08  places in use lie below this one
 *   0x0c  for how many harts and instances it has records
 *   0x10  their virtual time, a double (shares.ts)
 *   0x40  a record for each OS instance that shares, 64 bytes, and one for each of its harts, 32 bytes (shares.ts)
 *
 * The main thread says who shares; the harts' threads give each other seats.
 */
import { hostNow } from './clock.js';
import { AtomicWords, SIGNAL, take } from './handshake.js';
import { leaveSeat, loseSeat, seatsChanged, wantSeat } from './seats.js';
import type { Seats } from './shared-hart.js';
import {
  BUCKET,
  CPU,
  EMPTY,
  FILLED_AT,
  LOOK_AGAIN,
  PATIENCE,
  PLACE_DOUBLES,
  SHARE_DOUBLES,
  Shares,
  USED,
  WEIGHT,
} from './shares.js';
import * as S from '../hart/state.js';
import { freeLock, lock, StateError, unlock } from './state-page.js';

const SEATS = 4;
const PLACES = 8;
const SIZE = 12;
const CLOCK = 16;
const HEADER = 0x40;

/** What an OS instance is to have of the harts that it shares. */
export interface HartClaim {
  /** Time in proportion to those of the others who want it. */
  readonly weight: number;
  /** Harts' worth of time that it may have at most; Infinity: no limit. */
  readonly cpu: number;
}

/** Bytes of a table for so many harts. */
export const seatTableSize = (harts: number): number => HEADER + harts * 8 * (SHARE_DOUBLES + PLACE_DOUBLES);

export class SeatTable implements Seats {
  readonly #words: Int32Array;
  readonly #shared: AtomicWords;
  readonly #lock: number;
  readonly #shares: Shares;
  private readonly harts: number;
  /** Of the hart that this thread runs, once it is known. */
  #place = -1;

  /** The table at byte `offset`; with `size` a new one there, for so many harts, of which all is zero. */
  constructor(
    buffer: SharedArrayBuffer,
    private readonly offset: number,
    size?: number,
  ) {
    this.#words = new Int32Array(buffer);
    this.#shared = new AtomicWords(this.#words);
    this.#lock = offset >>> 2;
    if (size !== undefined) this.#words[(offset + SIZE) >>> 2] = size;
    this.harts = this.#words[(offset + SIZE) >>> 2];
    const shares = offset + HEADER;
    const header = { seats: offset + SEATS, places: offset + PLACES, clock: offset + CLOCK };
    this.#shares = new Shares(buffer, header, shares, shares + this.harts * 8 * SHARE_DOUBLES);
  }

  // What a hart's thread does.

  want(h: number, rings: number[]): number {
    lock(this.#words, this.#lock);
    const shares = this.#shares;
    const shared = this.#shared;
    shares.account(hostNow(), shared);
    shares.looks(h);
    if (shared.load(h + S.SEAT) === S.SEAT_NONE) shares.arrive(h, shared);
    if (shared.load(h + S.SEAT) !== S.SEAT_WANTED) shares.queue(h);
    const held = wantSeat(h, shares, shared, rings);
    const empty = held ? 0 : shares.emptyFor(h);
    const wait = shares.anyLeaves(shared) ? PATIENCE : LOOK_AGAIN;
    this.#place = shares.placeOf(h);
    unlock(this.#words, this.#lock);
    return held ? 0 : empty > 0 ? empty : wait;
  }

  leave(h: number, rings: number[]): void {
    lock(this.#words, this.#lock);
    this.#shares.account(hostNow(), this.#shared);
    this.#shares.looks(h);
    leaveSeat(h, this.#shares, this.#shared, rings);
    unlock(this.#words, this.#lock);
  }

  isOver(): boolean {
    return hostNow() >= this.#shares.sliceEnd(this.#place);
  }

  /** What a thread that has failed does first of all: others wait. */
  abandon(holder: number): void {
    freeLock(this.#words, this.#lock, holder);
  }

  // What the main thread does.

  /** Makes a record for an instance; its index. */
  open(share: HartClaim): number {
    for (let index = 0; index < this.harts; index++) {
      if (this.#shares.get(index, WEIGHT) !== 0) continue;
      this.#locked(() => {
        for (let field = 0; field < SHARE_DOUBLES; field++) this.#shares.set(index, field, 0);
        this.#shares.set(index, BUCKET, Infinity);
        this.#write(index, share);
      });
      return index;
    }
    throw new RangeError(`more than ${this.harts} instances share harts`);
  }

  close(index: number): void {
    this.#locked(() => this.#shares.set(index, WEIGHT, 0));
  }

  /** Changes what an instance is to have, from now on. */
  change(index: number, share: HartClaim): void {
    this.#locked((rings) => {
      this.#write(index, share);
      // One whose bucket was empty may have a seat now, or sooner than it looks.
      seatsChanged(this.#shares, this.#shared, rings);
      this.#shares.waiting(index, this.#shared, rings);
    });
  }

  /** What its bucket is short of it stays short of, whatever the limit is from now on. */
  #write(index: number, { weight, cpu }: HartClaim): void {
    const shares = this.#shares;
    shares.changeWeight(index, weight, this.#shared);
    shares.set(index, CPU, cpu);
    shares.set(index, FILLED_AT, hostNow());
    shares.set(index, BUCKET, Math.min(shares.get(index, BUCKET), shares.bucketOf(cpu)));
    if (cpu === Infinity) shares.set(index, EMPTY, 0);
  }

  /** Milliseconds that the harts of an instance have had seats, together. */
  used(index: number): number {
    return this.#locked(() => this.#shares.get(index, USED));
  }

  /** A hart of an instance shares from now on; it wants no seat yet. */
  join(h: number, index: number): void {
    this.#locked(() => {
      let place = this.#shares.placeOf(0);
      if (place < 0) {
        place = this.#words[(this.offset + PLACES) >>> 2]++;
      }
      this.#shares.setMember(place, h, index);
    });
  }

  /** A hart that wants no seat shares no more. */
  part(h: number): void {
    this.#locked(() => this.#shares.setMember(this.#shares.placeOf(h), 0, 0));
  }

  /** The thread of a hart that shared is dead, `holder` its name as a holder of locks. */
  lose(h: number, holder: number): void {
    this.abandon(holder);
    if (this.#shares.placeOf(h) < 0) return;
    this.#locked((rings) => {
      this.#shares.looks(h);
      loseSeat(h, this.#shares, this.#shared, rings);
    });
  }

  /** So many harts can run at once from now on. */
  setSeats(seats: number): void {
    this.#locked((rings) => {
      this.#words[(this.offset + SEATS) >>> 2] = seats;
      seatsChanged(this.#shares, this.#shared, rings);
    });
  }

  /** Does something to the table, with everybody's time counted until now, and tells whom it concerns. */
  #locked<T>(work: (rings: number[]) => T): T {
    const rings: number[] = [];
    this.#take();
    let answer: T;
    try {
      this.#shares.account(hostNow(), this.#shared);
      answer = work(rings);
    } finally {
      unlock(this.#words, this.#lock);
    }
    for (const h of rings) take(SIGNAL, this.#shared, h);
    return answer;
  }

  /** A thread that died in the lock cannot be heard of while the main thread waits: the lock is taken from it. */
  #take(): void {
    for (;;) {
      try {
        return lock(this.#words, this.#lock);
      } catch (error) {
        if (!(error instanceof StateError)) throw error;
        unlock(this.#words, this.#lock);
      }
    }
  }
}
