/** `understudy demo partition`: who owns what, and what each finds of it. */
import { shellProfile } from '../../../../index.js';
import { runCommand } from '../../command.js';
import { obtainImages } from '../../images.js';
import { asError, tellFailure } from '../failure.js';
import { unlessAborted, type Interruption } from '../../interruption.js';
import { DEMO_PARTITION_USAGE, parseDemoPartitionOptions, type DemoPartitionOptions } from './options.js';
import { PartitionScenario } from './scenario.js';
import { PartitionScreen } from './screen.js';
import { drawPartitionResult } from './table.js';

/**
 * Runs `understudy demo partition ARGS`.
 *
 * @returns 0 when everything went as it should, 1 when it did not, 128 + n after signal n.
 */
export function demoPartitionCommand(args: string[]): Promise<number> {
  return runCommand(parseDemoPartitionOptions(args), DEMO_PARTITION_USAGE, demonstrate);
}

async function demonstrate(options: DemoPartitionOptions, interruption: Interruption): Promise<number> {
  const screen = new PartitionScreen();
  const scenario = new PartitionScenario(options, screen);
  const { result } = scenario;
  let failure: Error | undefined;
  try {
    const { signal } = interruption;
    const [image] = await obtainImages([shellProfile(options.kernel)], { signal });
    await unlessAborted(scenario.run(image, signal), signal, () => new Error('interrupted'));
  } catch (error) {
    failure = asError(error);
  } finally {
    await scenario.close();
  }
  // What a signal breaks off is no failure to be told of.
  if (interruption.status !== undefined) return interruption.status;
  if (failure !== undefined) {
    result.ok = false;
    tellFailure(result, failure);
  }
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else if (result.rounds > 0) process.stdout.write(drawPartitionResult(result, process.stdout));
  return result.ok ? 0 : 1;
}
