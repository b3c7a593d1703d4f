import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Inspection, InstanceInspection } from '../../../../index.js';
import { parseDemoPartitionOptions } from './options.js';
import { drawPicture, partOfHart, sampleMap } from './picture.js';
import { emptyResult, isAsItShouldBe } from './result.js';

const plain = (_: unknown, text: string): string => text;

const instance = (name: string, ran: number, more: Partial<InstanceInspection> = {}): InstanceInspection => ({
  name,
  paused: false,
  memory: { size: 2 ** 21, resident: 2 ** 20, guaranteed: 2 ** 21 },
  harts: [{ id: 0, state: 'running', ran, waited: 0 }],
  devices: [],
  refusedDmas: 0,
  ...more,
});

const inspection = (at: number, instances: readonly InstanceInspection[]): Inspection => ({
  at,
  frames: {
    size: 4096,
    available: 10,
    owners: ['free', 'not there', 'vmm', 'monitor', 'harts', 'alice', 'bob'].map((name) => ({ name, frames: 10 })),
    map: Int32Array.of(2, 80, 5, 160, 0, 80),
  },
  harts: { total: 2, free: 1 },
  instances,
  devices: [
    {
      id: 'disk0',
      kind: 'disk',
      mode: 'unused',
      uses: [],
      counters: {
        interposed: 0,
        steppedAway: 0,
        refused: 0,
        refusedDmas: 0,
        monitorEntries: 0,
        monitorEntriesWhenDirect: 0,
      },
    },
  ],
  ports: [],
});

void test('a stretch of memory is whose most of it is', () => {
  assert.deepEqual(sampleMap(Int32Array.of(2, 4, 5, 4, 0, 2), 5), [2, 2, 5, 5, 0]);
  assert.deepEqual(sampleMap(Int32Array.of(2, 4, 5, 4, 0, 2), 10), [2, 2, 2, 2, 5, 5, 5, 5, 0, 0]);
  assert.deepEqual(sampleMap(Int32Array.of(0, 3, 5, 1), 1), [0]);
  assert.deepEqual(sampleMap(Int32Array.of(0, 1, 5, 2), 6), [0, 0, 5, 5, 5, 5]);
});

void test('the picture says who has what', () => {
  const before = inspection(1000, [
    instance('alice', 100),
    instance('bob', 0, { share: { weight: 300, cpu: 1, used: 50 } }),
  ]);
  const now = inspection(2000, [
    instance('alice', 600, { refusedDmas: 7 }),
    instance('bob', 0, { share: { weight: 300, cpu: 1, used: 300 } }),
  ]);
  const lines = drawPicture(now, before, 92, plain);
  assert.deepEqual(
    lines.map((line) => line.trimEnd()),
    [
      `frames    ${'▪'.repeat(80)}`,
      `          ${'a'.repeat(80)}`,
      `          ${'a'.repeat(80)}`,
      `          ${'·'.repeat(80)}`,
      `alice        1 MiB ${'█'.repeat(10)}${'░'.repeat(10)}  50 % its own, 7 refused`,
      `bob          1 MiB ${'█'.repeat(5)}${'░'.repeat(15)}  25 % weight 300`,
      'nobody    1 of 2 harts disk0',
    ],
  );
  assert.ok(drawPicture(now, undefined, 40, plain).every((line) => line.length <= 80));
  assert.equal(partOfHart(instance('a', 5), undefined, 100), 0, 'of who has just come nothing is known');
});

void test('the command line', () => {
  assert.deepEqual(parseDemoPartitionOptions(['--json', '--seconds', '9', '-k', 'backports']), {
    json: true,
    seconds: 9,
    kernel: 'backports',
  });
  assert.equal(parseDemoPartitionOptions(['-h']), 'help');
  for (const wrong of [['--seconds', '0'], ['--kernel', 'sid'], ['more']]) {
    assert.throws(() => parseDemoPartitionOptions(wrong), { name: 'UsageError' });
  }
});

void test('it is as it should be only if all of it is', () => {
  const good = {
    ...emptyResult(),
    rounds: 5,
    refusedDmas: 3,
    shares: { a: { asked: 0.75, got: 0.74 } },
    hiddenUntilGiven: true,
    booksBalance: true,
  };
  assert.ok(isAsItShouldBe(good));
  for (const wrong of [
    { transcriptsEqual: false },
    { rounds: 0 },
    { refusedDmas: 0 },
    { shares: {} },
    { shares: { a: { asked: 0.75, got: 0.7 } } },
    { hiddenUntilGiven: false },
    { booksBalance: false },
  ]) {
    assert.ok(!isAsItShouldBe({ ...good, ...wrong }), JSON.stringify(wrong));
  }
});
