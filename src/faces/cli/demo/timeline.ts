/**
 * The demonstration as a picture: which OS instance did what when, how many replies came, and under it the move alone.
 * Each cell of a line stands for the same stretch of time.
 */
import type { Chronicle, Span } from './result.js';
import { styleFor, type Output, type Style } from './style.js';

const LABEL = 12;
/** Room behind the bars of the move for milliseconds. */
const AFTER = 10;
const CELLS = { least: 30, most: 100 };
const SHADES: Readonly<Record<Span['what'], string>> = { boot: '░', ready: '·', serve: '█', shutdown: '▒' };
const LEVELS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/** Shown before the freeze and after the end of the move, as a share of what lies between. */
const MARGIN = 0.15;

export function drawTimeline(chronicle: Chronicle, output: Output): string {
  const style = styleFor(output);
  const width = Math.min(CELLS.most, Math.max(CELLS.least, (output.columns ?? 80) - LABEL - 2));
  return `\n${whole(chronicle, width, style)}\n${move(chronicle, width - AFTER, style)}`;
}

/** A stretch of time, cut into cells. */
class Ruler {
  constructor(
    readonly from: number,
    readonly to: number,
    readonly cells: number,
  ) {}

  cell(at: number): number {
    const share = (at - this.from) / (this.to - this.from);
    return Math.max(0, Math.min(this.cells - 1, Math.floor(share * this.cells)));
  }

  /** A line with `mark` in the cells from `from` to `to`, at least one. */
  bar(line: string[], from: number, to: number, mark: string): void {
    if (to < this.from || from > this.to) return;
    for (let i = this.cell(from); i <= this.cell(to); i++) line[i] = mark;
  }

  empty(): string[] {
    return new Array<string>(this.cells).fill(' ');
  }

  /** How many of the sorted times fall into each cell. */
  count(times: readonly number[]): number[] {
    const counts = new Array<number>(this.cells).fill(0);
    for (const t of times) if (t >= this.from && t <= this.to) counts[this.cell(t)]++;
    return counts;
  }
}

function whole({ start, end, lanes, replies, steps }: Chronicle, width: number, style: Style): string {
  const ruler = new Ruler(start, end, width);
  const rows = lanes.map(({ name, kernel, spans }) => {
    const line = ruler.empty();
    for (const span of spans) ruler.bar(line, span.from, span.to, SHADES[span.what]);
    return row(`${name}  ${majorOf(kernel)}`, style(name === 'a' ? 'blue' : 'green', line.join('')));
  });
  const counts = ruler.count(replies);
  const most = Math.max(1, ...counts);
  const levels = counts.map((n) => (n === 0 ? ' ' : LEVELS[Math.min(7, Math.floor((n / most) * 8))])).join('');
  const pointer = ruler.empty();
  const frozen = steps.find((s) => s.step === 'freeze');
  if (frozen !== undefined) pointer[ruler.cell(frozen.at)] = '▲';
  return [
    row('', style('dim', scale('0 s', `${((end - start) / 1000).toFixed(0)} s`, width))),
    ...rows,
    row('replies', style('cyan', levels)),
    row('', `${pointer.join('').trimEnd()} the move`),
    row('', style('dim', '░ boots   · stands by   █ serves   ▒ shuts down')),
    '',
  ].join('\n');
}

function move({ replies, steps }: Chronicle, width: number, style: Style): string {
  const frozenAt = steps.findIndex((s) => s.step === 'freeze');
  const last = steps.at(-1);
  if (frozenAt < 0 || last === undefined) return '';
  const frozen = steps[frozenAt].at;
  const resumed = steps.find((s) => s.step === 'bury')?.at ?? last.at;
  // As far as the first reply afterwards: that is what the clients see.
  const next = replies.find((t) => t > resumed) ?? resumed;
  const span = next - frozen;
  const ruler = new Ruler(frozen - MARGIN * span, next + MARGIN * span, width);
  const rows = steps.slice(frozenAt, -1).map(({ step, at }, i) => {
    const line = ruler.empty();
    const until = steps[frozenAt + i + 1].at;
    ruler.bar(line, at, Math.min(until, ruler.to), step === 'bury' ? '░' : '█');
    return row(step, style('yellow', line.join('')), ` ${(until - at).toFixed(1).padStart(6)} ms`);
  });
  const marks = ruler.count(replies).map((n) => (n === 0 ? ' ' : '│'));
  return [
    row('', style('dim', scale('the move', `${((1 + 2 * MARGIN) * span).toFixed(0)} ms`, width))),
    ...rows,
    row('replies', style('cyan', marks.join(''))),
    '',
  ].join('\n');
}

const majorOf = (release: string): string => /^\d+\.\d+/.exec(release)?.[0] ?? release;
const row = (label: string, line: string, after = ''): string => ` ${label.padEnd(LABEL - 2)} ${line}${after}`;

function scale(left: string, right: string, width: number): string {
  return `${left} ${'·'.repeat(Math.max(0, width - left.length - right.length - 2))} ${right}`;
}
