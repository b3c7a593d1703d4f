import { catchSignals, type Interruption } from './interruption.js';

/**
 * What commands have in common that signals end: shows the usage where that was asked for, or runs.
 *
 * @returns the exit status: 0 for the usage, else what `run` answers
 */
export async function runCommand<O>(
  options: O | 'help',
  usage: string,
  run: (options: O, interruption: Interruption) => Promise<number>,
): Promise<number> {
  if (options === 'help') {
    process.stdout.write(usage);
    return 0;
  }
  const interruption = catchSignals();
  try {
    return await run(options, interruption);
  } finally {
    interruption.end();
  }
}
