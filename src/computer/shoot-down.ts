/**
 * A hart makes others forget their translations, and goes on when they have, or will have before they execute anything
 * (remote fences of the SBI; a frame that may be written no more). One step at the shared words at a time, as in
 * handshake.ts, and checked with it.
 *
 *     for each hart   ASK ──▶ RAISE ──▶ RING
 *     then for each   LOOK ──▶ LOOK_STATE ──▶ OWN_ASKED ──(forget)──▶ OWN_ANSWER ──▶ OWN_RING ──▶ OWN_REQUEST ──▶ NAP ─╮
 *                     ▲ done?   stands still?  asked itself?                                      told to stop?        │
 *                     ╰───────────────────────────────────────────────────────────────────────────────────────────────╯
 */
import * as S from '../hart/state.js';
import { FORGET, NOTHING, OVER, type SharedWords } from './handshake.js';

export const ASK = 0;
export const RAISE = 1;
export const RING = 2;
export const LOOK = 3;
export const LOOK_STATE = 4;
export const OWN_ASKED = 5;
export const OWN_ANSWER = 6;
export const OWN_RING = 7;
export const OWN_REQUEST = 8;
export const NAP = 9;
/** All have forgotten. */
export const DONE = 10;
/** This hart is to stop: it does not wait for the others any more. */
export const LEFT = 11;

/** A wait for another hart's answer is looked at afresh this often (ms): that hart may have been made to stand still. */
const ANSWER_POLL = 1;

export interface ShootDown {
  /** The hart that asks. */
  readonly own: number;
  readonly others: readonly number[];
  /** What each of the others will have counted up to. */
  readonly tickets: number[];
  at: number;
  index: number;
  /** What was last read: the other's count, or what is asked of this hart. */
  seen: number;
}

export const shootDown = (own: number, others: readonly number[]): ShootDown => ({
  own,
  others,
  tickets: [],
  at: others.length === 0 ? DONE : ASK,
  index: 0,
  seen: 0,
});

/** One step. FORGET: the asker forgets its own translations before the next one. OVER: there is no other. */
export function shootDownStep(s: ShootDown, words: SharedWords): number {
  const other = s.others[s.index];
  const next = (then: number): number => {
    const last = ++s.index === s.others.length;
    if (last) s.index = 0;
    s.at = last ? then : s.at;
    return NOTHING;
  };
  switch (s.at) {
    case ASK:
      s.tickets[s.index] = (words.add(other + S.SHOOTDOWN_ASKED, 1) + 1) | 0;
      s.at = RAISE;
      return NOTHING;
    case RAISE:
      words.store(other + S.SIGNAL, S.SIGNAL_RAISED);
      s.at = RING;
      return NOTHING;
    case RING:
      words.notify(other + S.SIGNAL);
      s.at = ASK;
      return next(LOOK);
    case LOOK:
      s.seen = words.load(other + S.SHOOTDOWN_DONE);
      if (((s.seen - s.tickets[s.index]) | 0) >= 0) return next(DONE);
      s.at = LOOK_STATE;
      return NOTHING;
    case LOOK_STATE: {
      const state = words.load(other + S.RUN_STATE);
      // A hart that stands still forgets before it goes on.
      if (state === S.RUN_STATE_PAUSED || state === S.RUN_STATE_STOPPED) {
        s.at = LOOK;
        return next(DONE);
      }
      s.at = OWN_ASKED;
      return NOTHING;
    }
    case OWN_ASKED: {
      // The other may be waiting for this one.
      const asked = words.load(s.own + S.SHOOTDOWN_ASKED);
      if (asked === words.load(s.own + S.SHOOTDOWN_DONE)) {
        s.at = OWN_REQUEST;
        return NOTHING;
      }
      s.seen = asked;
      s.at = OWN_ANSWER;
      return FORGET;
    }
    case OWN_ANSWER:
      words.store(s.own + S.SHOOTDOWN_DONE, s.seen);
      s.at = OWN_RING;
      return NOTHING;
    case OWN_RING:
      words.notify(s.own + S.SHOOTDOWN_DONE);
      // Looked at afresh: what was read of the other is no longer at hand.
      s.at = LOOK;
      return NOTHING;
    case OWN_REQUEST:
      s.at = (words.load(s.own + S.REQUEST) & S.REQUEST_STOP) !== 0 ? LEFT : NAP;
      return NOTHING;
    case NAP:
      words.wait(other + S.SHOOTDOWN_DONE, s.seen, ANSWER_POLL);
      s.at = LOOK;
      return NOTHING;
    default:
      return OVER;
  }
}

/** The VMM asks a hart that runs to forget: what it will have counted up to when it has. To be followed by a SIGNAL. */
export const askToForget = (words: SharedWords, h: number): number => (words.add(h + S.SHOOTDOWN_ASKED, 1) + 1) | 0;

/** Whether a hart has counted so far: then it has forgotten. One that stands still does before it goes on. */
export const hasCounted = (words: SharedWords, h: number, ticket: number): boolean =>
  ((words.load(h + S.SHOOTDOWN_DONE) - ticket) | 0) >= 0;
