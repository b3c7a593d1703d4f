/** The demonstration's end, for people: what was measured and what was counted. */
import { drawRows, type Row } from '../rows.js';
import type { Output } from '../style.js';
import type { DemoIoResult, Spread } from './result.js';

export function drawIoResult(result: DemoIoResult, output: Output): string {
  const praise = 'The monitor came and went, and the guest did not notice.';
  return drawRows(rowsOf(result), result.ok, praise, output);
}

const spread = ({ p50, p99, max }: Spread): string =>
  `median ${p50.toFixed(3)} ms, one in a hundred over ${p99.toFixed(3)} ms, longest ${max.toFixed(3)} ms`;

function rowsOf(r: DemoIoResult): Row[] {
  const none = (label: string, count: number): Row => [label, String(count), count === 0];
  const devices = Object.entries(r.devices).filter(([, { switches }]) => switches > 0);
  return [
    ['kernel', `Linux ${r.kernel}, ${r.harts} hart${r.harts > 1 ? 's' : ''}`],
    [
      'switches',
      `${r.switches} in ${r.seconds.toFixed(1)} s: ${devices.map(([id, d]) => `${id} ${d.switches}`).join(', ')}`,
    ],
    ['refused and asked again', String(r.refused)],
    ['waited for what went on', spread(r.waitMs)],
    ['the switch itself', spread(r.switchMs)],
    ['requests to the disk', String(r.requests), r.requests > 0],
    ['transfers', `${r.transfers}, ${(r.transferredBytes / 1e6).toFixed(0)} MB`, r.transfers > 0],
    none('lost', r.lost),
    none('done twice', r.doubled),
    none('out of order', r.reordered),
    none('not as written', r.differing),
    none('answered with an error', r.failed),
    none('resets', r.resets),
    none('monitor ran while direct', r.monitorEntriesWhenDirect),
    none('messages of the kernel', r.kernelMessages.length),
    ...r.kernelMessages.slice(0, 5).map((line): Row => ['', line, false]),
  ];
}
