import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Progress } from '../../image/index.js';
import { progressPrinter } from './progress.js';

function written(isTTY: boolean, reports: readonly (Progress | number)[]): string {
  let text = '';
  let time = 0;
  const write = (piece: unknown): boolean => {
    text += String(piece);
    return true;
  };
  const printer = progressPrinter({ write, isTTY, columns: 80 }, () => time);
  for (const report of reports) {
    if (typeof report === 'number') time += report;
    else printer.report(report);
  }
  printer.end();
  return text;
}

const fetching = (done: number): Progress => ({
  step: 'download',
  message: 'fetching 2 packages, 100.0 MB',
  fraction: done / 100e6,
  bytes: { done: done + 50e6, total: 200e6 },
});
const PLAN: Progress = {
  step: 'plan',
  message: 'to be fetched: 3 packages, 200.0 MB',
  bytes: { done: 0, total: 200e6 },
};

test('in a log, a line when something begins, and one every ten seconds while it goes on', () => {
  const often = Array.from({ length: 50 }, (_, i) => [500, fetching(i * 2e6)]).flat();
  assert.equal(
    written(false, [PLAN, fetching(0), ...often, { step: 'unpack', message: 'unpacking' }]),
    'to be fetched: 3 packages, 200.0 MB\nfetching 2 packages, 100.0 MB\n' +
      '  88.0 of 200.0 MB, 44 %\n  128.0 of 200.0 MB, 64 %\nunpacking\n',
  );
});

test('on a terminal, the sum stays and the rest is one line that is rewritten and never wraps', () => {
  const lines = written(true, [PLAN, fetching(0), fetching(30e6), { step: 'ready', message: 'image ready' }]).split(
    '\n',
  );
  assert.equal(lines.length, 3);
  assert.match(lines[0], /to be fetched: 3 packages, 200\.0 MB$/);
  const states = lines[1].split('\r\x1b[K').slice(1);
  assert.equal(states[1], 'fetching 2 packages, 100.0 MB 80.0 of 200.0 MB, 40 % [##########              ]');
  for (const state of states) assert.ok(state.length < 80, state);
  assert.equal(states[2], 'image ready');
});
