// A command with its output passed on, and the counts it closes with.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Runs a command; resolves to `{ passed, failed, skipped }`, which `count` finds in its standard output and error.
 * A command that fails without having counted a failure is one failure, and so is one that has counted nothing.
 */
export async function runCounted(command, args, { count = lastLine, env = {} } = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  const pass = (from, to) =>
    from.setEncoding('utf8').on('data', (piece) => {
      to.write(piece);
      text += piece;
    });
  pass(child.stdout, process.stdout);
  pass(child.stderr, process.stderr);
  child.on('error', (error) => console.error(error.message));
  const [status] = await once(child, 'close');
  const counts = count(text.replace(/\x1b\[[0-9;]*m/g, '')) ?? { passed: 0, failed: 0, skipped: 0 };
  if (counts.failed === 0 && (status !== 0 || counts.passed === 0)) counts.failed = 1;
  return counts;
}

/** The last "N passed, N failed" of scripts/test.mjs. */
export function lastLine(text) {
  const found = [...text.matchAll(/^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/gm)].at(-1);
  return found && { passed: Number(found[1]), failed: Number(found[2]), skipped: Number(found[3] ?? 0) };
}

/** Prints "N passed, N failed" for several runs together, and sets the exit status. */
export function closeWith(all) {
  const sum = (key) => all.reduce((n, counts) => n + counts[key], 0);
  const skipped = sum('skipped') > 0 ? `, ${sum('skipped')} skipped` : '';
  if (sum('failed') > 0) process.exitCode = 1;
  console.log(`${sum('passed')} passed, ${sum('failed')} failed${skipped}`);
}
