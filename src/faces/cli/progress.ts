/** Progress on standard error: one line that is rewritten on a terminal, one line per step elsewhere. */
import type { OnProgress } from '../../image/index.js';

export interface ProgressPrinter {
  report: OnProgress;
  /** Ends the line that is being rewritten. */
  end(): void;
}

const BAR = 24;

export function progressPrinter(stream: NodeJS.WriteStream = process.stderr): ProgressPrinter {
  let last = '';
  let open = false;
  const end = (): void => {
    if (open) stream.write('\n');
    open = false;
  };
  return {
    end,
    report({ step, message, fraction }) {
      const text = step === 'warning' ? `warning: ${message}` : message;
      if (!stream.isTTY) {
        if (text !== last) stream.write(`${text}\n`);
        last = text;
        return;
      }
      if (step === 'warning') end();
      const filled = Math.round((fraction ?? 0) * BAR);
      const bar = fraction === undefined ? '' : ` [${'#'.repeat(filled)}${' '.repeat(BAR - filled)}]`;
      // One column is left free, so that the terminal does not wrap.
      const line = text.slice(0, Math.max(10, (stream.columns || 80) - 1 - bar.length)) + bar;
      stream.write(`\r\x1b[K${line}`);
      open = true;
      if (step === 'warning' || step === 'ready') end();
      last = text;
    },
  };
}
