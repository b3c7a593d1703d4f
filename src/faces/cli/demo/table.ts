/** What happened, as a table. */
import type { DemoResult } from './result.js';
import { drawRows, type Row } from './rows.js';
import type { Output } from './style.js';

const MIB = 2 ** 20;

export function drawResult(result: DemoResult, output: Output): string {
  const praise = 'The kernel was replaced, and nobody noticed more than a pause.';
  return drawRows(rowsOf(result), result.ok, praise, output);
}

function rowsOf(r: DemoResult): Row[] {
  const lost = r.commandsSent - r.commandsAnswered;
  const parts = Object.entries(r.pauseParts).map(([name, ms]) => `${name} ${ms.toFixed(1)}`);
  const ids = r.pids.join(', ');
  return [
    ['kernel before', `Linux ${r.kernelBefore}`],
    ['kernel after', `Linux ${r.kernelAfter}`, r.kernelAfter !== r.kernelBefore],
    ['process ids', `${ids}${r.pidsKept ? ', kept' : ', not kept'}`, r.pidsKept && r.sameProcess],
    ['keys verified', `${r.keysVerified} of ${r.keysWritten}`, r.keysVerified === r.keysWritten],
    ['commands', `${r.commandsSent} sent, ${r.commandsAnswered} answered, ${lost} lost`, lost === 0],
    ['wrong answers', `${r.wrongAnswers}`, r.wrongAnswers === 0],
    ['connections broken', `${r.connectionsBroken}`, r.connectionsBroken === 0],
    ['longest gap between replies', `${r.pauseMs.toFixed(1)} ms around the move`],
    ['usual gap', `${r.usualGapMs.median.toFixed(1)} ms, one in a hundred over ${r.usualGapMs.p99.toFixed(1)} ms`],
    ['the move stood still for', `${r.movePauseMs.toFixed(1)} ms: ${parts.join(', ')}`],
    ['frames flipped', `${r.framesFlipped} (${(r.framesFlipped / 256).toFixed(0)} MiB)`],
    ['memory of the domain', `${(r.domainBytes / MIB).toFixed(1)} MiB`],
    ['bytes of it copied', `${r.bytesCopied}`],
    ['bytes of kernel state copied', `${r.kernelBytesCopied}`],
    ['boot', `a ${r.bootSeconds.a.toFixed(1)} s, b ${r.bootSeconds.b.toFixed(1)} s`],
    [
      'back in the free pool',
      `${r.returnedToPool.harts} hart, ${(r.returnedToPool.bytes / MIB).toFixed(0)} MiB`,
      r.returnedToPool.harts > 0,
    ],
    ...r.untidied.map((left): Row => ['not tidied', left, false]),
  ];
}
