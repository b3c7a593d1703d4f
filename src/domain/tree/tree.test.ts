import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DomainError } from '../errors.js';
import { birthOrder, type Birth, type Place } from './tree.js';

const place = (pid: number, parent: number, session: number): Place => ({ pid, parent, session });
const say = (b: Birth): string => {
  switch (b.act) {
    case 'bear':
      return `${b.by}${b.sibling ? '~' : '>'}${b.pid}`;
    case 'setsid':
      return `setsid ${b.pid}`;
    case 'end':
      return `${b.by} buries ${b.pid}`;
    case 'reaper':
      return `${b.pid} ${b.on ? 'reaps' : 'reaps no more'}`;
  }
};
const told = (places: Place[]): string => birthOrder(places).map(say).join(', ');

/** What comes of births: who is whose child in which session. */
function played(births: readonly Birth[]): string[] {
  const parent = new Map<number, number>();
  const session = new Map([[1, 1]]);
  const reapers = new Set([1]);
  for (const b of births) {
    if (b.act === 'setsid') session.set(b.pid, b.pid);
    else if (b.act === 'reaper') reapers[b.on ? 'add' : 'delete'](b.pid);
    else if (b.act === 'bear') {
      assert.ok(session.has(b.by) && !session.has(b.pid), say(b));
      parent.set(b.pid, b.sibling ? (parent.get(b.by) ?? -1) : b.by);
      session.set(b.pid, session.get(b.by) ?? -1);
    } else {
      assert.equal(parent.get(b.pid), b.by);
      let reaper = b.by;
      while (!reapers.has(reaper)) reaper = parent.get(reaper) ?? 1;
      for (const [child, of] of parent) if (of === b.pid) parent.set(child, reaper);
      parent.delete(b.pid);
      session.delete(b.pid);
    }
  }
  return [...parent].map(([pid, of]) => `${of}>${pid} in ${session.get(pid) ?? -1}`).sort();
}
const made = (places: Place[]): void =>
  assert.deepEqual(played(birthOrder(places)), places.map((p) => `${p.parent}>${p.pid} in ${p.session}`).sort());

test('parents come before children', () => {
  assert.equal(told([place(9, 5, 2), place(5, 2, 2), place(2, 1, 2)]), '1>2, setsid 2, 2>5, 5>9');
});

test('a child of the old session is born before its parent begins a new one', () => {
  const tree = [place(2, 1, 2), place(3, 2, 3), place(4, 3, 2), place(5, 3, 3)];
  assert.equal(told(tree), '1>2, setsid 2, 2>3, 3>4, setsid 3, 3>5');
});

test('so is one whose grandparent has begun a new one since', () => {
  made([place(2, 1, 2), place(3, 2, 3), place(4, 3, 4), place(5, 4, 2)]);
  made([place(2, 1, 2), place(3, 1, 3), place(4, 3, 4), place(5, 4, 2)]);
});

test('an orphan is born as a sibling by the leader of its session', () => {
  assert.equal(told([place(7, 1, 2), place(2, 1, 2)]), '1>2, setsid 2, 2~7');
  made([place(2, 1, 2), place(3, 2, 3), place(7, 2, 3), place(8, 7, 3)]);
});

test('an orphan of a session whose leader has another parent is born to one who ends', () => {
  assert.equal(
    told([place(2, 1, 2), place(3, 2, 3), place(7, 1, 3)]),
    '1>2, setsid 2, 2>3, setsid 3, 3>4, 4>7, 3 buries 4',
  );
  made([place(2, 1, 2), place(3, 2, 2), place(4, 3, 4), place(7, 2, 4), place(8, 7, 8), place(9, 8, 4)]);
});

test('a session without leader has one for a moment', () => {
  assert.equal(told([place(2, 1, 2), place(7, 1, 6)]), '1>2, setsid 2, 1>6, setsid 6, 6~7, 1 buries 6');
  made([place(2, 1, 2), place(3, 2, 2), place(7, 3, 6), place(8, 1, 6), place(9, 7, 6), place(10, 2, 6)]);
  made([place(2, 1, 2), place(3, 1, 3), place(7, 3, 6), place(8, 7, 8), place(9, 8, 6)]);
  made([place(2, 1, 2), place(3, 1, 3), place(4, 2, 9), place(5, 3, 9)]);
});

test('what no history can have brought about is refused by name', () => {
  const refused = (places: Place[], name: RegExp): void =>
    assert.throws(
      () => birthOrder(places),
      (e) => e instanceof DomainError && e.code === 'unsupported' && name.test(e.resource ?? ''),
    );
  refused([place(2, 1, 2), place(3, 2, 2), place(4, 2, 2), place(5, 3, 9), place(6, 4, 9)], /leader has ended/);
  refused([place(2, 1, 2), place(3, 2, 2), place(4, 3, 1)], /orphan/);
  refused([place(2, 3, 2), place(3, 2, 2)], /cycle/);
  refused([place(2, 1, 2), place(1, 2, 2)], /PID namespace/);
  refused([place(2, 1, 2), place(3, 2, 2), place(3, 2, 3)], /PID namespace/);
});

test('a tree may be as deep and as wide as it likes', () => {
  const deep = Array.from({ length: 50_000 }, (_, i) => place(i + 2, i + 1, 2));
  assert.equal(birthOrder(deep).length, deep.length + 1);
  const wide = Array.from({ length: 200_000 }, (_, i) => place(i + 2, i === 0 ? 1 : 2, 2));
  assert.equal(birthOrder(wide).length, wide.length + 1);
  // Each of these is born in a session of its own, and its child in that of its parent.
  const sessions = Array.from({ length: 20_000 }, (_, i) => place(i + 2, i + 1, i + 2));
  assert.equal(birthOrder(sessions).length, 2 * sessions.length);
});
