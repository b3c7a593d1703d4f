/** Three who share one seat, two, or none, in every order of what each may do, whoever is chosen to go first. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as S from '../hart/state.js';
import type { SharedWords } from './handshake.js';
import { leaveSeat, loseSeat, seatsChanged, wantSeat, type Sharing } from './seats.js';

const MEMBERS = [0x1000, 0x2000, 0x3000];
const NONE = [S.SEAT_NONE, S.SEAT_NONE, S.SEAT_NONE];

/** SEAT words of the members, and how many seats there are. */
interface State {
  readonly seats: number;
  readonly words: readonly number[];
}

type Work = (sharing: Sharing, words: SharedWords, rings: number[]) => void;

/** Everything that may come of it, with whom it would signal. */
function outcomes(state: State, seats: number, work: Work): { after: State; rings: readonly number[] }[] {
  const found: { after: State; rings: readonly number[] }[] = [];
  const unused = (): never => assert.fail('a step at the seats does nothing else');
  // Each run is told what to choose; where it is told nothing it takes the first, and the others are runs to come.
  const runs: number[][] = [[]];
  for (let run = runs.pop(); run !== undefined; run = runs.pop()) {
    const told = run;
    const taken: number[] = [];
    const after = [...state.words];
    const place = (at: number): number => MEMBERS.indexOf(at - S.SEAT);
    const words: SharedWords = {
      load: (at) => after[place(at)],
      store: (at, value) => (after[place(at)] = value),
      add: unused,
      or: unused,
      and: unused,
      wait: unused,
      notify: unused,
    };
    const choose = (of: readonly number[]): number => {
      const n = told[taken.length] ?? 0;
      if (taken.length >= told.length) of.slice(1).forEach((_, other) => runs.push([...taken, other + 1]));
      taken.push(n);
      return of[n];
    };
    const those = (seat: number): number[] => MEMBERS.filter((_, i) => after[i] === seat);
    const rings: number[] = [];
    const sharing: Sharing = {
      seats,
      places: MEMBERS.length,
      memberAt: (n) => MEMBERS[n],
      next: () => choose(those(S.SEAT_WANTED).concat(those(S.SEAT_WANTED).length === 0 ? [0] : [])),
      overdue: () => choose([0, ...those(S.SEAT_LEAVE)]),
      told: () => undefined,
      taken: () => undefined,
      displaced: (h) => choose([0, ...those(S.SEAT_HELD).filter((m) => m !== h)]),
    };
    work(sharing, words, rings);
    found.push({ after: { seats, words: after }, rings });
  }
  return found;
}

test('no more have seats than there are, nobody waits beside a free one, and whom it concerns is told', () => {
  const seen = new Set<string>();
  const open: State[] = [{ seats: 1, words: NONE }];
  const sits = (seat: number): boolean => seat >= S.SEAT_HELD;
  while (open.length > 0) {
    const state = open.pop() as State;
    const key = JSON.stringify(state);
    if (seen.has(key)) continue;
    seen.add(key);
    const check = (what: string, me: number, work: Work, seats = state.seats): void => {
      for (const { after, rings } of outcomes(state, seats, work)) {
        const said = `${what}: ${key} → ${JSON.stringify(after)}, signals ${rings.map((h) => h / 0x1000).join()}`;
        const holders = after.words.filter(sits).length;
        // With fewer seats than before some are told to leave, and nobody new gets one.
        const leaving = after.words.filter((seat) => seat === S.SEAT_LEAVE).length;
        assert.ok(holders - leaving <= seats, said);
        assert.ok(holders <= Math.max(seats, state.words.filter(sits).length), said);
        if (holders < seats) assert.ok(!after.words.includes(S.SEAT_WANTED), said);
        after.words.forEach((seat, i) => {
          const before = state.words[i];
          // One whose seat was taken is told as well.
          const evicted = before === S.SEAT_LEAVE && seat === S.SEAT_NONE;
          if (evicted && MEMBERS[i] !== me) assert.ok(rings.includes(MEMBERS[i]), said);
          const toTell =
            seat !== before && (seat === S.SEAT_LEAVE || (seat === S.SEAT_HELD && before === S.SEAT_WANTED));
          if (toTell && MEMBERS[i] !== me) assert.ok(rings.includes(MEMBERS[i]), said);
          if (what === 'dies' && seat !== S.SEAT_NONE) assert.ok(rings.includes(MEMBERS[i]), said);
        });
        open.push(after);
      }
    };
    for (const h of MEMBERS) {
      check('wants', h, (sharing, words, rings) => {
        const held = wantSeat(h, sharing, words, rings);
        assert.equal(held, words.load(h + S.SEAT) === S.SEAT_HELD);
      });
      check('leaves', h, (sharing, words, rings) => leaveSeat(h, sharing, words, rings));
      check('dies', h, (sharing, words, rings) => loseSeat(h, sharing, words, rings));
    }
    for (const seats of [0, 1, 2]) {
      check('seats', 0, (sharing, words, rings) => seatsChanged(sharing, words, rings), seats);
    }
  }
  // Each of the three has a seat, or waits, or neither, in all ways that go with the number of seats.
  assert.ok(seen.size > 50, `${seen.size} states`);
});
