/** `understudy demo io`: devices change hands while they are in use. */
import { shellProfile } from '../../../../index.js';
import { runCommand } from '../../command.js';
import { obtainImages } from '../../images.js';
import { asError, tellFailure } from '../failure.js';
import { unlessAborted, type Interruption } from '../../interruption.js';
import { DEMO_IO_USAGE, parseDemoIoOptions, type DemoIoOptions } from './options.js';
import { IoScenario } from './scenario.js';
import { Screen } from './screen.js';
import { drawIoResult } from './table.js';

/**
 * Runs `understudy demo io ARGS`.
 *
 * @returns 0 when everything went as it should, 1 when it did not, 128 + n after signal n.
 */
export function demoIoCommand(args: string[]): Promise<number> {
  return runCommand(parseDemoIoOptions(args), DEMO_IO_USAGE, demonstrate);
}

async function demonstrate(options: DemoIoOptions, interruption: Interruption): Promise<number> {
  const screen = new Screen();
  const scenario = new IoScenario(options, screen);
  const { result } = scenario;
  let failure: Error | undefined;
  try {
    const { signal } = interruption;
    const [image] = await obtainImages([shellProfile(options.kernel)], { signal });
    await unlessAborted(scenario.run(image, signal), signal, () => new Error('interrupted'));
  } catch (error) {
    failure = asError(error);
  } finally {
    screen.end();
    await scenario.close();
  }
  // What a signal breaks off is no failure to be told of.
  if (interruption.status !== undefined) return interruption.status;
  if (failure !== undefined) {
    result.ok = false;
    tellFailure(result, failure);
  }
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else if (result.switches > 0) process.stdout.write(drawIoResult(result, process.stdout));
  return result.ok ? 0 : 1;
}
