import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alike } from './alike.js';

const NAMES = ['nginx', 'nginx-common', 'postgresql', 'postgresql-17', 'redis', 'zlib1g'];

test('names of few wrong letters, and those that begin so, the likeliest first', () => {
  assert.deepEqual(alike('ngnix', NAMES), ['nginx']);
  assert.deepEqual(alike('ngin', NAMES), ['nginx', 'nginx-common']);
  assert.deepEqual(alike('postgresql-71', NAMES), ['postgresql-17']);
  assert.deepEqual(alike('postgres', NAMES), ['postgresql', 'postgresql-17']);
  assert.deepEqual(alike('something-else', NAMES), []);
});
