/** The demonstration's end, for people. */
import { drawRows, type Row } from '../rows.js';
import type { Output } from '../style.js';
import type { DemoPartitionResult } from './result.js';

export function drawPartitionResult(result: DemoPartitionResult, output: Output): string {
  return drawRows(rowsOf(result), result.ok, 'Each found its share of the computer, and nothing else.', output);
}

const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;

function rowsOf(r: DemoPartitionResult): Row[] {
  const shares = Object.entries(r.shares);
  return [
    ['kernel', `Linux ${r.kernel}, two of them on one hart`],
    ['probes', `${r.probes} in ${r.rounds} rounds`, r.rounds > 0],
    ['found the same as alone', r.transcriptsEqual ? 'byte for byte' : (r.difference ?? 'no'), r.transcriptsEqual],
    ['DMAs refused', String(r.refusedDmas), r.refusedDmas > 0],
    ...shares.map(([name, { asked, got }]): Row => [
      `share of ${name}`,
      `${percent(got)} of ${percent(asked)} asked for`,
    ]),
    ['answers of who sleeps', `median ${r.wakeMs.p50} ms, one in a hundred over ${r.wakeMs.p99} ms`],
    ['hidden until given', r.given === '' ? 'no' : `yes, then ${r.given}`, r.hiddenUntilGiven],
    ['each frame one owner', r.booksBalance ? 'and none missing' : 'no', r.booksBalance],
  ];
}
