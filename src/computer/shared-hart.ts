/**
 * The steps of a hart's thread that shares harts of the computer: those of handshake.ts, and a seat for each turn of the
 * guest. Whatever else the thread does (answers to shoot-downs, pausing, stopping, starting) it does without one, so nobody
 * ever waits for a hart that has no seat.
 *
 *     before a turn       WANT ──▶ (RAISE ──▶ RING, for each hart that now has a seat, or is to leave one) ──▶ GO
 *                           ╰───────────────────────────────────────────────────────────────▶ SLEEP ──▶ ATTEND
 *     before a sleep, a pause, the end
 *                         LEAVE ──▶ (RAISE ──▶ RING) ──▶ the step as it is
 *
 * A hart that waits for its seat sleeps at its SIGNAL word, as an idle one does: the seat comes with a signal, and so does
 * everything else that may be asked of it.
 */
import * as S from '../hart/state.js';
import { HALT, IDLE, NOTHING, step, STOPPING, TURN, type HartSide, type SharedWords } from './handshake.js';

/** What a sharing hart's thread asks the table of seats. */
export interface Seats {
  /** The hart wants to run, or to run on. 0: it may; else how long to sleep at most before it asks again (ms). */
  want(h: number, rings: number[]): number;
  leave(h: number, rings: number[]): void;
  /** It has run long enough to ask whether another is to have its seat. */
  isOver(h: number): boolean;
}

export const PASS = 0;
export const WANT = 1;
export const RAISE = 2;
export const RING = 3;
export const GO = 4;
export const SLEEP = 5;

/** The thread's side of a hart that shares. */
export interface Sitter {
  readonly side: HartSide;
  phase: number;
  /** Where it goes when everybody has been signalled. */
  then: number;
  /** It has asked for a seat and not left it since. */
  wants: boolean;
  /** Blocks of harts that are to be signalled. */
  rings: number[];
  /** How long it may sleep (ms). */
  wait: number;
}

export const sitter = (side: HartSide): Sitter => ({
  side,
  phase: PASS,
  then: PASS,
  wants: false,
  rings: [],
  wait: Infinity,
});

/** One step, as `step` of handshake.ts. */
export function sharedStep(s: Sitter, words: SharedWords, seats: Seats): number {
  const { h } = s.side;
  switch (s.phase) {
    case PASS: {
      const { at } = s.side;
      if (s.wants && (at === IDLE || at === HALT || at === STOPPING)) {
        s.wants = false;
        seats.leave(h, s.rings);
        return signalThen(s, PASS);
      }
      const effect = step(s.side, words);
      if (effect !== TURN) return effect;
      s.phase = WANT;
      return NOTHING;
    }
    case WANT:
      if (s.wants && words.load(h + S.SEAT) === S.SEAT_HELD && !seats.isOver(h)) {
        s.phase = PASS;
        return TURN;
      }
      s.wants = true;
      s.wait = seats.want(h, s.rings);
      return signalThen(s, s.wait === 0 ? GO : SLEEP);
    case RAISE:
      words.store(s.rings[0] + S.SIGNAL, S.SIGNAL_RAISED);
      s.phase = RING;
      return NOTHING;
    case RING:
      words.notify((s.rings.shift() ?? h) + S.SIGNAL);
      return signalThen(s, s.then);
    case GO:
      s.phase = PASS;
      return TURN;
    default:
      words.wait(h + S.SIGNAL, 0, s.wait);
      s.phase = PASS;
      return NOTHING;
  }
}

function signalThen(s: Sitter, then: number): number {
  s.then = then;
  s.phase = s.rings.length > 0 ? RAISE : then;
  return NOTHING;
}
