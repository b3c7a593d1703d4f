import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
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

test('a thread that takes a lock again and again does not keep the main thread from it', async () => {
  const words = new Int32Array(new SharedArrayBuffer(64));
  const file = JSON.stringify(new URL('state-page.js', import.meta.url).href);
  const greedy = new Worker(
    `const { workerData: words } = require('node:worker_threads');
     import(${file}).then(({ lock, lockAs, unlock }) => {
       lockAs(${OTHER});
       while (Atomics.load(words, 0) === 0) {
         lock(words, ${LOCK});
         words[1]++;
         for (const end = performance.now() + 0.3; performance.now() < end;);
         unlock(words, ${LOCK});
       }
     });`,
    { eval: true, workerData: words },
  );
  while (Atomics.load(words, 1) < 10) await new Promise((resolve) => setTimeout(resolve, 1));
  const before = Atomics.load(words, 1);
  for (let i = 0; i < 50; i++) {
    lock(words, LOCK);
    unlock(words, LOCK);
  }
  const turns = Atomics.load(words, 1) - before;
  const ended = new Promise((resolve) => greedy.on('exit', resolve));
  Atomics.store(words, 0, 1);
  await ended;
  assert.ok(turns <= 200, `it had the lock ${turns} times while the main thread asked for it 50 times`);
  assert.equal(words[LOCK], 0);
});
