/** What a demonstration comes to, as a table. */
import { styleFor, type Output } from './style.js';

/** `good`: whether it is as it should be; undefined where nothing can be said. */
export type Row = [label: string, value: string, good?: boolean];

/** Rows, and the verdict under them: `praise` if all went as it should. */
export function drawRows(rows: readonly Row[], ok: boolean, praise: string, output: Output): string {
  const style = styleFor(output);
  const width = Math.max(...rows.map(([label]) => label.length));
  const lines = rows.map(([label, value, good]) => {
    const mark = good === undefined ? ' ' : good ? style('green', '✓') : style('red', '✗');
    return ` ${mark} ${label.padEnd(width)}  ${value}`;
  });
  const verdict = style('bold', ok ? style('green', praise) : style('red', 'It did not go as it should.'));
  return `\n${lines.join('\n')}\n\n ${verdict}\n`;
}
