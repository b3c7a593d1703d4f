/**
 * Harts of the computer that several logical harts share are _seats_: there are fewer of them than of those who want one,
 * and a hart runs only while it has one. Its SEAT word says which of these it is:
 *
 *     NONE ──want──▶ WANTED ──its turn──▶ HELD ──somebody else is to have it──▶ LEAVE
 *      ▲               │ ▲                 │ │                                   │ │
 *      │               │ ╰──── want: is another to have it first? ◀──────────────╯ │
 *      ╰──── leave: it sleeps, is paused, stops ──────────────────────────────────╯
 *
 * A hart that is to leave does so as soon as its thread looks, which is soon unless the host keeps the thread from its core,
 * or it does something else for long. It is not waited for: its seat is taken (NONE), and when the thread looks it wants
 * one anew. What it runs on until then is time that it has had.
 *
 * Every function here is called by one thread at a time (the table's lock), and is as good as one step to all others. What
 * it leaves to be done is to signal the harts in `rings`, in steps of their own. Nothing is counted anywhere but in the
 * words themselves, so that a thread that dies in the middle leaves nothing behind that the next one does not put right.
 */
import * as S from '../hart/state.js';
import type { SharedWords } from './handshake.js';

/** Who shares, and who of them goes first. */
export interface Sharing {
  /** How many can run at once. */
  readonly seats: number;
  /** Members are in places below this. */
  readonly places: number;
  /** Byte offset of the block of the hart in a place; 0: nobody. */
  memberAt(place: number): number;
  /** Who of those who wait is to have the next seat; 0: none of them may have one now. */
  next(words: SharedWords): number;
  /** Who is to leave for `h`, of those who have a seat and have not been told to; 0: nobody. */
  displaced(h: number, words: SharedWords): number;
  /** Who was told to leave and has not, for so long that it is not waited for; 0: nobody. */
  overdue(words: SharedWords): number;
  /** The hart has been told to leave. */
  told(h: number): void;
  /** The hart's seat has been taken: it runs on until its thread looks. */
  taken(h: number): void;
}

/** Whether a hart in this SEAT state has a seat. */
const sits = (seat: number): boolean => seat === S.SEAT_HELD || seat === S.SEAT_LEAVE;

/** The hart wants to run, or to run on if nobody else is to. True: it may. */
export function wantSeat(h: number, sharing: Sharing, words: SharedWords, rings: number[]): boolean {
  const sat = sits(words.load(h + S.SEAT));
  words.store(h + S.SEAT, S.SEAT_WANTED);
  const late = sharing.overdue(words);
  if (late !== 0) {
    words.store(late + S.SEAT, S.SEAT_NONE);
    sharing.taken(late);
    // Whoever told it to leave may not have signalled it yet.
    rings.push(late);
  }
  fill(h, sharing, words, rings);
  if (words.load(h + S.SEAT) === S.SEAT_HELD) return true;
  // Whose slice is over waits for the end of another's; who wakes does not.
  if (sat) return false;
  const other = sharing.displaced(h, words);
  if (other !== 0) tell(other, sharing, words, rings);
  return false;
}

/** The hart wants no seat any more. */
export function leaveSeat(h: number, sharing: Sharing, words: SharedWords, rings: number[]): void {
  words.store(h + S.SEAT, S.SEAT_NONE);
  fill(0, sharing, words, rings);
}

/** The hart's thread is dead, and may have taken with it what it had to signal: whoever has a seat is told so again. */
export function loseSeat(h: number, sharing: Sharing, words: SharedWords, rings: number[]): void {
  leaveSeat(h, sharing, words, rings);
  for (let place = 0; place < sharing.places; place++) {
    const member = sharing.memberAt(place);
    if (member !== 0 && words.load(member + S.SEAT) !== S.SEAT_NONE && !rings.includes(member)) rings.push(member);
  }
}

/** There are more seats than there were, or fewer: who has none yet gets one, who has one too many is told. */
export function seatsChanged(sharing: Sharing, words: SharedWords, rings: number[]): void {
  fill(0, sharing, words, rings);
  let tooMany = -sharing.seats;
  for (let place = 0; place < sharing.places; place++) {
    const member = sharing.memberAt(place);
    if (member !== 0 && words.load(member + S.SEAT) === S.SEAT_HELD) tooMany++;
  }
  for (let place = 0; place < sharing.places && tooMany > 0; place++) {
    const member = sharing.memberAt(place);
    if (member === 0 || words.load(member + S.SEAT) !== S.SEAT_HELD) continue;
    tell(member, sharing, words, rings);
    tooMany--;
  }
}

function tell(holder: number, sharing: Sharing, words: SharedWords, rings: number[]): void {
  words.store(holder + S.SEAT, S.SEAT_LEAVE);
  sharing.told(holder);
  rings.push(holder);
}

/** Gives the seats that are free to those who wait. `me` need not be told. */
function fill(me: number, sharing: Sharing, words: SharedWords, rings: number[]): void {
  let free = sharing.seats;
  for (let place = 0; place < sharing.places; place++) {
    const member = sharing.memberAt(place);
    if (member !== 0 && sits(words.load(member + S.SEAT))) free--;
  }
  for (; free > 0; free--) {
    const next = sharing.next(words);
    if (next === 0) return;
    words.store(next + S.SEAT, S.SEAT_HELD);
    if (next !== me) rings.push(next);
  }
}
