/**
 * The handshake between the VMM and the harts' threads, in every order of its steps. What runs here are the steps that
 * the threads run (src/computer/handshake.ts, shoot-down.ts, standing.ts); what is promised is in
 * docs/harts-and-threads.md.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as H from '../computer/handshake.js';
import * as S from '../hart/state.js';
import * as T from '../computer/seats.js';
import * as Q from '../computer/shared-hart.js';
import { explore } from './testing/explore.js';
import { handshakeSystem, type Action, type Op, type Scenario, type Variant } from './testing/model.js';

const compute: Action = { do: 'compute' };
const wfi: Action = { do: 'wfi' };
const nap: Action = { do: 'nap' };
const stopItself: Action = { do: 'stop' };
const ipi = (hart: number): Action => ({ do: 'ipi', hart });
const startHart = (hart: number): Action => ({ do: 'start', hart });
const fence = (hart: number): Action => ({ do: 'fence', hart });

const op = (main: Exclude<Op['main'], 'turn' | 'seats'>, p: number): Op => ({ main, p });
const begin = (p: number): Op[] => [op('initialise', p), op('begin', p)];
const paused = (p: number): Op[] => [op('pause', p), op('await-still', p), op('let-go', p)];
const forgotten = (p: number): Op[] => [op('forget', p), op('await-forgotten', p)];
const end = (p: number): Op[] => [op('stop', p), op('await-ended', p)];
const turn: Op = { main: 'turn' };
const seats = (count: number): Op => ({ main: 'seats', count });

const scenarios: Record<string, Scenario> = {
  'a hart that has never slept, paused and let go and paused again at once': {
    harts: 1,
    partitions: 1,
    guest: [[compute, compute, compute]],
    tasks: [[...begin(0), turn, ...paused(0), ...paused(0)]],
  },
  'a hart that goes to sleep, with and without a timer': {
    harts: 1,
    partitions: 1,
    guest: [[nap, compute, wfi, compute]],
    tasks: [[...begin(0), turn, ...paused(0), ...paused(0)]],
  },
  'paused before the harts begin': {
    harts: 1,
    partitions: 1,
    guest: [[compute]],
    tasks: [
      [op('initialise', 0), turn, op('pause', 0), op('await-still', 0), turn, op('let-go', 0)],
      [turn, op('begin', 0)],
    ],
  },
  'two holders, and a third in the middle': {
    harts: 1,
    partitions: 1,
    guest: [[compute, nap, compute]],
    tasks: [
      [...begin(0), turn, ...paused(0)],
      [turn, turn, ...paused(0)],
      [turn, ...paused(0), ...paused(0)],
    ],
  },
  'two harts that wake each other': {
    harts: 2,
    partitions: 1,
    guest: [
      [startHart(1), ipi(1), wfi, compute],
      [wfi, ipi(0), compute],
    ],
    tasks: [[...begin(0), turn, ...paused(0)]],
  },
  'a hart that stops itself and is started again': {
    harts: 2,
    partitions: 1,
    guest: [
      [startHart(1), startHart(1)],
      [compute, stopItself, compute],
    ],
    tasks: [[...begin(0), turn, ...paused(0)]],
  },
  'two harts shoot each other down while they are paused': {
    harts: 2,
    partitions: 1,
    guest: [
      [startHart(1), fence(1), compute],
      [fence(0), compute],
    ],
    tasks: [[...begin(0), turn, ...paused(0)]],
  },
  'a shoot-down of a hart that sleeps, in two pauses': {
    harts: 2,
    partitions: 1,
    guest: [
      [startHart(1), fence(1)],
      [wfi, compute],
    ],
    tasks: [[...begin(0), turn, ...paused(0), ...paused(0)]],
  },
  'the VMM takes pages away from harts that go on': {
    harts: 2,
    partitions: 1,
    guest: [
      [startHart(1), nap, compute],
      [wfi, compute],
    ],
    tasks: [[...begin(0), turn, ...forgotten(0), ...forgotten(0)]],
  },
  'pages are taken away while the harts are paused, let go, and stopped': {
    harts: 1,
    partitions: 1,
    guest: [[compute, nap, compute]],
    tasks: [
      [...begin(0), turn, ...paused(0), turn, ...end(0)],
      [turn, ...forgotten(0), ...forgotten(0)],
    ],
  },
  'a hart shoots another down from which the VMM takes a page away': {
    harts: 2,
    partitions: 1,
    guest: [[startHart(1), fence(1)], [compute]],
    tasks: [[...begin(0), turn, ...forgotten(0)]],
  },
  'stopped while it is paused': {
    harts: 2,
    partitions: 1,
    guest: [[startHart(1), compute], [wfi]],
    tasks: [
      [...begin(0), turn, ...paused(0)],
      [turn, turn, ...end(0)],
    ],
  },
  'stopped in the middle of shooting down': {
    harts: 2,
    partitions: 1,
    guest: [[startHart(1), fence(1)], [fence(0)]],
    tasks: [[...begin(0), turn, ...end(0)]],
  },
  'the next partition has the hart, and nobody pauses that': {
    harts: 1,
    partitions: 2,
    guest: [[compute, nap, compute]],
    tasks: [
      [...begin(0), turn, ...end(0), ...begin(1)],
      // They hold the first one still when the second has its hart.
      [turn, ...paused(0), ...paused(0)],
      [turn, turn, ...paused(0)],
    ],
    unpaused: [1],
  },
  'the next partition is paused when one lets go of the last': {
    harts: 1,
    partitions: 2,
    guest: [[compute, compute]],
    tasks: [
      [...begin(0), turn, ...end(0), ...begin(1), turn, ...paused(1)],
      [turn, ...paused(0)],
    ],
  },
};

/** Two harts on one seat; of more, src/computer/seats.test.ts. What shares seats in the computer are instances: for the steps it is all the same. */
const shared: Record<string, Scenario> = {
  'two that compute': {
    harts: 2,
    partitions: 1,
    seats: 1,
    guest: [
      [startHart(1), compute, compute],
      [compute, compute],
    ],
    tasks: [begin(0)],
  },
  'they sleep, with and without a timer, and wake each other': {
    harts: 2,
    partitions: 1,
    seats: 1,
    guest: [
      [startHart(1), ipi(1), wfi, compute],
      [nap, ipi(0), compute],
    ],
    tasks: [begin(0)],
  },
  'one that may have to wait for its time': {
    harts: 2,
    partitions: 1,
    seats: 1,
    limited: 1,
    guest: [
      [startHart(1), compute],
      [compute, compute],
    ],
    tasks: [begin(0)],
  },
  'paused while they share': {
    harts: 2,
    partitions: 1,
    seats: 1,
    guest: [[startHart(1)], [compute]],
    tasks: [[...begin(0), turn, ...paused(0)]],
  },
  'a shoot-down of one that has no seat': {
    harts: 2,
    partitions: 1,
    seats: 1,
    guest: [
      [startHart(1), fence(1), compute],
      [fence(0), compute],
    ],
    tasks: [begin(0)],
  },
  'stopped while they share': {
    harts: 2,
    partitions: 1,
    seats: 1,
    guest: [[startHart(1), compute], [compute]],
    tasks: [[...begin(0), turn, ...end(0)]],
  },
  'one dies, with a seat or without': {
    harts: 2,
    partitions: 1,
    seats: 1,
    dies: 1,
    guest: [
      [startHart(1), compute, nap, compute],
      [compute, compute],
    ],
    tasks: [begin(0)],
  },
  'one that is to leave its seat is not waited for': {
    harts: 2,
    partitions: 1,
    seats: 1,
    late: true,
    guest: [
      [startHart(1), compute, nap, compute],
      [compute, compute],
    ],
    tasks: [begin(0)],
  },
  'there are fewer seats, and more': {
    harts: 2,
    partitions: 1,
    seats: 2,
    guest: [
      [startHart(1), compute],
      [compute, compute],
    ],
    tasks: [[...begin(0), turn, seats(1), turn, seats(2)]],
  },
};

describe('harts that share, in every order of the steps', () => {
  for (const [name, scenario] of Object.entries(shared)) {
    test(name, (t) => {
      const { states, problem } = explore(handshakeSystem(scenario));
      t.diagnostic(`${states} states`);
      assert.equal(problem, undefined);
    });
  }
});

describe('in every order of the steps', () => {
  for (const [name, scenario] of Object.entries(scenarios)) {
    test(name, (t) => {
      const { states, problem } = explore(handshakeSystem(scenario));
      t.diagnostic(`${states} states`);
      assert.equal(problem, undefined);
    });
  }
});

describe('the check notices', () => {
  const one = scenarios['a hart that has never slept, paused and let go and paused again at once'];
  const two = scenarios['two harts shoot each other down while they are paused'];
  const idles = scenarios['a hart that goes to sleep, with and without a timer'];
  const next = scenarios['the next partition has the hart, and nobody pauses that'];
  const nextPaused = scenarios['the next partition is paused when one lets go of the last'];
  const restarts = scenarios['a hart that stops itself and is started again'];
  const wakes = scenarios['two harts that wake each other'];

  const cases: [string, Scenario, Variant, RegExp][] = [
    [
      'a hart that counts as stopped until it has slept',
      one,
      { toBegin: () => [(words, h) => words.store(h + S.REQUEST, 0)] },
      /while it is said to stand still/,
    ],
    [
      'a hart that wakes without a second look at what is asked',
      one,
      {
        step: (hart, words) => {
          if (hart.at !== H.RECHECK) return H.step(hart, words);
          hart.at = H.DISPATCH;
          return H.RESUMED;
        },
      },
      /while it is said to stand still/,
    ],
    ['letting go without a wake-up', one, { letGoSteps: H.LET_GO.slice(0, 1) }, /stuck/],
    [
      'a signal that is taken back after what it is for was looked at',
      idles,
      {
        step: (hart, words) => {
          if (hart.at === H.ATTEND) hart.at = H.ASKED;
          if (hart.at === H.IDLE) words.store(hart.h + S.SIGNAL, 0);
          return H.step(hart, words);
        },
      },
      /stuck/,
    ],
    ['a pause that wakes nobody', idles, { askPause: H.ASK_PAUSE.slice(0, 1) }, /stuck/],
    [
      'a hart that does not forget what changed while it was paused',
      one,
      {
        step: (hart, words) => {
          const effect = H.step(hart, words);
          return effect === H.RESUMED ? H.NOTHING : effect;
        },
      },
      /before a change/,
    ],
    [
      'a shoot-down that is answered before it is done',
      two,
      {
        step: (hart, words) => {
          const effect = H.step(hart, words);
          return effect === H.FORGET ? H.NOTHING : effect;
        },
      },
      /before a change/,
    ],
    [
      'a page that is taken away before it is forgotten',
      scenarios['the VMM takes pages away from harts that go on'],
      {
        step: (hart, words) => {
          if (hart.at === H.ASKED) words.store(hart.h + S.SHOOTDOWN_DONE, words.load(hart.h + S.SHOOTDOWN_ASKED));
          return H.step(hart, words);
        },
      },
      /before a change/,
    ],
    [
      'a pause of a partition that has ended',
      next,
      { hold: (s) => ++s.holds === 1, mayMove: () => true },
      /nobody of its own asked/,
    ],
    ['letting go of a partition that has ended', nextPaused, { letGo: (s) => --s.holds === 0 }, /while it is said/],
    [
      'one holder who lets go for both',
      scenarios['two holders, and a third in the middle'],
      {
        letGo: (s) => {
          s.holds--;
          return true;
        },
      },
      /while it is said/,
    ],
    ['START_PENDING said before where to', restarts, { offerFirst: true }, /starts at nowhere/],
    [
      'a sleep that begins though a signal came',
      wakes,
      {
        step: (hart, words) => {
          if (hart.at === H.DOZE) words.store(hart.h + S.SIGNAL, 0);
          return H.step(hart, words);
        },
      },
      /stuck/,
    ],
  ];
  const computing = shared['two that compute'];
  const passing = (change: (s: Q.Sitter, words: H.SharedWords, seats: Q.Seats) => void): Variant => ({
    sharedStep: (s, words, of) => {
      change(s, words, of);
      return Q.sharedStep(s, words, of);
    },
  });
  cases.push(
    [
      'a hart that runs on when it is to leave its seat and another has it',
      computing,
      {
        sharedStep: (s, words, of) => {
          if (s.phase === Q.WANT && words.load(s.side.h + S.SEAT) === S.SEAT_LEAVE) {
            words.store(s.side.h + S.SEAT, S.SEAT_NONE);
            of.leave(s.side.h, s.rings);
            s.phase = Q.PASS;
            return H.TURN;
          }
          return Q.sharedStep(s, words, of);
        },
      },
      /without a seat/,
    ],
    [
      'a hart that goes to sleep with its seat',
      shared['they sleep, with and without a timer, and wake each other'],
      passing((s) => {
        if (s.side.at === H.IDLE) s.wants = false;
      }),
      /keeps its seat/,
    ],
    [
      'a hart that is paused with its seat',
      shared['paused while they share'],
      passing((s) => {
        if (s.side.at === H.HALT) s.wants = false;
      }),
      /keeps its seat/,
    ],
    [
      'a hart that stops with its seat',
      shared['stopped while they share'],
      passing((s) => {
        if (s.side.at === H.STOPPING) s.wants = false;
      }),
      /keeps its seat/,
    ],
    [
      'a seat that is given without a signal',
      computing,
      {
        wantSeat: (h, sharing, words, rings) => {
          const held = T.wantSeat(h, sharing, words, rings);
          if (!held) rings.length = 0;
          return held;
        },
        leaveSeat: (h, sharing, words) => T.leaveSeat(h, sharing, words, []),
      },
      /stuck/,
    ],
    [
      'a hart that sleeps for its seat though it has come',
      computing,
      passing((s, words) => {
        if (s.phase === Q.SLEEP) words.store(s.side.h + S.SIGNAL, 0);
      }),
      /stuck/,
    ],
    [
      'seats that are given without a look at who has them',
      computing,
      {
        wantSeat: (h, _, words) => {
          words.store(h + S.SEAT, S.SEAT_HELD);
          return true;
        },
      },
      /2 harts have seats/,
    ],
    [
      'a dead thread that keeps its seat',
      shared['one dies, with a seat or without'],
      { loseSeat: () => undefined },
      /stuck/,
    ],
    [
      'a dead thread whose signals nobody sends again',
      shared['one dies, with a seat or without'],
      { loseSeat: T.leaveSeat },
      /stuck/,
    ],
    [
      'a shoot-down that waits for a hart that has no seat',
      shared['a shoot-down of one that has no seat'],
      {
        // Before it looks what is asked of it, it wants a seat.
        sharedStep: (s, words, of) => {
          if (s.phase === Q.PASS && s.side.at === H.ASKED && words.load(s.side.h + S.SEAT) === S.SEAT_WANTED) {
            words.wait(s.side.h + S.SIGNAL, 0, Infinity);
            return H.NOTHING;
          }
          return Q.sharedStep(s, words, of);
        },
      },
      /stuck/,
    ],
  );
  for (const [name, scenario, variant, problem] of cases) {
    test(name, () => assert.match(explore(handshakeSystem(scenario, variant)).problem ?? 'nothing', problem));
  }
});
