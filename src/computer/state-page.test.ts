import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freeLock, lock, unlock } from './state-page.js';

const LOCK = 3;
/** Some hart's thread. */
const OTHER = 17;

test('a lock is taken, given back, and taken from its holder and from nobody else', () => {
  const words = new Int32Array(new SharedArrayBuffer(64));
  lock(words, LOCK);
  assert.notEqual(words[LOCK], 0);
  unlock(words, LOCK);
  assert.equal(words[LOCK], 0);
  words[LOCK] = OTHER;
  freeLock(words, LOCK, OTHER + 1);
  assert.equal(words[LOCK], OTHER);
  freeLock(words, LOCK, OTHER);
  assert.equal(words[LOCK], 0);
});

test('the main thread does not wait for ever for a thread that is dead', () => {
  const words = new Int32Array(new SharedArrayBuffer(64));
  words[LOCK] = OTHER;
  assert.throws(() => lock(words, LOCK), { name: 'StateError', code: 'lock', message: /thread 17 holds/ });
});
