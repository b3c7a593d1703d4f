/** What the main thread changes of who shares, while harts have seats or wait: one thread plays them all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as S from '../hart/state.js';
import { hostNow } from './clock.js';
import { SeatTable, seatTableSize, type HartClaim } from './seat-table.js';

const BLOCK = 0x1000;
const TABLE = 0x8000;
const HARTS = 4;
const LIMITED: HartClaim = { weight: 100, cpu: 0.05 };

function tableOf(seats: number): { table: SeatTable; words: Int32Array } {
  const buffer = new SharedArrayBuffer(TABLE + seatTableSize(HARTS));
  const table = new SeatTable(buffer, TABLE, HARTS);
  table.setSeats(seats);
  return { table, words: new Int32Array(buffer) };
}

function computes(milliseconds: number): void {
  for (const end = hostNow() + milliseconds; hostNow() < end;);
}

test('a limit that is set again forgives nothing; one that is lifted lets it run, and it is told', () => {
  const { table, words } = tableOf(1);
  const index = table.open(LIMITED);
  table.join(BLOCK, index);
  assert.equal(table.want(BLOCK, []), 0);
  // Thirty milliseconds are more than half a second's worth.
  computes(30);
  const wait = table.want(BLOCK, []);
  assert.ok(wait > 300, `${wait} ms`);
  for (let again = 0; again < 20; again++) {
    table.change(index, LIMITED);
    const then = table.want(BLOCK, []);
    assert.ok(then > 300, `${then} ms after it was set again`);
  }
  Atomics.store(words, (BLOCK + S.SIGNAL) >>> 2, 0);
  table.change(index, { weight: 100, cpu: 0.5 });
  assert.equal(Atomics.load(words, (BLOCK + S.SIGNAL) >>> 2), S.SIGNAL_RAISED, 'it looks how long it has to wait now');
  const less = table.want(BLOCK, []);
  assert.ok(less > 0 && less < wait / 4, `${less} ms with a higher limit, ${wait} ms before`);
  table.change(index, { weight: 100, cpu: Infinity });
  assert.equal(words[(BLOCK + S.SEAT) >>> 2], S.SEAT_HELD);
  // Nor does lifting it for a moment.
  table.change(index, LIMITED);
  assert.ok(table.want(BLOCK, []) > 0);
});

test('a seat that is taken from one who runs on: it is charged until it looks, and no longer', () => {
  const { table } = tableOf(1);
  const [long, other] = [table.open({ weight: 100, cpu: Infinity }), table.open({ weight: 100, cpu: Infinity })];
  const [h, next] = [BLOCK, 2 * BLOCK];
  table.join(h, long);
  table.join(next, other);
  assert.equal(table.want(h, []), 0);
  computes(5);
  assert.notEqual(table.want(next, []), 0);
  // It is told to leave, and does not look.
  computes(2);
  assert.equal(table.want(next, []), 0);
  const taken = table.used(long);
  computes(20);
  const ran = table.used(long) - taken;
  assert.ok(ran >= 19, `${ran} ms`);
  // It looks, and waits.
  assert.notEqual(table.want(h, []), 0);
  const looked = table.used(long);
  computes(2);
  assert.equal(table.used(long), looked);
  table.leave(h, []);
  computes(1);
  assert.equal(table.used(long), looked);
});

test('a thread that dies after its seat was taken is charged no more', () => {
  const { table } = tableOf(1);
  const [long, other] = [table.open({ weight: 100, cpu: Infinity }), table.open({ weight: 100, cpu: Infinity })];
  table.join(BLOCK, long);
  table.join(2 * BLOCK, other);
  table.want(BLOCK, []);
  computes(5);
  table.want(2 * BLOCK, []);
  computes(2);
  table.want(2 * BLOCK, []);
  table.lose(BLOCK, 1);
  const used = table.used(long);
  computes(2);
  assert.equal(table.used(long), used);
});
