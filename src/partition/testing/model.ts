/**
 * A main thread with partitions and holders, harts' threads, and guests that do what concerns other harts, one atomic
 * access at a time. The steps are those of src/computer/handshake.ts, shoot-down.ts and standing.ts, which the real
 * threads run; what is modelled here is what lies between them: messages, sleeping, and what a guest does.
 *
 * A state is a row of numbers: PER_HART for each hart, PER_PARTITION for each partition, PER_TASK for each task of the
 * main thread, the task that has the main thread (-1: none), the number of seats, and whom the main thread has to signal.
 *
 * Who of several that wait gets a seat, who has to leave one, and when, is for weights and clocks to say
 * (src/computer/shares.ts): here it may be anybody, at any time.
 */
import * as H from '../../computer/handshake.js';
import * as T from '../../computer/seats.js';
import * as Q from '../../computer/shared-hart.js';
import * as D from '../../computer/shoot-down.js';
import * as S from '../../hart/state.js';
import * as P from '../standing.js';
import { Violation, type State, type System } from './explore.js';

/** What a guest has its hart do, one after the other; then it sleeps for good. */
export type Action =
  | { readonly do: 'compute' | 'wfi' | 'nap' | 'stop' }
  /** An interrupt for another hart; hart_start; a page is taken away and the other's translations shot down. */
  | { readonly do: 'ipi' | 'start' | 'fence'; readonly hart: number };

/** What a task of the main thread does. What is awaited lets others have a turn. */
export type Op =
  | { readonly main: 'seats'; readonly count: number }
  | { readonly main: 'initialise' | 'begin' | 'stop' | 'await-ended' | 'pause' | 'await-still' | 'let-go'; p: number }
  /** A page is taken away, and all harts are to forget it. */
  | { readonly main: 'forget' | 'await-forgotten'; p: number }
  /** Others may have a turn. */
  | { readonly main: 'turn' };

export interface Scenario {
  readonly harts: number;
  readonly partitions: number;
  /** By hart. Each partition begins it anew. */
  readonly guest: readonly (readonly Action[])[];
  readonly tasks: readonly (readonly Op[])[];
  /** Partitions that nobody may pause. */
  readonly unpaused?: readonly number[];
  /** The harts share so many seats; they have harts of their own unless told. */
  readonly seats?: number;
  /** A hart whose time is limited: it may have to wait though there is a seat. */
  readonly limited?: number;
  /** Who is to leave its seat may be too late. */
  readonly late?: boolean;
  /** The thread of this hart may die at any moment. */
  readonly dies?: number;
}

/** What of the real steps is to be something else, to see that the check would notice. */
export interface Variant {
  readonly step?: typeof H.step;
  readonly toBegin?: typeof H.toBegin;
  readonly letGoSteps?: readonly H.Step[];
  readonly askPause?: readonly H.Step[];
  readonly letGo?: typeof P.letGo;
  readonly hold?: typeof P.hold;
  readonly mayMove?: typeof P.mayMove;
  readonly sharedStep?: typeof Q.sharedStep;
  readonly wantSeat?: typeof T.wantSeat;
  readonly leaveSeat?: typeof T.leaveSeat;
  readonly loseSeat?: typeof T.loseSeat;
  /** hart_start says START_PENDING before it writes where to begin. */
  readonly offerFirst?: boolean;
}

// Words of a hart, then what its thread is about.
const WORDS = [S.SIGNAL, S.REQUEST, S.RUN_STATE, S.SHOOTDOWN_ASKED, S.SHOOTDOWN_DONE, S.HSM, S.SIP, S.SEAT] as const;
const WHERE_TO = WORDS.length;
/** 0: no assignment, 1: one is on its way, 2: at it. */
const THREAD = WHERE_TO + 1;
const AT = THREAD + 1;
const SEEN = AT + 1;
const TIMED = SEEN + 1;
/** 0, or 1 + the word's place in the state. */
const ASLEEP = TIMED + 1;
const GUEST = ASLEEP + 1;
/** What the thread has to do before its next step: an effect, or one of the following. */
const DUE = GUEST + 1;
const SUB = DUE + 1;
const SHOOT_AT = SUB + 1;
const SHOOT_SEEN = SHOOT_AT + 1;
const TICKET = SHOOT_SEEN + 1;
/** 0: translations are right; 1: something has changed; 2: and whoever changed it may rely on their being forgotten. */
const STALE = TICKET + 1;
/** The same of what the main thread takes away while the harts go on. */
const STALE_OF_MAIN = STALE + 1;
/** "stopped" is on its way to the main thread. */
const SAID = STALE_OF_MAIN + 1;
const OWNER = SAID + 1;
const BEGUN_AT = OWNER + 1;
// Of a hart that shares: what its Sitter holds; whom it has to signal is a row of digits (`ringsIn`).
const SHARE_PHASE = BEGUN_AT + 1;
const THEN = SHARE_PHASE + 1;
const WANTS = THEN + 1;
const RINGS = WANTS + 1;
const WAIT_TIMED = RINGS + 1;
/** 1: its thread has died, 2: and the main thread knows. */
const DEAD = WAIT_TIMED + 1;
const PER_HART = DEAD + 1;

const PHASES: readonly P.Phase[] = ['unstarted', 'running', 'stopping', 'ended'];
const PHASE = 0;
const RUNNING = 1;
const HOLDS = 2;
/** Holders whose pause has been answered. */
const STANDING_STILL = 3;
const PER_PARTITION = 4;

const PC = 0;
const PROGRESS = 1;
/** By hart, what it will have counted when it has forgotten. */
const TICKETS = 2;
const MOST_HARTS = 2;
const PER_TASK = TICKETS + MOST_HARTS;

/** Dues of a guest's action under way, beside the effects of handshake.ts. */
const ACT = 10;
const SHOOT = 11;
const SHOOT_FORGET = 12;
const CLAIM = 13;
const OFFER = 14;
const IPI = 15;
const MAY_SLEEP = 16;

/** Distance between the blocks of two harts. */
const BLOCK = 0x1000;
/** Where hart `i` has its block: nobody's is at 0. */
const blockOf = (i: number): number => (i + 1) * BLOCK;
const hartOf = (h: number): number => h / BLOCK - 1;

/** More than there are harts. */
const RING_BASE = 8;

/** Takes one of several possibilities. */
type Choose = (of: readonly number[]) => number;

/** All ways to choose: each run of what chooses is given the next one. */
function* choices(): Generator<Choose> {
  const taken: number[] = [];
  const possible: number[] = [];
  do {
    let n = 0;
    yield (of) => {
      if (n === taken.length) {
        taken.push(0);
        possible.push(of.length);
      }
      return of[taken[n++]];
    };
    // The last choice that has another possibility takes it; those behind it begin anew.
    while (taken.length > 0 && taken[taken.length - 1] + 1 === possible[possible.length - 1]) {
      taken.pop();
      possible.pop();
    }
    if (taken.length > 0) taken[taken.length - 1]++;
  } while (taken.length > 0);
}

export function handshakeSystem(scenario: Scenario, variant: Variant = {}): System {
  const { harts, partitions, tasks } = scenario;
  const step = variant.step ?? H.step;
  const toBegin = variant.toBegin ?? H.toBegin;
  const askPause = variant.askPause ?? H.ASK_PAUSE;
  const letGoSteps = variant.letGoSteps ?? H.LET_GO;
  const letGo = variant.letGo ?? P.letGo;
  const hold = variant.hold ?? P.hold;
  const mayMove = variant.mayMove ?? P.mayMove;
  const partitionAt = harts * PER_HART;
  const taskAt = partitionAt + partitions * PER_PARTITION;
  const mainAt = taskAt + tasks.length * PER_TASK;
  const seatsAt = mainAt + 1;
  const mainRings = mainAt + 2;
  const mostSeats = Math.max(
    scenario.seats ?? harts,
    ...tasks.flatMap((ops) => ops.map((op) => (op.main === 'seats' ? op.count : 0))),
  );

  const placeOf = (at: number): number => {
    const word = WORDS.indexOf((at % BLOCK) as (typeof WORDS)[number]);
    if (word < 0) throw new RangeError(`a word that is not modelled: ${at % BLOCK}`);
    return (Math.floor(at / BLOCK) - 1) * PER_HART + word;
  };

  /** The words of a state, changed in place, as thread `me` sees them (-1: the main thread). */
  const wordsOf = (state: State, me: number): H.SharedWords => {
    const change = (at: number, to: (old: number) => number): number => {
      const place = placeOf(at);
      const old = state[place];
      state[place] = to(old);
      return old;
    };
    return {
      load: (at) => state[placeOf(at)],
      store: (at, value) => void change(at, () => value),
      add: (at, value) => change(at, (old) => old + value),
      or: (at, bits) => change(at, (old) => old | bits),
      and: (at, bits) => change(at, (old) => old & bits),
      wait: (at, value, milliseconds) => {
        if (state[placeOf(at)] !== value) return;
        state[me * PER_HART + ASLEEP] = 1 + placeOf(at);
        state[me * PER_HART + TIMED] = milliseconds === Infinity ? 0 : 1;
      },
      notify: (at) => {
        for (let i = 0; i < harts; i++) {
          if (state[i * PER_HART + ASLEEP] === 1 + placeOf(at)) state[i * PER_HART + ASLEEP] = 0;
        }
      },
    };
  };

  const standingOf = (state: State, p: number): P.Standing => {
    const at = partitionAt + p * PER_PARTITION;
    return { phase: PHASES[state[at + PHASE]], running: state[at + RUNNING], holds: state[at + HOLDS] };
  };
  /** Does something to a partition's standing. */
  const standing = <T>(state: State, p: number, work: (s: P.Standing) => T): T => {
    const at = partitionAt + p * PER_PARTITION;
    const s = standingOf(state, p);
    const answer = work(s);
    state[at + PHASE] = PHASES.indexOf(s.phase);
    state[at + RUNNING] = s.running;
    state[at + HOLDS] = s.holds;
    return answer;
  };

  /** The hart is about to do something. */
  const mayAct = (state: State, i: number, what: string): void => {
    const owner = state[i * PER_HART + OWNER];
    if (state[partitionAt + owner * PER_PARTITION + STANDING_STILL] > 0) {
      throw new Violation(`hart ${i} ${what} while it is said to stand still`);
    }
  };

  const shootDownOf = (state: State, i: number, other: number): D.ShootDown => {
    const at = i * PER_HART;
    return {
      own: blockOf(i),
      others: [blockOf(other)],
      tickets: [state[at + TICKET]],
      at: state[at + SHOOT_AT],
      index: 0,
      seen: state[at + SHOOT_SEEN],
    };
  };

  /** Harts as digits of a number, the first one lowest. */
  const ringsIn = (digits: number): number[] => {
    const rings: number[] = [];
    for (let rest = digits; rest > 0; rest = Math.floor(rest / RING_BASE)) rings.push(blockOf((rest % RING_BASE) - 1));
    return rings;
  };
  const digitsOf = (rings: readonly number[]): number =>
    rings.reduceRight((digits, h) => digits * RING_BASE + hartOf(h) + 1, 0);

  const sharing = (state: State, choose: Choose): T.Sharing => {
    const those = (seat: number, but = 0): number[] =>
      Array.from({ length: harts }, (_, i) => blockOf(i)).filter(
        (h) => h !== but && state[placeOf(h + S.SEAT)] === seat,
      );
    return {
      seats: state[seatsAt],
      places: harts,
      memberAt: (place) => blockOf(place),
      next: () => {
        const waiting = those(S.SEAT_WANTED);
        const may = waiting.filter((h) => hartOf(h) !== scenario.limited);
        return choose(may.length < waiting.length ? [...waiting, 0] : waiting.length > 0 ? waiting : [0]);
      },
      overdue: () => choose(scenario.late === true ? [0, ...those(S.SEAT_LEAVE)] : [0]),
      told: () => undefined,
      taken: () => undefined,
      displaced: (h) => choose([0, ...those(S.SEAT_HELD, h)]),
    };
  };
  const seatsOf = (state: State, words: H.SharedWords, choose: Choose): Q.Seats => ({
    want: (h, rings) => {
      if ((variant.wantSeat ?? T.wantSeat)(h, sharing(state, choose), words, rings)) return 0;
      return hartOf(h) === scenario.limited || scenario.late === true ? 1 : Infinity;
    },
    leave: (h, rings) => (variant.leaveSeat ?? T.leaveSeat)(h, sharing(state, choose), words, rings),
    isOver: () => choose([0, 1]) === 1,
  });

  /** A step of a hart that shares, or does not. */
  const ownStep = (state: State, i: number, side: H.HartSide, words: H.SharedWords, choose: Choose): number => {
    if (scenario.seats === undefined) return step(side, words);
    const at = i * PER_HART;
    const sitter: Q.Sitter = {
      side,
      phase: state[at + SHARE_PHASE],
      then: state[at + THEN],
      wants: state[at + WANTS] === 1,
      rings: ringsIn(state[at + RINGS]),
      wait: state[at + WAIT_TIMED] === 1 ? 1 : Infinity,
    };
    const effect = (variant.sharedStep ?? Q.sharedStep)(sitter, words, seatsOf(state, words, choose));
    state[at + SHARE_PHASE] = sitter.phase;
    state[at + THEN] = sitter.phase === Q.RAISE || sitter.phase === Q.RING ? sitter.then : 0;
    state[at + WANTS] = sitter.wants ? 1 : 0;
    state[at + RINGS] = digitsOf(sitter.rings);
    state[at + WAIT_TIMED] = sitter.phase !== Q.PASS && sitter.wait === 1 ? 1 : 0;
    return effect;
  };

  /** A hart that shares runs only while it has a seat, and no more do than there are seats. */
  const maySit = (state: State, i: number): void => {
    if (scenario.seats === undefined) return;
    const has = (hart: number): boolean => state[placeOf(blockOf(hart) + S.SEAT)] >= S.SEAT_HELD;
    // One whose seat was taken is signalled, or about to be: it leaves its turn at once.
    const signalled =
      state[placeOf(blockOf(i) + S.SIGNAL)] === S.SIGNAL_RAISED ||
      Array.from({ length: harts }, (_, other) => state[other * PER_HART + RINGS])
        .concat(state[mainRings])
        .some((digits) => ringsIn(digits).includes(blockOf(i)));
    if (!has(i) && scenario.late === true && signalled) return;
    if (!has(i)) throw new Violation(`hart ${i} executes an instruction without a seat`);
    let sitting = 0;
    for (let other = 0; other < harts; other++) if (has(other)) sitting++;
    if (sitting > mostSeats) throw new Violation(`${sitting} harts have seats, there are ${mostSeats}`);
  };

  /** The next step of a hart's thread, in a copy of the state. */
  const hartStep = (state: State, i: number, choose: Choose): void => {
    const at = i * PER_HART;
    const words = wordsOf(state, i);
    const due = state[at + DUE];
    if (state[at + THREAD] === 1) {
      state[at + THREAD] = 2;
      state[at + AT] = H.hartSide(0).at;
      return;
    }
    if (due === H.NOTHING) {
      const side: H.HartSide = { h: blockOf(i), at: state[at + AT], seen: state[at + SEEN], nap: Infinity };
      if (side.at === H.DOZE && state[at + SUB] === 1) side.nap = 1;
      const effect = ownStep(state, i, side, words, choose);
      state[at + AT] = side.at;
      state[at + SEEN] = side.at === H.HELD || side.at === H.ANSWER ? side.seen : 0;
      state[at + DUE] = effect === H.TURN ? ACT : effect;
      const runs = words.load(blockOf(i) + S.RUN_STATE) === S.RUN_STATE_RUNNING;
      if (!runs && words.load(blockOf(i) + S.SEAT) !== S.SEAT_NONE) {
        throw new Violation(`hart ${i} does not run, and keeps its seat`);
      }
      if (side.at === H.HALT && scenario.unpaused?.includes(state[at + OWNER]) === true) {
        throw new Violation(`hart ${i} is paused though nobody of its own asked`);
      }
      if (side.at === H.AWAKE) state[at + SUB] = 0;
      return;
    }
    state[at + DUE] = H.NOTHING;
    const action: Action = scenario.guest[i][state[at + GUEST]] ?? { do: 'wfi' };
    const other = 'hart' in action ? action.hart : 0;
    const otherAt = other * PER_HART;
    const actionDone = (): void => {
      if (state[at + GUEST] < scenario.guest[i].length) state[at + GUEST]++;
    };
    switch (due) {
      case H.FORGET:
      case H.RESUMED:
        mayAct(state, i, 'forgets translations');
        state[at + STALE] = state[at + STALE_OF_MAIN] = 0;
        return;
      case H.START:
        mayAct(state, i, 'starts');
        state[at + STALE] = state[at + STALE_OF_MAIN] = 0;
        if (state[at + WHERE_TO] === 0) throw new Violation(`hart ${i} starts at nowhere`);
        state[at + BEGUN_AT] = state[at + WHERE_TO];
        return;
      case H.OVER:
        // The last word of the assignment.
        state[at + THREAD] = 0;
        state[at + SAID] = 1;
        return;
      case ACT:
        mayAct(state, i, 'executes an instruction');
        maySit(state, i);
        if (state[at + STALE] === 2 || state[at + STALE_OF_MAIN] === 2)
          throw new Violation(`hart ${i} uses what it has translated before a change`);
        switch (action.do) {
          case 'compute':
            return actionDone();
          case 'wfi':
          case 'nap':
            state[at + DUE] = MAY_SLEEP;
            return;
          case 'stop':
            words.store(blockOf(i) + S.HSM, S.HSM_STOPPED);
            return actionDone();
          case 'ipi':
            words.or(blockOf(other) + S.SIP, S.SSIP);
            state[at + DUE] = IPI;
            state[at + SUB] = 0;
            return;
          case 'start':
            if (state[otherAt + WORDS.indexOf(S.HSM)] !== S.HSM_STOPPED) return actionDone();
            words.store(blockOf(other) + S.HSM, variant.offerFirst === true ? S.HSM_START_PENDING : S.HSM_CLAIMED);
            state[at + DUE] = CLAIM;
            return;
          case 'fence':
            if (state[otherAt + STALE] === 0) state[otherAt + STALE] = 1;
            state[at + SHOOT_AT] = D.ASK;
            state[at + DUE] = SHOOT;
            return;
        }
      case MAY_SLEEP: {
        // An interrupt is taken, which clears what was pending.
        const pending = words.and(blockOf(i) + S.SIP, 0);
        actionDone();
        if (pending !== 0) return;
        const side: H.HartSide = { h: 0, at: 0, seen: 0, nap: 0 };
        H.idle(side, Infinity);
        state[at + AT] = side.at;
        state[at + SUB] = action.do === 'nap' ? 1 : 0;
        return;
      }
      case IPI:
      case OFFER: {
        const steps = due === IPI ? H.SIGNAL : H.OFFER_START;
        steps[state[at + SUB]](words, blockOf(other));
        if (++state[at + SUB] < steps.length) {
          state[at + DUE] = due;
          return;
        }
        state[at + SUB] = 0;
        return actionDone();
      }
      case CLAIM:
        if (state[otherAt + WHERE_TO] !== 0 && state[otherAt + BEGUN_AT] !== state[otherAt + WHERE_TO]) {
          throw new Violation(`hart ${i} overwrites where hart ${other} is to begin`);
        }
        state[otherAt + WHERE_TO] = 2 + i;
        state[otherAt + BEGUN_AT] = 0;
        state[at + SUB] = 0;
        state[at + DUE] = OFFER;
        return;
      case SHOOT:
      case SHOOT_FORGET: {
        if (due === SHOOT_FORGET) {
          mayAct(state, i, 'forgets translations');
          state[at + STALE] = state[at + STALE_OF_MAIN] = 0;
        }
        const s = shootDownOf(state, i, other);
        const effect = D.shootDownStep(s, words);
        state[at + SHOOT_AT] = s.at;
        state[at + SHOOT_SEEN] = s.at === D.NAP || s.at >= D.LOOK_STATE ? s.seen : 0;
        state[at + TICKET] = s.tickets[0];
        if (s.at === D.DONE || s.at === D.LEFT) {
          if (s.at === D.DONE && state[otherAt + STALE] === 1) state[otherAt + STALE] = 2;
          for (const own of [SHOOT_AT, SHOOT_SEEN, TICKET]) state[at + own] = 0;
          return actionDone();
        }
        state[at + DUE] = effect === H.FORGET ? SHOOT_FORGET : SHOOT;
        return;
      }
      default:
        throw new RangeError(`what is due is ${due}`);
    }
  };

  /** The main thread signals the next of those that it has to. */
  const ringStep = (state: State): void => {
    const words = wordsOf(state, -1);
    const [h, ...rest] = ringsIn(state[mainRings]);
    for (const one of H.SIGNAL) one(words, h);
    state[mainRings] = digitsOf(rest);
  };

  /** The main thread hears that a thread has died. */
  const hearOfDeath = (state: State, i: number, choose: Choose): void => {
    const words = wordsOf(state, -1);
    H.take(H.GIVE_UP, words, blockOf(i));
    const rings: number[] = [];
    (variant.loseSeat ?? T.loseSeat)(blockOf(i), sharing(state, choose), words, rings);
    state[mainRings] = digitsOf(rings.filter((h) => h !== blockOf(i)));
    state[i * PER_HART + DEAD] = 2;
    standing(state, state[i * PER_HART + OWNER], P.gone);
  };

  /** The next step of the task that has the main thread, in a copy of the state. */
  const taskStep = (state: State, t: number, choose: Choose): void => {
    const at = taskAt + t * PER_TASK;
    const op = tasks[t][state[at + PC]];
    const words = wordsOf(state, -1);
    const done = (others = false): void => {
      state[at + PC]++;
      state[at + PROGRESS] = 0;
      state[mainAt] = others || state[at + PC] === tasks[t].length ? -1 : t;
    };
    state[mainAt] = t;
    if (op.main === 'turn') return done(true);
    if (op.main === 'seats') {
      state[seatsAt] = op.count;
      const rings: number[] = [];
      T.seatsChanged(sharing(state, choose), words, rings);
      state[mainRings] = digitsOf(rings);
      return done();
    }
    const { p } = op;
    const own = partitionAt + p * PER_PARTITION;
    /** Takes one step at a time at each hart, then `then`. */
    const each = (
      steps: readonly H.Step[],
      then: () => void,
      behind: (hart: number) => void = () => undefined,
    ): void => {
      const n = state[at + PROGRESS]++;
      const hart = Math.floor(n / steps.length);
      steps[n % steps.length](words, blockOf(hart));
      if ((n + 1) % steps.length === 0) behind(hart);
      if (n + 1 === harts * steps.length) then();
    };
    const begun = state[at + PROGRESS] > 0;
    switch (op.main) {
      case 'initialise':
        for (let i = 0; i < harts; i++) {
          state.fill(0, i * PER_HART, (i + 1) * PER_HART);
          state[i * PER_HART + OWNER] = p;
          state[i * PER_HART + WORDS.indexOf(S.HSM)] = i === 0 ? S.HSM_START_PENDING : S.HSM_STOPPED;
          state[i * PER_HART + WHERE_TO] = i === 0 ? 1 : 0;
        }
        return done();
      case 'begin':
        if (!begun && !standing(state, p, P.start)) return done();
        return each(toBegin(standingOf(state, p).holds > 0), done, (hart) => {
          standing(state, p, (s) => s.running++);
          state[hart * PER_HART + THREAD] = 1;
        });
      case 'pause':
        if (!begun && !standing(state, p, hold)) return done(true);
        return each(askPause, () => done(true));
      case 'await-still': {
        const hart = state[at + PROGRESS]++;
        const moves = mayMove(standingOf(state, p));
        if (moves && !H.standsStill(words, blockOf(hart))) {
          state[at + PROGRESS] = 0;
          state[mainAt] = -1;
          return;
        }
        if (moves && hart + 1 < harts) return;
        state[own + STANDING_STILL]++;
        // Whoever holds them may change what the harts have translated.
        for (let i = 0; i < harts && moves; i++) state[i * PER_HART + STALE] = 2;
        return done(true);
      }
      case 'forget': {
        if (!begun && !mayMove(standingOf(state, p))) return done();
        const n = state[at + PROGRESS]++;
        const hart = Math.floor(n / (1 + H.SIGNAL.length));
        const sub = n % (1 + H.SIGNAL.length);
        if (sub === 0) {
          if (state[hart * PER_HART + STALE_OF_MAIN] === 0) state[hart * PER_HART + STALE_OF_MAIN] = 1;
          state[at + TICKETS + hart] = D.askToForget(words, blockOf(hart));
        } else H.SIGNAL[sub - 1](words, blockOf(hart));
        if (n + 1 === harts * (1 + H.SIGNAL.length)) return done(true);
        return;
      }
      case 'await-forgotten': {
        const n = state[at + PROGRESS];
        const hart = n >> 1;
        const moves = mayMove(standingOf(state, p));
        const counted = (n & 1) === 0 && D.hasCounted(words, blockOf(hart), state[at + TICKETS + hart]);
        const still = (n & 1) === 1 && H.standsStill(words, blockOf(hart));
        if (moves && !counted && !still) {
          state[at + PROGRESS] = (n & 1) === 0 ? n + 1 : 0;
          if ((n & 1) === 1) state[mainAt] = -1;
          return;
        }
        state[at + PROGRESS] = 2 * (hart + 1);
        if (moves && hart + 1 < harts) return;
        for (let i = 0; i < harts; i++) {
          state[at + TICKETS + i] = 0;
          if (moves && state[i * PER_HART + STALE_OF_MAIN] === 1) state[i * PER_HART + STALE_OF_MAIN] = 2;
        }
        return done(true);
      }
      case 'let-go':
        if (!begun) {
          state[own + STANDING_STILL]--;
          if (!standing(state, p, letGo)) return done();
        }
        return each(letGoSteps, done);
      case 'stop':
        if (!begun && !standing(state, p, P.stop)) return done(true);
        return each(H.ASK_STOP, () => done(true));
      case 'await-ended':
        if (standingOf(state, p).phase !== 'ended') {
          state[mainAt] = -1;
          return;
        }
        return done();
    }
  };

  const initial: State = new Array<number>(mainRings + 1).fill(0);
  initial[mainAt] = -1;
  initial[seatsAt] = scenario.seats ?? 0;

  /** Whether the thread of the hart can take a step at all. */
  const awake = (state: State, i: number): boolean =>
    state[i * PER_HART + THREAD] !== 0 && state[i * PER_HART + ASLEEP] === 0;

  const next = (state: State): State[] => {
    const following: State[] = [];
    /** What comes of a step, whatever is chosen in it. */
    const from = (work: (copy: State, choose: Choose) => void): void => {
      for (const choose of choices()) {
        const copy = state.slice();
        work(copy, choose);
        following.push(copy);
      }
    };
    for (let i = 0; i < harts; i++) {
      if (awake(state, i)) from((copy, choose) => hartStep(copy, i, choose));
      if (scenario.dies === i && state[i * PER_HART + THREAD] === 2 && state[i * PER_HART + DEAD] === 0) {
        from((copy) => {
          copy[i * PER_HART + DEAD] = 1;
          copy[i * PER_HART + THREAD] = 0;
          copy[i * PER_HART + ASLEEP] = 0;
        });
      }
      // A sleep with a time to it may end by itself.
      if (state[i * PER_HART + ASLEEP] !== 0 && state[i * PER_HART + TIMED] === 1) {
        from((copy) => {
          copy[i * PER_HART + ASLEEP] = 0;
        });
      }
    }
    if (state[mainRings] > 0) {
      from(ringStep);
      return following;
    }
    if (state[mainAt] >= 0) {
      from((copy, choose) => taskStep(copy, state[mainAt], choose));
      return following;
    }
    tasks.forEach((ops, t) => {
      if (state[taskAt + t * PER_TASK + PC] < ops.length) from((copy, choose) => taskStep(copy, t, choose));
    });
    for (let i = 0; i < harts; i++) {
      if (state[i * PER_HART + DEAD] === 1) from((copy, choose) => hearOfDeath(copy, i, choose));
      if (state[i * PER_HART + SAID] === 0) continue;
      from((copy) => {
        copy[i * PER_HART + SAID] = 0;
        standing(copy, copy[i * PER_HART + OWNER], P.gone);
      });
    }
    return following;
  };

  /** All tasks are through, and every hart that sleeps has nothing to do. */
  const final = (state: State): boolean => {
    if (tasks.some((ops, t) => state[taskAt + t * PER_TASK + PC] < ops.length)) return false;
    for (let i = 0; i < harts; i++) {
      const at = i * PER_HART;
      if (state[at + SAID] === 1 || state[at + DEAD] === 1) return false;
      if (scenario.seats !== undefined && state[at + WORDS.indexOf(S.SEAT)] !== S.SEAT_NONE) return false;
      if (state[at + THREAD] === 0) continue;
      if (state[at + ASLEEP] === 0 || state[at + TIMED] === 1) return false;
      const word = (offset: (typeof WORDS)[number]): number => state[at + WORDS.indexOf(offset)];
      const held = standingOf(state, state[at + OWNER]).holds > 0;
      if (held) {
        if (state[at + AT] !== H.HALTED) return false;
      } else if (
        word(S.REQUEST) !== 0 ||
        word(S.SIP) !== 0 ||
        word(S.HSM) === S.HSM_START_PENDING ||
        word(S.HSM) === S.HSM_CLAIMED ||
        word(S.SHOOTDOWN_ASKED) !== word(S.SHOOTDOWN_DONE)
      ) {
        return false;
      }
    }
    return true;
  };

  return { initial, next, final };
}
