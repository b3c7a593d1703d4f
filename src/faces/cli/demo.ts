/** `understudy demo`: Redis keeps its clients while the kernel under it changes. */
import { redisProfile } from '../../index.js';
import { DEMO_USAGE, parseDemoOptions, type DemoOptions } from './demo/options.js';
import { drawResult } from './demo/table.js';
import { asError, tellFailure } from './demo/failure.js';
import { Scenario } from './demo/scenario.js';
import { Telling } from './demo/telling.js';
import { drawTimeline } from './demo/timeline.js';
import { runCommand } from './command.js';
import { obtainImages } from './images.js';
import { unlessAborted, type Interruption } from './interruption.js';

/**
 * Runs `understudy demo ARGS`.
 *
 * @returns 0 when everything went as it should, 1 when it did not, 128 + n after signal n.
 */
export async function demoCommand(args: string[]): Promise<number> {
  if (args[0] === 'io') return (await import('./demo/io/command.js')).demoIoCommand(args.slice(1));
  if (args[0] === 'partition') {
    return (await import('./demo/partition/command.js')).demoPartitionCommand(args.slice(1));
  }
  return runCommand(parseDemoOptions(args), DEMO_USAGE, demonstrate);
}

async function demonstrate(options: DemoOptions, interruption: Interruption): Promise<number> {
  const telling = new Telling();
  const scenario = new Scenario(options, telling);
  let failure: Error | undefined;
  try {
    const { signal } = interruption;
    const [a, b] = await obtainImages([redisProfile('trixie'), redisProfile('backports')], { signal });
    await unlessAborted(scenario.run({ a, b }), signal, () => new Error('interrupted'));
  } catch (error) {
    failure = asError(error);
  } finally {
    telling.end();
    await scenario.close();
  }
  // What a signal breaks off is no failure to be told of.
  if (interruption.status !== undefined) return interruption.status;
  const { result } = scenario;
  if (failure !== undefined) tellFailure(result, failure);
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else if (result.kernelAfter !== '') {
    process.stdout.write(drawTimeline(scenario.chronicle(), process.stdout));
    process.stdout.write(drawResult(result, process.stdout));
  }
  return result.ok ? 0 : 1;
}
