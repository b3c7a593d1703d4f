/**
 * How the VMM and the threads of harts agree who runs: every step that either of them takes at the words they share
 * (hart/state.ts), as plain functions with one atomic access each. The threads run these steps, and handshake.test.ts
 * runs the same ones in every order there is. docs/harts-and-threads.md draws them.
 *
 * A hart's thread begins at RECHECK and goes round like this; what is in brackets is what it does between two steps:
 *
 *     ATTEND ──▶ ASKED ──(forget)──▶ ANSWER ──▶ ANSWERED ──▶ REQUESTED ──▶ DISPATCH ──▶ (turn) ──▶ ATTEND
 *     SIGNAL:=0  shoot-down asked?   DONE:=…    wakes        │      │      HSM?  │ │
 *                                                            │      │            │ ╰─▶ (start) STARTED ──▶ ATTEND
 *                 ╭───────────────── stop ───────────────────╯    pause          │
 *                 ▼                                                 ▼            ╰─▶ IDLE ─▶ DOZE ─▶ AWAKE ─▶ ATTEND
 *     GONE ◀── STOPPING ◀─────────────────── HALTED ◀───────────── HALT          (also for wfi)
 *              RUN_STATE:=STOPPED  stop      │ ▲ │ let go          RUN_STATE:=PAUSED ◀─╮
 *                                            ▼ │ ╰──▶ WAKE ──▶ RECHECK ── pause again ─╯
 *                                           HELD      RUN_STATE:=RUNNING  ╰──(forget)──▶ ATTEND
 *
 * Who asks writes its request first and looks at RUN_STATE then; the hart says that it runs first and looks at the
 * request then, before it does anything else. So at least one of the two sees the other, in whatever order they come.
 */
import * as S from '../hart/state.js';

/** The shared words, by byte offset. Every access is atomic, and all threads see all of them in one order. */
export interface SharedWords {
  load(at: number): number;
  store(at: number, value: number): void;
  /** The next three answer what was there before. */
  add(at: number, value: number): number;
  or(at: number, bits: number): number;
  and(at: number, bits: number): number;
  /** Sleeps if the word has this value, until somebody notifies it or the time is over (ms). */
  wait(at: number, value: number, milliseconds: number): void;
  /** Wakes whoever sleeps at the word. */
  notify(at: number): void;
}

/** Where a hart's thread is: what it does next. */
export const ATTEND = 0;
export const ASKED = 1;
export const ANSWER = 2;
export const ANSWERED = 3;
export const REQUESTED = 4;
export const HALT = 5;
export const HALTED = 6;
export const HELD = 7;
export const WAKE = 8;
export const RECHECK = 9;
export const DISPATCH = 10;
export const STARTED = 11;
export const IDLE = 12;
export const DOZE = 13;
export const AWAKE = 14;
export const STOPPING = 15;
export const GONE = 16;

/** What the thread has to do after a step, before the next one. */
export const NOTHING = 0;
/** Forget all translations. */
export const FORGET = 1;
/** The VMM may have changed anything: forget all translations, look at the timer. */
export const RESUMED = 2;
/** Run a turn. */
export const TURN = 3;
/** Begin where hart_start said. */
export const START = 4;
/** The assignment is over. */
export const OVER = 5;

/** The thread's side of one hart. */
export interface HartSide {
  /** Byte offset of the hart's block. */
  readonly h: number;
  at: number;
  /** The request it sleeps on, or the number of shoot-downs it answers. */
  seen: number;
  /** How long it may sleep when it is idle (ms). */
  nap: number;
}

/** A thread that has just been given a hart looks whether it may touch it before it does. */
export const hartSide = (h: number): HartSide => ({ h, at: RECHECK, seen: 0, nap: Infinity });

/** One step of a hart's thread. */
export function step(hart: HartSide, words: SharedWords): number {
  const { h } = hart;
  switch (hart.at) {
    case ATTEND:
      // Taken back before anything is looked at: what is signalled from now on is seen, or ends the sleep.
      words.store(h + S.SIGNAL, 0);
      hart.at = ASKED;
      return NOTHING;
    case ASKED:
      hart.seen = words.load(h + S.SHOOTDOWN_ASKED);
      // Nobody else writes what this hart has done.
      if (hart.seen === words.load(h + S.SHOOTDOWN_DONE)) {
        hart.at = REQUESTED;
        return NOTHING;
      }
      hart.at = ANSWER;
      return FORGET;
    case ANSWER:
      words.store(h + S.SHOOTDOWN_DONE, hart.seen);
      hart.at = ANSWERED;
      return NOTHING;
    case ANSWERED:
      words.notify(h + S.SHOOTDOWN_DONE);
      hart.at = REQUESTED;
      return NOTHING;
    case REQUESTED: {
      const request = words.load(h + S.REQUEST);
      if ((request & S.REQUEST_STOP) !== 0) hart.at = STOPPING;
      else hart.at = (request & S.REQUEST_PAUSE) !== 0 ? HALT : DISPATCH;
      return NOTHING;
    }
    case HALT:
      words.store(h + S.RUN_STATE, S.RUN_STATE_PAUSED);
      hart.at = HALTED;
      return NOTHING;
    case HALTED:
      hart.seen = words.load(h + S.REQUEST);
      if ((hart.seen & S.REQUEST_STOP) !== 0) hart.at = STOPPING;
      else hart.at = (hart.seen & S.REQUEST_PAUSE) !== 0 ? HELD : WAKE;
      return NOTHING;
    case HELD:
      words.wait(h + S.REQUEST, hart.seen, Infinity);
      hart.at = HALTED;
      return NOTHING;
    case WAKE:
      words.store(h + S.RUN_STATE, S.RUN_STATE_RUNNING);
      hart.at = RECHECK;
      return NOTHING;
    case RECHECK: {
      // Whoever asked again before it could see this hart awake takes it for paused: then it is.
      const request = words.load(h + S.REQUEST);
      if ((request & S.REQUEST_STOP) !== 0) hart.at = STOPPING;
      else if ((request & S.REQUEST_PAUSE) !== 0) hart.at = HALT;
      else {
        hart.at = ATTEND;
        return RESUMED;
      }
      return NOTHING;
    }
    case DISPATCH: {
      const hsm = words.load(h + S.HSM);
      if (hsm === S.HSM_STARTED) {
        hart.at = ATTEND;
        return TURN;
      }
      if (hsm === S.HSM_START_PENDING) {
        hart.at = STARTED;
        return START;
      }
      idle(hart, Infinity);
      return NOTHING;
    }
    case STARTED:
      words.store(h + S.HSM, S.HSM_STARTED);
      hart.at = ATTEND;
      return NOTHING;
    case IDLE:
      words.store(h + S.RUN_STATE, S.RUN_STATE_IDLE);
      hart.at = DOZE;
      return NOTHING;
    case DOZE:
      words.wait(h + S.SIGNAL, 0, hart.nap);
      hart.at = AWAKE;
      return NOTHING;
    case AWAKE:
      words.store(h + S.RUN_STATE, S.RUN_STATE_RUNNING);
      hart.at = ATTEND;
      return NOTHING;
    case STOPPING:
      words.store(h + S.RUN_STATE, S.RUN_STATE_STOPPED);
      hart.at = GONE;
      return OVER;
    default:
      return OVER;
  }
}

/** After a turn: sleep until a signal comes, or so many milliseconds. */
export function idle(hart: HartSide, milliseconds: number): void {
  hart.nap = milliseconds;
  hart.at = IDLE;
}

/** A step at the words of one hart, by somebody else. */
export type Step = (words: SharedWords, h: number) => void;

/** Makes the hart leave its run loop, or its sleep, soon. */
export const SIGNAL: readonly Step[] = [
  (words, h) => words.store(h + S.SIGNAL, S.SIGNAL_RAISED),
  (words, h) => words.notify(h + S.SIGNAL),
];

/** Before a hart is given to a thread. `held`: somebody wants it paused already. */
export const toBegin = (held: boolean): readonly Step[] => [
  (words, h) => words.store(h + S.REQUEST, held ? S.REQUEST_PAUSE : 0),
  // From here on it may run at any moment.
  (words, h) => words.store(h + S.RUN_STATE, S.RUN_STATE_RUNNING),
];

export const ASK_PAUSE: readonly Step[] = [(words, h) => void words.or(h + S.REQUEST, S.REQUEST_PAUSE), ...SIGNAL];

export const LET_GO: readonly Step[] = [
  (words, h) => void words.and(h + S.REQUEST, ~S.REQUEST_PAUSE),
  (words, h) => words.notify(h + S.REQUEST),
];

export const ASK_STOP: readonly Step[] = [
  (words, h) => void words.or(h + S.REQUEST, S.REQUEST_STOP),
  (words, h) => words.notify(h + S.REQUEST),
  ...SIGNAL,
];

/** The hart's thread is dead: nobody else will say so any more. */
export const GIVE_UP: readonly Step[] = [(words, h) => words.store(h + S.RUN_STATE, S.RUN_STATE_STOPPED)];

/** Whether the hart stands still, and will until it is let go of. */
export function standsStill(words: SharedWords, h: number): boolean {
  const state = words.load(h + S.RUN_STATE);
  return state === S.RUN_STATE_PAUSED || state === S.RUN_STATE_STOPPED;
}

/** Another hart has written where this one is to begin: START_PENDING is said last. */
export const OFFER_START: readonly Step[] = [(words, h) => words.store(h + S.HSM, S.HSM_START_PENDING), ...SIGNAL];

/** Takes all steps at a hart. */
export function take(steps: readonly Step[], words: SharedWords, h: number): void {
  for (const one of steps) one(words, h);
}

/** The shared words as they are in memory. */
export class AtomicWords implements SharedWords {
  constructor(private readonly words: Int32Array) {}

  load(at: number): number {
    return Atomics.load(this.words, at >>> 2);
  }
  store(at: number, value: number): void {
    Atomics.store(this.words, at >>> 2, value);
  }
  add(at: number, value: number): number {
    return Atomics.add(this.words, at >>> 2, value);
  }
  or(at: number, bits: number): number {
    return Atomics.or(this.words, at >>> 2, bits);
  }
  and(at: number, bits: number): number {
    return Atomics.and(this.words, at >>> 2, bits);
  }
  wait(at: number, value: number, milliseconds: number): void {
    Atomics.wait(this.words, at >>> 2, value, milliseconds);
  }
  notify(at: number): void {
    Atomics.notify(this.words, at >>> 2);
  }
}
