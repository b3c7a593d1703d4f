import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DomainError } from '../errors.js';
import { birthOrder, type Place } from './tree.js';

/** Host ids are 100 more; the anchor is 101 there. */
const place = (pid: number, parent: number, session: number): Place => ({
  hostPid: 100 + pid,
  pid,
  status: { ppid: 100 + parent, nsSid: [100 + session, session] },
});
const told = (places: Place[]): string =>
  birthOrder(places)
    .map((b) => (b.act === 'setsid' ? `setsid ${b.pid}` : `${b.by}${b.sibling ? '~' : '>'}${b.pid}`))
    .join(', ');

test('parents come before children', () => {
  assert.equal(told([place(9, 5, 2), place(5, 2, 2), place(2, 1, 2)]), '1>2, setsid 2, 2>5, 5>9');
});

test('a child of the old session is born before its parent begins a new one', () => {
  const tree = [place(2, 1, 2), place(3, 2, 3), place(4, 3, 2), place(5, 3, 3)];
  assert.equal(told(tree), '1>2, setsid 2, 2>3, 3>4, setsid 3, 3>5');
});

test('an orphan is born as a sibling by the leader of its session', () => {
  assert.equal(told([place(7, 1, 2), place(2, 1, 2)]), '1>2, setsid 2, 2~7');
});

test('what cannot be inherited is refused by name', () => {
  const refused = (places: Place[], name: RegExp): void =>
    assert.throws(
      () => birthOrder(places),
      (e) => e instanceof DomainError && e.code === 'unsupported' && name.test(e.resource ?? ''),
    );
  refused([place(2, 1, 2), place(7, 1, 6)], /leader has ended/);
  refused([place(2, 1, 2), place(3, 2, 3), place(7, 1, 3)], /orphan/);
  refused([place(2, 1, 2), place(3, 2, 9)], /did not inherit/);
});
