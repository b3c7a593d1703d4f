import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SessionError } from './errors.js';
import { ENDED, MemoryHighWater } from './high-water.js';

const mark = (id: string, counter: number, at = 0, expires = 1000) => ({ id, counter, lastActivity: at, expires });

describe('high-water marks in memory', () => {
  it('never take more than their capacity', () => {
    const store = new MemoryHighWater({ capacity: 10 });
    for (let i = 0; i < 1000; i++) assert.ok(store.raise(mark(`s${i}`, 1), 0, 0));
    assert.equal(store.size, 10);
    assert.equal(store.forgotten, 990);
  });

  it('make room by the session raised longest ago, and a dead one is no loss', () => {
    const store = new MemoryHighWater({ capacity: 2 });
    store.raise(mark('a', 5, 0, 100), 0, 0);
    store.raise(mark('b', 5), 0, 0);
    store.raise(mark('c', 5), 0, 500);
    assert.equal(store.forgotten, 0, 'a had expired');
    store.raise(mark('b', 6), 0, 500);
    store.raise(mark('d', 5), 0, 500);
    assert.equal(store.forgotten, 1, 'c, since b was raised after it');
    assert.equal(store.raise(mark('b', 5), 0, 500), false);
    assert.equal(store.raise(mark('c', 1), 0, 500), true, 'forgotten: it cannot be told');
  });

  it('refuse rather than forget, where that is asked for', () => {
    const store = new MemoryHighWater({ capacity: 1, whenFull: 'refuse' });
    store.raise(mark('a', 5, 50), 0, 50);
    store.raise(mark('b', 1, 60), 0, 60);
    assert.equal(store.raise(mark('a', 4, 40), 0, 70), false, 'a replay of what was forgotten');
    assert.equal(store.raise(mark('a', 5, 50), 0, 70), false, 'and its newest cannot be told from one');
    assert.equal(store.raise(mark('c', 0, 70), 0, 70), true, 'a new session has nothing to do with it');
  });

  it('keep an ended session ended', () => {
    const store = new MemoryHighWater();
    store.raise(mark('a', ENDED), 0, 0);
    assert.equal(store.raise(mark('a', ENDED - 1), 0, 0), false);
  });

  it('need room for one session at least', () => {
    assert.throws(() => new MemoryHighWater({ capacity: 0 }), SessionError);
  });
});
