/** Progress on standard error: one line that is rewritten on a terminal, a line per step and now and then elsewhere. */
import type { OnProgress, Progress } from '../../image/index.js';

export interface ProgressPrinter {
  report: OnProgress;
  /** Ends the line that is being rewritten. */
  end(): void;
}

const BAR = 24;
/** How often a log that is no terminal is told how far a fetch is (ms). */
const LOG_EVERY = 10_000;

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

/** `120.3 of 246.4 MB, 49 %` */
function soFar({ done, total }: NonNullable<Progress['bytes']>): string {
  return `${megabytes(done)} of ${megabytes(total)} MB, ${Math.floor((100 * done) / Math.max(1, total))} %`;
}

/** `now` in milliseconds. */
export function progressPrinter(
  stream: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'> = process.stderr,
  now: () => number = () => performance.now(),
): ProgressPrinter {
  let last = '';
  let lastTime = 0;
  let open = false;
  const end = (): void => {
    if (open) stream.write('\n');
    open = false;
  };
  const log = (text: string, { bytes }: Progress): void => {
    if (text !== last) {
      stream.write(`${text}\n`);
      lastTime = now();
    } else if (bytes !== undefined && now() - lastTime >= LOG_EVERY) {
      stream.write(`  ${soFar(bytes)}\n`);
      lastTime = now();
    }
    last = text;
  };
  return {
    end,
    report(progress) {
      const { step, message, fraction, bytes } = progress;
      const text = step === 'warning' ? `warning: ${message}` : message;
      if (!stream.isTTY) return log(text, progress);
      // What is to be read stays; the rest is rewritten.
      const stays = step === 'warning' || step === 'ready' || step === 'plan';
      if (step === 'warning' || step === 'plan') end();
      const part = step === 'download' && bytes !== undefined ? bytes.done / Math.max(1, bytes.total) : fraction;
      const filled = Math.round((part ?? 0) * BAR);
      const bar = part === undefined ? '' : ` [${'#'.repeat(filled)}${' '.repeat(BAR - filled)}]`;
      const sum = step === 'download' && bytes !== undefined ? ` ${soFar(bytes)}` : '';
      // One column is left free, so that the terminal does not wrap.
      const line = stays ? text : text.slice(0, Math.max(10, (stream.columns || 80) - 1 - bar.length - sum.length));
      stream.write(`\r\x1b[K${line}${sum}${bar}`);
      open = true;
      if (stays) end();
    },
  };
}
