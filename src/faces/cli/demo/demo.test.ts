import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataSet } from './data.js';
import type { Chronicle, DemoResult } from './result.js';
import { SteadyClient } from './steady-client.js';
import { drawResult } from './table.js';
import { drawTimeline } from './timeline.js';

const REPLIES = Array.from({ length: 100 }, (_, i) => 1000 + i * 10 + (i >= 50 ? 300 : 0));
const CHRONICLE: Chronicle = {
  start: 0,
  end: 3000,
  lanes: [
    {
      name: 'a',
      kernel: '6.12.1',
      spans: [
        { what: 'boot', from: 0, to: 900 },
        { what: 'serve', from: 900, to: 1750 },
        { what: 'shutdown', from: 2400, to: 2500 },
      ],
    },
    { name: 'b', kernel: '7.2.1', spans: [{ what: 'boot', from: 900, to: 1400 }] },
  ],
  replies: REPLIES,
  steps: [
    { step: 'survey', at: 1450 },
    { step: 'freeze', at: 1495 },
    { step: 'flip', at: 1600 },
    { step: 'bury', at: 1780 },
    { step: 'end', at: 1850 },
  ],
};

test('the longest gap is the one between replies around a stretch of time', () => {
  const steady = new SteadyClient();
  steady.replies.push(0, 500, ...REPLIES);
  assert.deepEqual(steady.longestGap(), { ms: 500, from: 0 });
  assert.deepEqual(steady.longestGap(1495, 1850), { ms: 310, from: 1490 });
  assert.equal(steady.longestGap(1600, 1610).ms, 310, 'a gap counts that lies around it');
  assert.equal(steady.longestGap(5000, 6000).ms, 0);
  assert.deepEqual(steady.usualGaps(1000, 1030), [10, 10, 10]);
});

test('a picture keeps within the terminal, and has no colours where there is none', () => {
  for (const columns of [60, 80, 120]) {
    const picture = drawTimeline(CHRONICLE, { columns });
    assert.ok(!picture.includes('\x1b'));
    for (const line of picture.split('\n')) assert.ok(line.length <= columns, line);
  }
});

test('the picture shows where nobody answered', () => {
  const line = drawTimeline(CHRONICLE, { columns: 80 })
    .split('\n')
    .findLast((l) => l.startsWith(' replies'));
  assert.match(line ?? '', /│ {20,}│/);
});

test('colours come with a terminal', () => {
  const { TERM, NO_COLOR } = process.env;
  process.env['TERM'] = 'xterm';
  delete process.env['NO_COLOR'];
  try {
    assert.ok(drawTimeline(CHRONICLE, { isTTY: true, columns: 80 }).includes('\x1b[36m'));
    process.env['NO_COLOR'] = '1';
    assert.ok(!drawTimeline(CHRONICLE, { isTTY: true, columns: 80 }).includes('\x1b'));
  } finally {
    if (TERM === undefined) delete process.env['TERM'];
    else process.env['TERM'] = TERM;
    if (NO_COLOR === undefined) delete process.env['NO_COLOR'];
    else process.env['NO_COLOR'] = NO_COLOR;
  }
});

test('values are all different, as long as they should be, and the same when made again', () => {
  const data = new DataSet(16, 7);
  const seen = new Set<string>();
  for (let i = 0; i < data.keys; i++) {
    const value = data.value(i);
    assert.equal(value.length, 16_000);
    seen.add(value.slice(value.indexOf(':')));
  }
  assert.equal(seen.size, data.keys);
  assert.ok(data.keys * 16_000 >= 16 * 2 ** 20);
  assert.equal(new DataSet(16, 7).value(99), data.value(99));
  assert.notEqual(new DataSet(16, 8).value(99), data.value(99));
});

test('the table says what is wrong', () => {
  const result: DemoResult = {
    ok: false,
    kernelBefore: '6.12',
    kernelAfter: '7.2',
    pidsKept: true,
    pids: [2],
    sameProcess: true,
    keysWritten: 10,
    keysVerified: 9,
    commandsSent: 100,
    commandsAnswered: 98,
    wrongAnswers: 0,
    connectionsBroken: 1,
    pauseMs: 1,
    movePauseMs: 1,
    pauseParts: { freeze: 1 },
    longestGapMs: 1,
    usualGapMs: { median: 1, p99: 2 },
    framesFlipped: 256,
    domainBytes: 2 ** 20,
    bytesCopied: 0,
    kernelBytesCopied: 7,
    bootSeconds: { a: 1, b: 2 },
    returnedToPool: { harts: 1, bytes: 2 ** 20 },
    untidied: [],
    memoryMiB: 16,
    totalSeconds: 3,
  };
  const table = drawResult(result, {});
  assert.match(table, /✗ keys verified +9 of 10/);
  assert.match(table, /✗ commands +100 sent, 98 answered, 2 lost/);
  assert.match(table, /✗ connections broken +1/);
  assert.match(table, /✓ process ids/);
  assert.match(table, /did not go as it should/);
});
